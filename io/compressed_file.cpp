// SPDX-License-Identifier: Apache-2.0
#include "firesteel/io/compressed_file.hpp"

#include <algorithm>

#include "firesteel/core/error.hpp"
#include "firesteel/io/unpack.hpp"

namespace firesteel {

namespace {

constexpr std::size_t kMostIdleDecoders = 16;
constexpr Index kJoinedTextBytes = Index{1} << 20;

}  // namespace

Compression compression_of(std::string_view first_bytes) {
  using namespace std::string_view_literals;
  if (first_bytes.starts_with("\x1f\x8b\x08"sv)) return Compression::gzip;
  if (first_bytes.starts_with("\xfd\x37\x7a\x58\x5a\0"sv)) return Compression::xz;
  if (first_bytes.starts_with("\x28\xb5\x2f\xfd"sv)) return Compression::zstd;
  // A skippable frame, as parallel zstd begins with.
  if (first_bytes.size() >= 4 && (first_bytes[0] & '\xf0') == '\x50' &&
      first_bytes.substr(1, 3) == "\x2a\x4d\x18"sv)
    return Compression::zstd;
  const bool bzip2 = first_bytes.size() >= 10 && first_bytes.starts_with("BZh"sv) && first_bytes[3] >= '1' &&
                     first_bytes[3] <= '9' &&
                     (first_bytes.substr(4, 6) == "\x31\x41\x59\x26\x53\x59"sv ||
                      first_bytes.substr(4, 6) == "\x17\x72\x45\x38\x50\x90"sv);
  return bzip2 ? Compression::bzip2 : Compression::none;
}

void refuse_cut_short(const std::string& path, std::string_view whole_file, Index file) {
  using namespace std::string_view_literals;
  const auto begins = [&](std::string_view magic) { return magic.starts_with(whole_file); };
  const bool known = whole_file.size() >= 2 && compression_of(whole_file) == Compression::none;
  const char* kind = nullptr;
  if (known && begins("\x1f\x8b\x08"sv)) kind = "gzip";
  if (known && begins("\xfd\x37\x7a\x58\x5a\0"sv)) kind = "xz";
  if (known && begins("\x28\xb5\x2f\xfd"sv)) kind = "Zstandard";
  if (known && whole_file.size() >= 4 && whole_file[3] >= '1' && whole_file[3] <= '9' &&
      whole_file.starts_with("BZh"sv)) {
    whole_file.remove_prefix(4);
    if (begins("\x31\x41\x59\x26\x53\x59"sv) || begins("\x17\x72\x45\x38\x50\x90"sv)) kind = "bzip2";
  }
  if (kind != nullptr)
    throw Error(ErrorCode::no_input,
                path + " is a " + kind + " file that is cut short in its first bytes: copy it again",
                {file, 0});
}

std::string without_compression(const std::string& path) {
  const auto dot = path.find_last_of("./");
  if (dot == std::string::npos || path[dot] == '/') return path;
  std::string extension = path.substr(dot);
  for (char& c : extension)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  for (const auto* known : {".gz", ".bgz", ".bz2", ".xz", ".zst"})
    if (extension == known) return path.substr(0, dot);
  return path;
}

struct CompressedFile::Decoder {
  std::unique_ptr<Unpacker> unpacker;
  std::size_t unit = 0;
  Index place = 0;  ///< of the text, where it stands
};

CompressedFile::CompressedFile(std::string path, Index file, Index bytes, Compression compression)
    : path_(std::move(path)), file_(file), bytes_(bytes), compression_(compression) {}

CompressedFile::~CompressedFile() = default;

void CompressedFile::fail(Index offset, const std::string& what) const {
  throw Error(ErrorCode::no_input, path_ + ": byte " + std::to_string(offset) + ": " + what, {file_, offset});
}

void CompressedFile::read_bytes(Index offset, std::span<unsigned char> out) const {
  std::shared_ptr<const InputFile> input;
  {
    const std::lock_guard lock(mutex_);
    if (!input_) input_ = open_input(path_, file_);
    input = input_;
  }
  const std::size_t done = input->read_at(offset, {reinterpret_cast<char*>(out.data()), out.size()}, file_);
  if (done < out.size()) fail(offset + static_cast<Index>(done), "the file ends here: it is cut short");
}

std::string_view CompressedFile::window(Index number) const {
  const auto i = static_cast<std::size_t>(number);
  const Index begin = i == 0 ? 0 : window_ends[i - 1];
  return {windows.data() + begin, static_cast<std::size_t>(window_ends[i] - begin)};
}

std::unique_ptr<CompressedFile::Decoder> CompressedFile::take_decoder(std::size_t unit, Index place) const {
  std::unique_ptr<Decoder> taken;
  {
    const std::lock_guard lock(mutex_);
    auto best = idle_.end();
    for (auto it = idle_.begin(); it != idle_.end(); ++it)
      if ((*it)->unit == unit && (*it)->place <= place &&
          (best == idle_.end() || (*it)->place > (*best)->place))
        best = it;
    // One that has done its unit, or the longest unused where there are many, is set to this one's begin.
    for (auto it = idle_.begin(); best == idle_.end() && it != idle_.end(); ++it)
      if ((*it)->unit == units.size()) best = it;
    if (best == idle_.end() && idle_.size() == kMostIdleDecoders) best = idle_.begin();
    if (best != idle_.end()) {
      taken = std::move(*best);
      idle_.erase(best);
    }
  }
  if (!taken) taken = std::make_unique<Decoder>(Decoder{make_unpacker(*this), units.size(), 0});
  if (taken->unit != unit || taken->place > place) {
    taken->unit = units.size();  // of none, should start() throw
    taken->unpacker->start(units[unit]);
    taken->unit = unit;
    taken->place = units[unit].text_begin;
  }
  return taken;
}

void CompressedFile::give_back(std::unique_ptr<Decoder> decoder) const {
  const std::lock_guard lock(mutex_);
  if (idle_.size() < kMostIdleDecoders) idle_.push_back(std::move(decoder));
}

void CompressedFile::read_text(Index begin, std::span<char> out) const {
  std::vector<char> passed;
  while (!out.empty()) {
    const auto after = std::upper_bound(units.begin(), units.end(), begin, [](Index place, const auto& unit) {
      return place < unit.text_begin;
    });
    const auto number = static_cast<std::size_t>(after - units.begin()) - 1;
    const CompressedUnit& unit = units[number];
    const Index unit_end = unit.text_begin + unit.text_bytes;
    if (begin >= unit_end)
      fail(bytes_, "the text ends at its byte " + std::to_string(text_bytes()) + ", more was expected");
    auto decoder = take_decoder(number, begin);
    const auto wanted = std::min(out.size(), static_cast<std::size_t>(unit_end - begin));
    while (decoder->place < begin) {
      passed.resize(std::size_t{64} << 10);
      const auto step = std::min(passed.size(), static_cast<std::size_t>(begin - decoder->place));
      if (decoder->unpacker->produce(std::span(passed).first(step)) != step)
        fail(unit.begin, "unpacks to less text than the file says");
      decoder->place += static_cast<Index>(step);
    }
    if (decoder->unpacker->produce(out.first(wanted)) != wanted)
      fail(unit.begin, "unpacks to less text than the file says");
    decoder->place += static_cast<Index>(wanted);
    begin += static_cast<Index>(wanted);
    out = out.subspan(wanted);
    if (decoder->place == unit_end) {
      // What a format checks at a unit's end is looked at, and more text than was claimed is noticed; gzip
      // was unpacked whole when units were made.
      char more = 0;
      if (compression_ != Compression::gzip && decoder->unpacker->produce(std::span(&more, 1)) != 0)
        fail(unit.begin, "unpacks to more text than the file says");
      decoder->unit = units.size();
    }
    give_back(std::move(decoder));
  }
}

std::unique_ptr<Unpacker> make_unpacker(const CompressedFile& file) {
  switch (file.compression()) {
    case Compression::gzip:
      return make_gzip_unpacker(file);
    case Compression::bzip2:
      return make_bzip2_unpacker(file);
    case Compression::xz:
      return make_xz_unpacker(file);
    case Compression::zstd:
      return make_zstd_unpacker(file);
    case Compression::none:
      break;
  }
  throw internal_error(file.path() + " is not compressed");
}

void append_unit(std::vector<CompressedUnit>& units, const CompressedUnit& unit) {
  if (!units.empty() && units.back().end == unit.begin &&
      units.back().text_bytes + unit.text_bytes <= kJoinedTextBytes) {
    units.back().end = unit.end;
    units.back().text_bytes += unit.text_bytes;
  } else {
    units.push_back(unit);
  }
}

Index measure_unit(const CompressedFile& file, const CompressedUnit& unit) {
  const auto unpacker = make_unpacker(file);
  std::vector<char> text(std::size_t{256} << 10);
  unpacker->start(unit);
  Index bytes = 0;
  for (;;) {
    const std::size_t count = unpacker->produce(text);
    bytes += static_cast<Index>(count);
    if (count < text.size()) return bytes;
  }
}

void PackedInput::seek(Index begin, Index end) {
  if (begin > end) cut_short();
  next_ = begin;
  end_ = end;
  at_ = filled_ = 0;
}

bool PackedInput::refill() {
  if (left() > 0) return true;
  const Index count = std::min(static_cast<Index>(kBytes), end_ - next_);
  if (count <= 0) return false;
  file_.read_bytes(next_, std::span(buffer_).first(static_cast<std::size_t>(count)));
  next_ += count;
  at_ = 0;
  filled_ = static_cast<std::size_t>(count);
  return true;
}

unsigned char PackedInput::take() {
  if (!refill()) cut_short();
  return buffer_[at_++];
}

void PackedInput::cut_short() const {
  file_.fail(std::min(end_, file_.bytes()), "the compressed data end here: the file is cut short");
}

}  // namespace firesteel
