// SPDX-License-Identifier: Apache-2.0
#include "firesteel/io/zip_file.hpp"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <new>
#include <utility>

#include "firesteel/core/error.hpp"

namespace firesteel {

namespace {

constexpr Index kEndBytes = 22;
constexpr Index kMostCommentBytes = 65535;
constexpr Index kEnd64Bytes = 56;
constexpr Index kLocator64Bytes = 20;
constexpr Index kEntryBytes = 46;
constexpr Index kLocalBytes = 30;
constexpr Index kMostDirectoryBytes = Index{256} << 20;
constexpr Index kMostExpansion = 1100;  // more than deflate can

/// A little-endian number.
Index number(const unsigned char* bytes, int length) {
  std::uint64_t value = 0;
  for (int i = 0; i < length; ++i) value |= std::uint64_t{bytes[i]} << (8 * i);
  return static_cast<Index>(value);
}

}  // namespace

/// One deflated member being unpacked, at a place of its text.
class ZipFile::Inflating {
 public:
  Inflating(const ZipFile& zip, const ZipMember& packed) : member(&packed), zip_(zip), packed_(1 << 16) {
    if (::inflateInit2(&stream_, -15) != Z_OK) throw std::bad_alloc();
  }
  Inflating(const Inflating&) = delete;
  Inflating& operator=(const Inflating&) = delete;
  ~Inflating() { ::inflateEnd(&stream_); }

  void produce(std::span<unsigned char> out) {
    while (!out.empty()) {
      if (stream_.avail_in == 0) {
        const Index count = std::min(static_cast<Index>(packed_.size()), member->packed_bytes - taken_);
        if (count == 0) zip_.fail("'" + member->name + "' is damaged: it unpacks to too little");
        zip_.read_bytes(member->begin + taken_, std::span(packed_).first(static_cast<std::size_t>(count)));
        taken_ += count;
        stream_.next_in = packed_.data();
        stream_.avail_in = static_cast<uInt>(count);
      }
      const auto room = std::min<std::size_t>(out.size(), std::size_t{1} << 30);
      stream_.next_out = out.data();
      stream_.avail_out = static_cast<uInt>(room);
      const int code = ::inflate(&stream_, Z_NO_FLUSH);
      const std::size_t got = room - stream_.avail_out;
      out = out.subspan(got);
      place += static_cast<Index>(got);
      if (code != Z_OK && code != Z_BUF_ERROR && !(code == Z_STREAM_END && out.empty()))
        zip_.fail("'" + member->name + "' is damaged near byte " + std::to_string(place));
    }
  }

  const ZipMember* member;
  Index place = 0;

