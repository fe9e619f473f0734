// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "firesteel/core/row_blocks.hpp"

namespace firesteel {

/// The bytes of a store's blocks outside of passes: the block that was asked for last is kept, so that rows
/// in order cost one read a block. By one thread. Throws 74.
class BlockCopy {
 public:
  BlockCopy() = default;  ///< of no store
  explicit BlockCopy(const BlockStore& store) : store_(&store) {}
  explicit operator bool() const { return store_ != nullptr; }

  const std::byte* bytes(Index block) {
    if (block != block_) {
      copy_.resize(static_cast<std::size_t>(store_->block_bytes(block)));
      store_->copy(block, 0, copy_.data(), store_->block_bytes(block));
      block_ = block;
    }
    return copy_.data();
  }

 private:
  const BlockStore* store_ = nullptr;
  Index block_ = -1;
  std::vector<std::byte, AlignedAllocator<std::byte>> copy_;
};

/// Dense rows wherever they lie, best in order: of those in scratch up to 1 MB is read at a time. By one
/// thread.
template <class Scalar>
class DenseRowReader {
 public:
  explicit DenseRowReader(const DenseTiles<Scalar>& tiles)
      : tiles_(tiles), tile_values_(kTileRows * tiles.columns()) {
    const Index fitting = kBytes / (tile_values_ * static_cast<Index>(sizeof(Scalar)));
    // A power of two, so that what is read at a time is of one block.
    step_ =
        std::min(static_cast<Index>(std::bit_floor(static_cast<std::uint64_t>(std::max<Index>(1, fitting)))),
                 tiles.block_tiles());
  }
  void copy(Index row, std::span<double> values) {
    if (step_ == 0) return tiles_.copy_row(row, values);
    const Index t = row / kTileRows;
    const Index first = t / step_ * step_;
    if (first != first_) {
      read_.resize(static_cast<std::size_t>(std::min(step_, tiles_.tiles() - first) * tile_values_));
      first_ = -1;
      tiles_.copy_tiles(first, read_);
      first_ = first;
    }
    const Scalar* const own = read_.data() + (t - first) * tile_values_ + row % kTileRows;
    for (std::size_t j = 0; j < values.size(); ++j) values[j] = static_cast<double>(own[j * kTileRows]);
  }

 private:
  static constexpr Index kBytes = Index{1} << 20;
  const DenseTiles<Scalar>& tiles_;
  Index tile_values_;
  Index step_;        ///< tiles that are read at a time; 0: all rows are in memory
  Index first_ = -1;  ///< of the tiles that were read
  std::vector<Scalar> read_;
};

/// Sparse rows wherever they lie, best in order. By one thread.
template <class Scalar>
class SparseRowReader {
 public:
  explicit SparseRowReader(const SparseRows<Scalar>& rows) : rows_(rows) {
    if (rows.store() != nullptr) copy_ = BlockCopy(*rows.store());
  }
  /// Valid until the next call. Throws 74.
  typename SparseRows<Scalar>::Row row(Index r) {
    if (!copy_) return {rows_.row_indices(r), rows_.row_values(r)};
    const Index block = r >> rows_.blocks.row_shift;
    return SparseRows<Scalar>::row_of(copy_.bytes(block), rows_.rows_of_block(block),
                                      r - (block << rows_.blocks.row_shift));
  }

 private:
  const SparseRows<Scalar>& rows_;
  BlockCopy copy_;
};

}  // namespace firesteel
