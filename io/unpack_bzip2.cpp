// SPDX-License-Identifier: Apache-2.0
// bzip2: blocks of up to 900 kB begin at any bit with a magic number and depend on nothing before them.
#include <bzlib.h>

#include <algorithm>
#include <array>
#include <new>
#include <string>

#include "firesteel/core/error.hpp"
#include "firesteel/io/unpack.hpp"

namespace firesteel {

namespace {

constexpr std::uint64_t kMagicMask = (std::uint64_t{1} << 48) - 1;
constexpr std::uint64_t kBlockMagic = 0x314159265359;
constexpr std::uint64_t kEndMagic = 0x177245385090;
constexpr Index kMagicBits = 48;
constexpr Index kSumBits = 32;

/// Feeds a block to libbz2 as a stream of its own: a header, the block's bits from a byte's begin on, the end
/// magic, and the sum of the one block.
class Bzip2Unpacker final : public Unpacker {
 public:
  explicit Bzip2Unpacker(const CompressedFile& file) : file_(file), input_(file), fed_(kFeedBytes) {}
  ~Bzip2Unpacker() override { end_stream(); }
  Bzip2Unpacker(const Bzip2Unpacker&) = delete;
  Bzip2Unpacker& operator=(const Bzip2Unpacker&) = delete;

  void start(const CompressedUnit& unit) override {
    end_stream();
    stream_ = {};
    if (::BZ2_bzDecompressInit(&stream_, 0, 0) != BZ_OK) throw std::bad_alloc();
    open_ = true;
    ended_ = false;
    begin_ = unit.begin;
    bits_left_ = 8 * (unit.end - unit.begin) + unit.end_bit - unit.begin_bit;
    pending_ = 0;
    pending_bits_ = 0;
    sum_ = 0;
    seen_bits_ = 0;
    trailer_done_ = false;
    input_.seek(unit.begin, std::min(file_.bytes(), unit.end + 1));
    fed_count_ = 0;
    for (const char c : {'B', 'Z', 'h', '9'}) fed_[fed_count_++] = c;
    skip_bits_ = unit.begin_bit;
  }

  std::size_t produce(std::span<char> out) override {
    std::size_t done = 0;
    while (done < out.size() && !ended_) {
      if (stream_.avail_in == 0) feed();
      const auto room = std::min<std::size_t>(out.size() - done, std::size_t{1} << 30);
      stream_.next_out = out.data() + done;
      stream_.avail_out = static_cast<unsigned>(room);
      const bool starved = stream_.avail_in == 0;
      const int code = ::BZ2_bzDecompress(&stream_);
      done += room - stream_.avail_out;
      if (code == BZ_STREAM_END)
        ended_ = true;
      else if (code == BZ_MEM_ERROR)
        throw std::bad_alloc();
      else if (code != BZ_OK || (starved && stream_.avail_out == room))
        file_.fail(begin_, "the bzip2 block that begins here is damaged");
    }
    return done;
  }

 private:
  static constexpr std::size_t kFeedBytes = std::size_t{32} << 10;

  void end_stream() {
    if (open_) ::BZ2_bzDecompressEnd(&stream_);
    open_ = false;
  }

  void put_bits(std::uint64_t value, int count) {
    pending_ = (pending_ << count) | value;
    pending_bits_ += count;
    while (pending_bits_ >= 8) {
      pending_bits_ -= 8;
      fed_[fed_count_++] = static_cast<char>((pending_ >> pending_bits_) & 0xff);
    }
    pending_ &= (std::uint64_t{1} << pending_bits_) - 1;
  }

  /// The sum that follows a block's magic is that of the stream too.
  void note_sum(unsigned value, int count) {
    for (int bit = count - 1; bit >= 0 && seen_bits_ < kMagicBits + kSumBits; --bit, ++seen_bits_)
      if (seen_bits_ >= kMagicBits) sum_ = (sum_ << 1) | ((value >> bit) & 1U);
  }