 private:
  const ZipFile& zip_;
  std::vector<unsigned char> packed_;
  Index taken_ = 0;
  z_stream stream_{};
};

ZipFile::~ZipFile() = default;

void ZipFile::fail(const std::string& what) const { throw bad_input(path_ + ": " + what, {file_number_, 0}); }

ZipFile::ZipFile(std::string path, Index file_number, const std::string& whole_file)
    : path_(std::move(path)), file_number_(file_number) {
  file_ = open_input(path_, file_number_);
  bytes_ = file_->bytes();
  std::array<unsigned char, 4> magic{};
  read_bytes(0, std::span(magic).first(static_cast<std::size_t>(std::min<Index>(bytes_, 4))));
  if (magic[0] != 'P' || magic[1] != 'K') {
    members_.push_back({.name = whole_file, .packed_bytes = bytes_, .bytes = bytes_});
    return;
  }
  Index directory_bytes = 0;
  Index count = 0;
  const Index directory = find_directory(directory_bytes, count);
  read_directory(directory, directory_bytes, count);
}

void ZipFile::read_bytes(Index begin, std::span<unsigned char> out) const {
  const std::size_t done =
      file_->read_at(begin, {reinterpret_cast<char*>(out.data()), out.size()}, file_number_);
  if (done < out.size())
    fail("the file ends at byte " + std::to_string(begin + static_cast<Index>(done)) + ": it is cut short");
}

Index ZipFile::find_directory(Index& bytes, Index& count) const {
  const Index tail_bytes = std::min(bytes_, kEndBytes + kMostCommentBytes);
  std::vector<unsigned char> tail(static_cast<std::size_t>(tail_bytes));
  read_bytes(bytes_ - tail_bytes, tail);
  for (Index at = tail_bytes - kEndBytes; at >= 0; --at) {
    const unsigned char* end = tail.data() + at;
    if (number(end, 4) != 0x06054b50) continue;
    count = number(end + 10, 2);
    bytes = number(end + 12, 4);
    Index begin = number(end + 16, 4);
    const Index locator_at = bytes_ - tail_bytes + at - kLocator64Bytes;
    if (locator_at >= 0 && (count == 0xffff || bytes == 0xffffffff || begin == 0xffffffff)) {
      std::vector<unsigned char> locator(kLocator64Bytes);
      read_bytes(locator_at, locator);
      const Index end64_at = number(locator.data() + 8, 8);
      if (number(locator.data(), 4) == 0x07064b50 && end64_at >= 0 && end64_at <= bytes_ - kEnd64Bytes) {
        std::vector<unsigned char> end64(kEnd64Bytes);
        read_bytes(end64_at, end64);
        count = number(end64.data() + 32, 8);
        bytes = number(end64.data() + 40, 8);
        begin = number(end64.data() + 48, 8);
      }
    }
    if (begin < 0 || bytes < 0 || begin > bytes_ || bytes > bytes_ - begin) break;
    return begin;
  }
  fail("not a zip archive, or one that is cut short");
}

void ZipFile::read_directory(Index begin, Index bytes, Index count) {
  if (bytes > kMostDirectoryBytes || count < 0 || count > bytes / kEntryBytes)
    fail("the archive's directory is damaged");
  std::vector<unsigned char> directory(static_cast<std::size_t>(bytes));
  read_bytes(begin, directory);
  Index at = 0;
  for (Index i = 0; i < count; ++i) {
    if (bytes - at < kEntryBytes || number(directory.data() + at, 4) != 0x02014b50)
      fail("the archive's directory is damaged");
    const unsigned char* entry = directory.data() + at;
    const Index name_bytes = number(entry + 28, 2);
    const Index extra_bytes = number(entry + 30, 2);
    const Index comment_bytes = number(entry + 32, 2);
    if (bytes - at - kEntryBytes < name_bytes + extra_bytes + comment_bytes)
      fail("the archive's directory is damaged");
    ZipMember member{.name = std::string(reinterpret_cast<const char*>(entry) + kEntryBytes,
                                         static_cast<std::size_t>(name_bytes)),
                     .packed_bytes = number(entry + 20, 4),
                     .bytes = number(entry + 24, 4)};
    Index header = number(entry + 42, 4);
    // 64-bit sizes stand in an extra field, in this order, for what is all ones.
    const unsigned char* extra = entry + kEntryBytes + name_bytes;
    for (Index left = extra_bytes; left >= 4;) {
      const Index field_bytes = number(extra + 2, 2);
      if (field_bytes > left - 4) break;
      if (number(extra, 2) == 1) {
        const unsigned char* value = extra + 4;
        Index value_bytes = field_bytes;
        for (Index* wide : {&member.bytes, &member.packed_bytes, &header}) {
          if (*wide != 0xffffffff || value_bytes < 8) continue;
          *wide = number(value, 8);
          value += 8;
          value_bytes -= 8;
        }
      }
      left -= 4 + field_bytes;
      extra += 4 + field_bytes;
    }
    if ((number(entry + 8, 2) & 1) != 0) fail("'" + member.name + "' is encrypted");
    const Index method = number(entry + 10, 2);
    if (method != 0 && method != 8)
      fail("'" + member.name + "' is packed by method " + std::to_string(method) +
           ", which is not read: store or deflate it");
    member.deflated = method == 8;
    locate(member, header);
    members_.push_back(std::move(member));
    at += kEntryBytes + name_bytes + extra_bytes + comment_bytes;
  }
}

void ZipFile::locate(ZipMember& member, Index header) const {
  std::vector<unsigned char> local(kLocalBytes);
  if (header < 0 || header > bytes_ - kLocalBytes) fail("'" + member.name + "' lies beyond the archive");
  read_bytes(header, local);
  if (number(local.data(), 4) != 0x04034b50) fail("the header of '" + member.name + "' is damaged");
  member.begin = header + kLocalBytes + number(local.data() + 26, 2) + number(local.data() + 28, 2);
  if (member.packed_bytes < 0 || member.bytes < 0 || member.begin > bytes_ ||
      member.packed_bytes > bytes_ - member.begin)
    fail("'" + member.name + "' lies beyond the archive: it is cut short");
  const bool possible = member.deflated ? member.bytes / kMostExpansion <= member.packed_bytes
                                        : member.bytes == member.packed_bytes;
  if (!possible)
    fail("'" + member.name + "' claims " + std::to_string(member.bytes) + " bytes, more than its " +
         std::to_string(member.packed_bytes) + " can hold");
}

void ZipFile::read(const ZipMember& member, Index begin, std::span<unsigned char> out) const {
  if (begin < 0 || begin > member.bytes || static_cast<Index>(out.size()) > member.bytes - begin)
    fail("'" + member.name + "' has " + std::to_string(member.bytes) + " bytes, more were expected");
  if (!member.deflated) return read_bytes(member.begin + begin, out);
  auto& inflating = inflating_[&member];
  if (!inflating || inflating->place > begin) inflating = std::make_unique<Inflating>(*this, member);
  std::vector<unsigned char> passed;
  while (inflating->place < begin) {
    passed.resize(std::size_t{1} << 16);
    inflating->produce(
        std::span(passed).first(std::min(passed.size(), static_cast<std::size_t>(begin - inflating->place))));
  }
  inflating->produce(out);
}

}  // namespace firesteel
