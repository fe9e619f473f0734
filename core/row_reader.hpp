// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
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