  void feed() {
    while (fed_count_ + 32 < fed_.size() && bits_left_ > 0) {
      const unsigned byte = input_.take();
      int count = 8 - skip_bits_;
      unsigned value = byte & ((1U << count) - 1);
      skip_bits_ = 0;
      if (bits_left_ < count) {
        value >>= count - static_cast<int>(bits_left_);
        count = static_cast<int>(bits_left_);
      }
      note_sum(value, count);
      put_bits(value, count);
      bits_left_ -= count;
    }
    if (bits_left_ == 0 && !trailer_done_) {
      put_bits(kEndMagic >> 24, 24);
      put_bits(kEndMagic & 0xffffff, 24);
      put_bits(sum_ >> 16, 16);
      put_bits(sum_ & 0xffff, 16);
      if (pending_bits_ > 0) put_bits(0, 8 - pending_bits_);
      trailer_done_ = true;
    }
    stream_.next_in = fed_.data();
    stream_.avail_in = static_cast<unsigned>(fed_count_);
    fed_count_ = 0;
  }

  const CompressedFile& file_;
  PackedInput input_;
  std::vector<char> fed_;
  std::size_t fed_count_ = 0;
  bz_stream stream_{};
  bool open_ = false;
  bool ended_ = false;
  bool trailer_done_ = false;
  Index begin_ = 0;
  Index bits_left_ = 0;
  Index seen_bits_ = 0;
  std::uint64_t pending_ = 0;
  int pending_bits_ = 0;
  int skip_bits_ = 0;
  std::uint64_t sum_ = 0;
};

}  // namespace

std::unique_ptr<Unpacker> make_bzip2_unpacker(const CompressedFile& file) {
  return std::make_unique<Bzip2Unpacker>(file);
}

std::vector<Bzip2Marker> find_bzip2_markers(const CompressedFile& file, Index begin, Index end) {
  std::vector<Bzip2Marker> markers;
  constexpr Index kLead = 7;  // bytes past a marker's first that may hold bits of it
  PackedInput input(file);
  input.seek(begin, std::min(file.bytes(), end + kLead));
  std::uint64_t bits = 0;
  Index read = 0;  // bytes in `bits` so far
  while (input.refill()) {
    bits = (bits << 8) | input.take();
    ++read;
    const Index last = begin + read;  // bytes of the file that were read
    for (int shift = 7; shift >= 0; --shift) {
      const std::uint64_t word = (bits >> shift) & kMagicMask;
      if (word != kBlockMagic && word != kEndMagic) continue;
      const Index bit = 8 * last - shift - kMagicBits;
      if (bit / 8 >= begin && bit / 8 < end && bit >= 8 * begin)
        markers.push_back({bit, word == kBlockMagic ? 1 : 0});
    }
  }
  return markers;
}

std::vector<CompressedUnit> bzip2_units(const CompressedFile& file, const std::vector<Bzip2Marker>& markers) {
  std::vector<CompressedUnit> units;
  for (std::size_t i = 0; i < markers.size(); ++i) {
    const Bzip2Marker& marker = markers[i];
    if (marker.is_block == 0) continue;
    if (i + 1 == markers.size())
      file.fail(file.bytes(), "the last bzip2 block is not complete: the file is cut short");
    const Index end = markers[i + 1].bit;
    units.push_back({.begin = marker.bit / 8,
                     .end = end / 8,
                     .begin_bit = static_cast<std::int32_t>(marker.bit % 8),
                     .end_bit = static_cast<std::int32_t>(end % 8)});
  }
  if (markers.empty() || markers.back().is_block != 0)
    file.fail(file.bytes(), "the bzip2 data have no end: the file is cut short");
  // After the last end come its sum and at most seven bits.
  const Index end = (markers.back().bit + kMagicBits + kSumBits + 7) / 8;
  if (end > file.bytes()) file.fail(file.bytes(), "the bzip2 data's sum is missing: the file is cut short");
  if (end < file.bytes())
    file.fail(end, "expected the file's end or another bzip2 stream, got something else");
  return units;
}

}  // namespace firesteel
