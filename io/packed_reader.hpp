// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "firesteel/core/error.hpp"
#include "firesteel/io/packed_file.hpp"
#include "firesteel/io/store.hpp"

namespace firesteel::detail {

inline std::size_t at(Index i) { return static_cast<std::size_t>(i); }

/// A packed file open for reading by one rank, whose rows are [first_row, end_row). Local.
class PackedReader {
 public:
  PackedReader(const Context& context, const std::string& path, PackedHeader header)
      : path_(path), header_(std::move(header)), file_(open_input(path)) {
    sums_.resize(at(header_.blocks()));
    read(header_.checksums, 0, sums_.data(), header_.checksums.bytes);
    partition = BlockPartition::even(
        header_.rows, choose_block_rows(header_.columns, header_.value_bytes(), header_.sparse),
        context.size());
    first_row = partition.first_row(context.rank());
    end_row = partition.end_row(context.rank());
  }

  BlockPartition partition;
  Index first_row = 0;
  Index end_row = 0;

  Index rows() const { return end_row - first_row; }
  Index first_sum_block() const { return first_row / header_.block_rows; }
  Index end_sum_block() const {
    return rows() == 0 ? first_sum_block() : (end_row + header_.block_rows - 1) / header_.block_rows;
  }
  /// −1: the file cannot be mapped.
  int file() const { return file_->descriptor(); }

  void read(const PackedHeader::Place& place, Index begin, void* out, Index bytes) const {
    if (begin < 0 || bytes < 0 || begin + bytes > place.bytes)
      throw internal_error("bytes beyond an array of " + path_ + " were asked for");
    if (file_->read_at(place.offset + begin, {static_cast<char*>(out), at(bytes)}) < at(bytes))
      throw Error(ErrorCode::io_failed, path_ + " changed while it was read");
  }
  /// A store starts to fetch these bytes of an array, and forgets them again.
  void expect(const PackedHeader::Place& place, Index begin, Index end) const {
    file_->expect(place.offset + begin, place.offset + std::min(end, place.bytes));
  }
  void let_go(const PackedHeader::Place& place, Index begin, Index end) const {
    file_->let_go(place.offset + begin, place.offset + std::min(end, place.bytes));
  }
  template <class T>
  std::vector<T> read_rows(const PackedHeader::Place& place, Index first, Index count) const {
    std::vector<T> values(at(count));
    constexpr auto kBytes = static_cast<Index>(sizeof(T));
    read(place, first * kBytes, values.data(), count * kBytes);
    return values;
  }

  void check(Index block, const PackedBlock& parts) const {
    if (parts.checksum() != sums_[at(block)])
      throw bad_input(
          path_ + " is damaged: rows " + std::to_string(block * header_.block_rows) +
              " and the following do not fit their checksum: pack the data anew by firesteel convert",
          {0, block});
  }
  [[noreturn]] void damaged(Index row, const std::string& what) const {
    throw bad_input(path_ + " is damaged: row " + std::to_string(row) + " " + what, {0, row});
  }

 private:
  const std::string& path_;
  PackedHeader header_;
  std::shared_ptr<const InputFile> file_;
  std::vector<std::uint64_t> sums_;
};

/// Labels, weights and flags of one block of checksums.
struct SideValues {
  Index first = 0;  ///< row
  Index end = 0;
  std::string labels;
  std::vector<double> weights;
  std::vector<std::int32_t> dropped;

  SideValues(const PackedReader& reader, const PackedHeader& header, Index block)
      : first(block * header.block_rows), end(std::min(header.rows, first + header.block_rows)) {
    if (header.label_kind >= 0) {
      labels.resize(at((end - first) * header.label_bytes));
      reader.read(header.labels, first * header.label_bytes, labels.data(),
                  static_cast<Index>(labels.size()));
    }
    if (header.has_weights) weights = reader.read_rows<double>(header.weights, first, end - first);
    if (header.has_dropped) dropped = reader.read_rows<std::int32_t>(header.dropped, first, end - first);
  }
  void add_to(PackedBlock& parts) const {
    parts.labels = std::as_bytes(std::span(labels));
    parts.weights = std::as_bytes(std::span(weights));
    parts.dropped = std::as_bytes(std::span(dropped));
  }
};

/// Fills this rank's labels, weights and flags, block of checksums by block; by any thread.
class PackedSides {
 public:
  /// A store starts to fetch them.
  PackedSides(const PackedReader& reader, const PackedHeader& header, RowBlocks& rows);
  void take(const SideValues& values);

 private:
  double weight(const SideValues& values, Index row, std::size_t from) const;
  void put_label(const SideValues& values, std::size_t from, std::size_t to);

  const PackedReader& reader_;
  const PackedHeader& header_;
  RowBlocks& rows_;
};

/// Reads the features into `rows`, and labels, weights and flags by the way: all columns, or the model's.
/// Local; throws 65, 71, 74.
void read_packed_features(const Context& context, const ReadOptions& options, const std::string& path,
                          const PackedReader& reader, const PackedHeader& header, RowBlocks& rows);

}  // namespace firesteel::detail
