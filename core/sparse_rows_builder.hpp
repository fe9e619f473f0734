// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "firesteel/core/page_memory.hpp"
#include "firesteel/core/row_blocks.hpp"

namespace firesteel {

/// Takes the sparse rows of a rank in order and keeps them in memory, or, where the context has no room for
/// all, block by block in a BlockStore. Local.
template <class Scalar>
class SparseRowsBuilder {
 public:
  /// `non_zeros`: at most so many in all rows. `block_rows` a power of two. Throws 73, 71.
  SparseRowsBuilder(const Context& context, Index local_rows, Index columns, Index block_rows,
                    Index non_zeros);

  bool spills() const { return rows_.store() != nullptr; }
  /// The rows, where they are kept in memory, to be filled otherwise than by add().
  SparseRows<Scalar>& in_memory() { return rows_; }

  /// The next row, indices ascending. With `zeros` its values are zeros, whatever they were: a row that is
  /// left out. Throws 74.
  void add(std::span<const std::int32_t> indices, std::span<const Scalar> values, bool zeros = false);
  /// All rows were added. Throws 71.
  SparseRows<Scalar> finish();

 private:
  void close_block();

  SparseRows<Scalar> rows_;
  Index added_ = 0;
  // The block that is being filled.
  std::vector<std::uint32_t> begin_{0};
  std::vector<std::int32_t> indices_;
  std::vector<Scalar> values_;
};

/// The blocks of sparse rows in a store with other values: change(local row, values) for every row of this
/// rank. `rows` holds `sparse`, which has a store. Local; throws what change throws, 73, 74, 71.
template <class Scalar>
SparseRows<Scalar> with_other_values(const RowBlocks& rows, const SparseRows<Scalar>& sparse,
                                     FunctionRef<void(Index row, std::span<Scalar> values)> change);

extern template class SparseRowsBuilder<float>;
extern template class SparseRowsBuilder<double>;

}  // namespace firesteel
