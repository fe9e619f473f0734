// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "firesteel/io/compressed_file.hpp"

namespace firesteel {

/// Unpacks one unit at a time, in order, into bounded memory. Local.
class Unpacker {
 public:
  virtual ~Unpacker() = default;
  virtual void start(const CompressedUnit& unit) = 0;
  /// The next bytes of the unit's text, at most out.size(); fewer only where the unit ends. Throws 66.
  virtual std::size_t produce(std::span<char> out) = 0;
};

std::unique_ptr<Unpacker> make_unpacker(const CompressedFile& file);
std::unique_ptr<Unpacker> make_gzip_unpacker(const CompressedFile& file);
std::unique_ptr<Unpacker> make_bzip2_unpacker(const CompressedFile& file);
std::unique_ptr<Unpacker> make_xz_unpacker(const CompressedFile& file);
std::unique_ptr<Unpacker> make_zstd_unpacker(const CompressedFile& file);

/// Fill units (and windows). Local, for the whole file.
void index_gzip(CompressedFile& file, Index most_units);
void index_xz(CompressedFile& file);
void index_zstd(CompressedFile& file);

/// Bits at which bzip2 blocks begin, or streams end, whose first byte lies in [begin, end) of the file.
struct Bzip2Marker {
  Index bit = 0;
  Index is_block = 0;  ///< 1: a block, 0: the end of a stream
};
std::vector<Bzip2Marker> find_bzip2_markers(const CompressedFile& file, Index begin, Index end);
/// Units without sizes of text, from all markers of the file. Throws 66 where blocks and ends do not fit.
std::vector<CompressedUnit> bzip2_units(const CompressedFile& file, const std::vector<Bzip2Marker>& markers);
/// Length of a unit's text, by unpacking it.
Index measure_unit(const CompressedFile& file, const CompressedUnit& unit);

/// Appends a unit, or makes the last one longer where both can be unpacked in one go and are small.
void append_unit(std::vector<CompressedUnit>& units, const CompressedUnit& unit);

/// Bytes [seek's begin, end) of a compressed file, a piece at a time.
class PackedInput {
 public:
  explicit PackedInput(const CompressedFile& file) : file_(file), buffer_(kBytes) {}

  void seek(Index begin, Index end);
  /// Makes sure that there are bytes left in the buffer; false at the end.
  bool refill();
  /// Takes one byte; throws 66 at the end.
  unsigned char take();
  /// Takes n bytes.
  void skip(Index n) {
    if (n <= static_cast<Index>(left()))
      consume(static_cast<std::size_t>(n));
    else
      seek(offset() + n, end_);
  }

  const unsigned char* data() const { return buffer_.data() + at_; }
  std::size_t left() const { return filled_ - at_; }
  void consume(std::size_t n) { at_ += n; }
  /// Of the next byte in the file.
  Index offset() const { return next_ - static_cast<Index>(left()); }
  Index end() const { return end_; }
  [[noreturn]] void cut_short() const;

 private:
  static constexpr std::size_t kBytes = std::size_t{64} << 10;

  const CompressedFile& file_;
  std::vector<unsigned char> buffer_;
  std::size_t at_ = 0;
  std::size_t filled_ = 0;
  Index next_ = 0;
  Index end_ = 0;
};

}  // namespace firesteel
