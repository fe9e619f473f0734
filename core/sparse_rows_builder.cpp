// SPDX-License-Identifier: Apache-2.0
#include "firesteel/core/sparse_rows_builder.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>

namespace firesteel {

namespace {

std::size_t at(Index i) { return static_cast<std::size_t>(i); }

template <class Scalar>
void make_store(SparseRows<Scalar>& rows, const Context& context, Index local_rows, Index block_rows,
                Index non_zeros) {
  const Index count = (local_rows + block_rows - 1) / block_rows;
  const Index most =
      non_zeros * static_cast<Index>(sizeof(Scalar) + sizeof(std::int32_t)) + 4 * local_rows + 16 * count;
  rows.blocks = {std::make_shared<BlockStore>(context.memory(), context.scratch(),
                                              BlockStore::AnySizes{count, most}, context.threads()),
                 local_rows, std::countr_zero(static_cast<std::uint64_t>(block_rows)), 0};
}

}  // namespace

template <class Scalar>
SparseRowsBuilder<Scalar>::SparseRowsBuilder(const Context& context, Index local_rows, Index columns,
                                             Index block_rows, Index non_zeros) {
  rows_.columns_count = columns;
  const Index bytes = non_zeros * static_cast<Index>(sizeof(Scalar) + sizeof(std::int32_t)) +
                      (local_rows + 1) * static_cast<Index>(sizeof(Index));
  if (context.memory()->has_ample_room(bytes)) {
    rows_.reserved = std::make_shared<MemoryReservation>(context.memory(), bytes, "rows");
    rows_.row_begin.reserve(at(local_rows) + 1);
    rows_.indices.reserve(at(non_zeros));
    rows_.values.reserve(at(non_zeros));
    return;
  }
  make_store(rows_, context, local_rows, block_rows, non_zeros);
}

template <class Scalar>
void SparseRowsBuilder<Scalar>::add(std::span<const std::int32_t> indices, std::span<const Scalar> values,
                                    bool zeros) {
  auto& all_indices = spills() ? indices_ : rows_.indices;
  all_indices.insert(all_indices.end(), indices.begin(), indices.end());
  const auto put = [&](auto& all) {
    if (zeros)
      all.insert(all.end(), values.size(), Scalar{0});
    else
      all.insert(all.end(), values.begin(), values.end());
  };
  if (!spills()) {
    put(rows_.values);
    rows_.row_begin.push_back(static_cast<Index>(rows_.indices.size()));
    return;
  }
  put(values_);
  if (values_.size() > std::numeric_limits<std::uint32_t>::max())
    throw bad_input("a block of sparse rows has more than 2^32 - 1 values");
  begin_.push_back(static_cast<std::uint32_t>(values_.size()));
  ++added_;
  if (added_ % (Index{1} << rows_.blocks.row_shift) == 0 || added_ == rows_.blocks.rows) close_block();
}

template <class Scalar>
void SparseRowsBuilder<Scalar>::close_block() {
  const Index count = static_cast<Index>(begin_.size()) - 1;
  const Index header = SparseRows<Scalar>::header_bytes(count);
  const Index value_bytes = static_cast<Index>(values_.size() * sizeof(Scalar));
  const Index index_bytes = static_cast<Index>(indices_.size() * sizeof(std::int32_t));
  const PageMemory pages(at(header + value_bytes + index_bytes + kScratchAlignment));
  std::memcpy(pages.data(), begin_.data(), begin_.size() * sizeof(std::uint32_t));
  if (value_bytes > 0) {
    std::memcpy(pages.data() + header, values_.data(), at(value_bytes));
    std::memcpy(pages.data() + header + value_bytes, indices_.data(), at(index_bytes));
  }
  rows_.blocks.store->put((added_ - 1) >> rows_.blocks.row_shift, pages.data(),
                          header + value_bytes + index_bytes);
  rows_.blocks.non_zeros += static_cast<Index>(values_.size());
  begin_.assign(1, 0);
  indices_.clear();
  values_.clear();
}

template <class Scalar>
SparseRows<Scalar> SparseRowsBuilder<Scalar>::finish() {
  if (!spills()) return std::move(rows_);
  if (added_ != rows_.blocks.rows) throw internal_error("sparse rows are missing");
  begin_ = {};
  indices_ = {};
  values_ = {};
  rows_.blocks.store->filled();
  return std::move(rows_);
}

template <class Scalar>
SparseRows<Scalar> with_other_values(const RowBlocks& rows, const SparseRows<Scalar>& sparse,
                                     FunctionRef<void(Index, std::span<Scalar>)> change) {
  SparseRows<Scalar> changed;
  changed.columns_count = sparse.columns_count;
  make_store(changed, rows.context, sparse.local_rows(), Index{1} << sparse.blocks.row_shift,
             sparse.blocks.non_zeros);
  changed.blocks.non_zeros = sparse.blocks.non_zeros;
  const Index first_block = rows.partition.first_block(rows.context.rank());
  for_each_block(rows, [&](Index block, int) {
    const Index own = block - first_block;
    const Index bytes = sparse.store()->block_bytes(own);
    const PageMemory pages(at(bytes));
    std::memcpy(pages.data(), sparse.store()->address(own), at(bytes));
    const Index count = sparse.rows_of_block(own);
    const auto* const begin = reinterpret_cast<const std::uint32_t*>(pages.data());
    auto* const values = reinterpret_cast<Scalar*>(pages.data() + SparseRows<Scalar>::header_bytes(count));
    for (Index row = 0; row < count; ++row)
      change((own << sparse.blocks.row_shift) + row, {values + begin[row], begin[row + 1] - begin[row]});
    changed.blocks.store->put(own, pages.data(), bytes);
  });
  changed.blocks.store->filled();
  return changed;
}

template class SparseRowsBuilder<float>;
template class SparseRowsBuilder<double>;
template SparseRows<float> with_other_values(const RowBlocks&, const SparseRows<float>&,
                                             FunctionRef<void(Index, std::span<float>)>);
template SparseRows<double> with_other_values(const RowBlocks&, const SparseRows<double>&,
                                              FunctionRef<void(Index, std::span<double>)>);

}  // namespace firesteel
