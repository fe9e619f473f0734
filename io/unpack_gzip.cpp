// SPDX-License-Identifier: Apache-2.0
// gzip (RFC 1952), members one after another, and bgzip's members that say their length.
#include <zlib.h>

#include <algorithm>
#include <cstring>
#include <string>

#include "firesteel/core/error.hpp"
#include "firesteel/io/unpack.hpp"

namespace firesteel {

namespace {

constexpr int kGzipWrapper = 15 + 16;
constexpr int kNoWrapper = -15;
constexpr std::size_t kWindowBytes = std::size_t{32} << 10;
constexpr Index kTrailerBytes = 8;
constexpr Index kFirstSpacing = Index{4} << 20;
constexpr Index kBgzipHeaderBytes = 18;

/// zlib's decoder.
class Inflater {
 public:
  Inflater() {
    if (::inflateInit2(&stream, kGzipWrapper) != Z_OK) throw std::bad_alloc();
  }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;
  ~Inflater() { ::inflateEnd(&stream); }

  void reset(int window_bits) {
    if (::inflateReset2(&stream, window_bits) != Z_OK) throw internal_error("inflateReset2 failed");
  }

  /// One call of inflate() on what the input's buffer holds.
  int step(PackedInput& input, int flush) {
    stream.next_in = const_cast<unsigned char*>(input.data());
    stream.avail_in = static_cast<uInt>(input.left());
    const int code = ::inflate(&stream, flush);
    input.consume(input.left() - stream.avail_in);
    return code;
  }

  z_stream stream{};
};

[[noreturn]] void damaged(const CompressedFile& file, const PackedInput& input, const z_stream& stream,
                          int code) {
  if (code == Z_MEM_ERROR) throw std::bad_alloc();
  file.fail(input.offset(), std::string("the gzip data are damaged (") +
                                (code == Z_NEED_DICT || stream.msg == nullptr ? "not gzip" : stream.msg) +
                                ")");
}

class GzipUnpacker final : public Unpacker {
 public:
  explicit GzipUnpacker(const CompressedFile& file) : file_(file), input_(file) {}

  void start(const CompressedUnit& unit) override {
    left_ = unit.text_bytes;
    input_.seek(unit.begin, unit.end);
    raw_ = unit.window >= 0;
    inflater_.reset(raw_ ? kNoWrapper : kGzipWrapper);
    if (!raw_) return;
    z_stream& stream = inflater_.stream;
    if (unit.begin_bit > 0) {
      unsigned char byte = 0;
      file_.read_bytes(unit.begin - 1, std::span(&byte, 1));
      ::inflatePrime(&stream, unit.begin_bit, byte >> (8 - unit.begin_bit));
    }
    const std::string_view window = file_.window(unit.window);
    ::inflateSetDictionary(&stream, reinterpret_cast<const Bytef*>(window.data()),
                           static_cast<uInt>(window.size()));
  }

  std::size_t produce(std::span<char> out) override {
    const auto wanted = std::min(out.size(), static_cast<std::size_t>(left_));
    z_stream& stream = inflater_.stream;
    std::size_t done = 0;
    while (done < wanted) {
      if (!input_.refill()) input_.cut_short();
      const auto room = std::min<std::size_t>(wanted - done, std::size_t{1} << 30);
      stream.next_out = reinterpret_cast<Bytef*>(out.data() + done);
      stream.avail_out = static_cast<uInt>(room);
      const int code = inflater_.step(input_, Z_NO_FLUSH);
      done += room - stream.avail_out;
      if (code == Z_STREAM_END) {
        if (raw_) input_.skip(kTrailerBytes);
        raw_ = false;
        inflater_.reset(kGzipWrapper);
      } else if (code != Z_OK && code != Z_BUF_ERROR) {
        damaged(file_, input_, stream, code);
      }
    }
    left_ -= static_cast<Index>(done);
    return done;
  }

 private:
  const CompressedFile& file_;
  PackedInput input_;
  Inflater inflater_;
  bool raw_ = false;
  Index left_ = 0;
};

/// Unpacks a whole file once and keeps the decoder's state about every 4 MiB of text, wider apart where there
/// would be too many of them.
class GzipIndexer {
 public:
  GzipIndexer(CompressedFile& file, Index most_units)
      : file_(file),
        most_units_(static_cast<std::size_t>(most_units)),
        input_(file),
        text_(4 * kWindowBytes) {}

