// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "firesteel/core/index.hpp"

namespace firesteel {

/// How rows are cut into blocks and blocks dealt to ranks. Rows are numbered 0 … rows − 1 in input order;
/// block b holds the rows [b·block_rows, (b + 1)·block_rows) ∩ [0, rows). Rank r owns the contiguous run of
/// blocks [cuts[r], cuts[r + 1]), which may be empty. Blocks never depend on ranks; the dealing does, and so
/// may never reach a result (see CanonicalSum). Replicated: every rank holds the same partition.
class BlockPartition {
 public:
  BlockPartition() : cuts_{0, 0} {}
  /// Throws internal_error unless block_rows is a power of two of at least 32 and cuts rise from 0 to the
  /// number of blocks.
  BlockPartition(Index rows, Index block_rows, std::vector<Index> cuts);

  /// Deals blocks evenly. Cuts are snapped to multiples of the largest power of two of blocks that leaves the
  /// fullest rank at most 5 % above an even share, because aligned cuts make subtrees whole and messages few.
  static BlockPartition even(Index rows, Index block_rows, int ranks);

  Index rows() const { return rows_; }
  Index block_rows() const { return block_rows_; }
  Index blocks() const { return (rows_ + block_rows_ - 1) / block_rows_; }
  int ranks() const { return static_cast<int>(cuts_.size()) - 1; }
  const std::vector<Index>& cuts() const { return cuts_; }

  Index first_block(int rank) const { return cuts_[static_cast<std::size_t>(rank)]; }
  Index end_block(int rank) const { return cuts_[static_cast<std::size_t>(rank) + 1]; }
  Index first_row(int rank) const { return row_of_block(first_block(rank)); }
  Index end_row(int rank) const { return row_of_block(end_block(rank)); }
  Index local_rows(int rank) const { return end_row(rank) - first_row(rank); }
  /// First row of a block; `rows()` for the block past the last.
  Index row_of_block(Index block) const;
  /// The rank that owns a block; cost O(log ranks).
  int owner(Index block) const;

 private:
  Index rows_ = 0;
  Index block_rows_ = kTileRows;
  std::vector<Index> cuts_;
};

/// Rows a block: the power of two in 32 … 8192 that puts about 256 KB into a block of `columns` values of
/// `value_bytes`; of wide rows 128, or as many as 1 MB holds. Sparse rows count as at most 64 non-zeros of
/// value_bytes + 4. A function of columns, format and precision only: part of every algorithm's version,
/// stored in the model. FIRESTEEL_BLOCK_ROWS overrides it in tests.
Index choose_block_rows(Index columns, Index value_bytes, bool sparse);

}  // namespace firesteel