  void run() {
    input_.seek(0, file_.bytes());
    units_.push_back({.begin = 0, .end = file_.bytes()});
    windows_.emplace_back();
    z_stream& stream = inflater_.stream;
    for (;;) {
      if (!input_.refill()) input_.cut_short();
      if (filled_ == text_.size()) keep_window();
      stream.next_out = reinterpret_cast<Bytef*>(text_.data() + filled_);
      stream.avail_out = static_cast<uInt>(text_.size() - filled_);
      const int code = inflater_.step(input_, Z_BLOCK);
      const std::size_t produced = text_.size() - filled_ - stream.avail_out;
      filled_ += produced;
      place_ += static_cast<Index>(produced);
      if (code == Z_STREAM_END) {
        if (!next_member()) break;
        inflater_.reset(kGzipWrapper);
        if (wide_enough()) add({.begin = input_.offset(), .end = file_.bytes(), .text_begin = place_}, {});
      } else if (code != Z_OK && code != Z_BUF_ERROR) {
        damaged(file_, input_, stream, code);
      } else if ((stream.data_type & 128) != 0 && (stream.data_type & 64) == 0 && wide_enough()) {
        const std::size_t window = std::min(filled_, kWindowBytes);
        add({.begin = input_.offset(),
             .end = file_.bytes(),
             .text_begin = place_,
             .window = 0,
             .begin_bit = stream.data_type & 7},
            {text_.data() + filled_ - window, window});
      }
    }
    finish();
  }

 private:
  bool wide_enough() const { return place_ - units_.back().text_begin >= spacing_; }

  void keep_window() {
    std::memmove(text_.data(), text_.data() + filled_ - kWindowBytes, kWindowBytes);
    filled_ = kWindowBytes;
  }

  /// Whether another member follows: zeros may pad the end of a file, nothing else.
  bool next_member() {
    const Index end = input_.offset();
    while (input_.refill()) {
      if (*input_.data() == 0x1f && input_.offset() == end) return true;
      if (*input_.data() != 0)
        file_.fail(end, "expected the file's end or another gzip member, got something else");
      input_.consume(1);
    }
    return false;
  }

  void add(const CompressedUnit& unit, std::string_view window) {
    if (units_.size() >= most_units_) {
      for (std::size_t i = 1; 2 * i < units_.size(); ++i) {
        units_[i] = units_[2 * i];
        windows_[i] = std::move(windows_[2 * i]);
      }
      units_.resize((units_.size() + 1) / 2);
      windows_.resize(units_.size());
      spacing_ *= 2;
      if (!wide_enough()) return;
    }
    units_.push_back(unit);
    windows_.emplace_back(window);
  }

  void finish() {
    for (std::size_t i = 0; i < units_.size(); ++i) {
      CompressedUnit& unit = units_[i];
      unit.text_bytes = (i + 1 < units_.size() ? units_[i + 1].text_begin : place_) - unit.text_begin;
      if (unit.window < 0) continue;
      unit.window = static_cast<Index>(file_.window_ends.size());
      file_.windows.insert(file_.windows.end(), windows_[i].begin(), windows_[i].end());
      file_.window_ends.push_back(static_cast<Index>(file_.windows.size()));
    }
    file_.units = std::move(units_);
  }

  CompressedFile& file_;
  std::size_t most_units_;
  PackedInput input_;
  Inflater inflater_;
  std::vector<char> text_;  // the last text, at most 32 KiB of it a window
  std::size_t filled_ = 0;
  Index place_ = 0;
  Index spacing_ = kFirstSpacing;
  std::vector<CompressedUnit> units_;
  std::vector<std::string> windows_;
};

/// Length of the bgzip member at an offset, from its header's extra field; 0 where it is none.
Index bgzip_member_bytes(const CompressedFile& file, Index offset) {
  if (file.bytes() - offset < kBgzipHeaderBytes + kTrailerBytes) return 0;
  unsigned char h[kBgzipHeaderBytes];
  file.read_bytes(offset, h);
  const bool bgzip = h[0] == 0x1f && h[1] == 0x8b && h[2] == 8 && h[3] == 4 && h[10] == 6 && h[11] == 0 &&
                     h[12] == 'B' && h[13] == 'C' && h[14] == 2 && h[15] == 0;
  const Index bytes = bgzip ? (h[16] | (h[17] << 8)) + 1 : 0;
  return bytes >= kBgzipHeaderBytes + kTrailerBytes ? bytes : 0;
}

/// Units from the lengths that bgzip writes down; false where the file is not bgzip's throughout.
bool index_bgzip(CompressedFile& file) {
  std::vector<CompressedUnit> units;
  Index text = 0;
  for (Index offset = 0; offset < file.bytes();) {
    const Index bytes = bgzip_member_bytes(file, offset);
    if (bytes == 0 || bytes > file.bytes() - offset) return false;
    unsigned char length[4];
    file.read_bytes(offset + bytes - 4, length);
    const Index text_bytes = length[0] | (length[1] << 8) | (length[2] << 16) | (Index{length[3]} << 24);
    if (text_bytes > 1 << 16) return false;
    append_unit(units,
                {.begin = offset, .end = offset + bytes, .text_begin = text, .text_bytes = text_bytes});
    text += text_bytes;
    offset += bytes;
  }
  file.units = std::move(units);
  return true;
}

}  // namespace

std::unique_ptr<Unpacker> make_gzip_unpacker(const CompressedFile& file) {
  return std::make_unique<GzipUnpacker>(file);
}

void index_gzip(CompressedFile& file, Index most_units) {
  if (!index_bgzip(file)) GzipIndexer(file, most_units).run();
}

}  // namespace firesteel
