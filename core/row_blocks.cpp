// SPDX-License-Identifier: Apache-2.0
#include "firesteel/core/row_blocks.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "firesteel/core/move_rows.hpp"
#include "firesteel/core/parameters.hpp"

namespace firesteel {

namespace {

constexpr auto kOnes = [] {
  std::array<double, kTileRows> ones{};
  ones.fill(1.0);
  return ones;
}();

std::vector<std::string> move_texts(Communicator& comm, const std::vector<std::string>& texts,
                                    Index first_row, const BlockPartition& partition) {
  // Texts move as lengths and characters, both in row order.
  std::vector<Index> lengths;
  std::string joined;
  std::vector<Index> characters;
  comm.collectively([&] {
    characters.assign(static_cast<std::size_t>(comm.size()), 0);
    for (std::size_t i = 0; i < texts.size(); ++i) {
      lengths.push_back(static_cast<Index>(texts[i].size()));
      joined += texts[i];
      const int owner = partition.owner((first_row + static_cast<Index>(i)) / partition.block_rows());
      characters[static_cast<std::size_t>(owner)] += lengths.back();
    }
  });
  const auto own_lengths = move_rows(comm, std::span<const Index>(lengths), 1, first_row, partition);
  const auto own_characters =
      comm.alltoallv(std::span<const char>(joined), std::span<const Index>(characters));
  return comm.collectively([&] { return cut_texts(own_lengths, own_characters); });
}

/// Throws bad_input at the first number that is not finite, named by global row.
template <class Scalar>
DenseTiles<Scalar> pack_tiles(std::span<const double> values, Index rows, Index columns, Index first_row) {
  DenseTiles<Scalar> tiles(rows, columns);
  for (Index row = 0; row < rows; ++row) {
    for (Index column = 0; column < columns; ++column) {
      const auto value = static_cast<Scalar>(values[static_cast<std::size_t>(row * columns + column)]);
      if (!std::isfinite(value))
        throw bad_input("row " + std::to_string(first_row + row) + ", column " + std::to_string(column) +
                            ": expected a finite number, got " +
                            number_text(values[static_cast<std::size_t>(row * columns + column)]),
                        {0, first_row + row});
      tiles.at(row, column) = value;
    }
  }
  return tiles;
}

AlignedVector<double> pack_weights(std::span<const double> weights, Index first_row) {
  AlignedVector<double> padded((weights.size() + kTileRows - 1) / kTileRows * kTileRows, 0.0);
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const Index row = first_row + static_cast<Index>(i);
    if (!std::isfinite(weights[i]) || weights[i] < 0)
      throw bad_input(
          "row " + std::to_string(row) + ": expected a weight >= 0, got " + number_text(weights[i]),
          {0, row});
    padded[i] = weights[i];
  }
  return padded;
}

constexpr Index kAbsent = -1;

/// What a rank brings, in words that ranks can compare.
struct MatrixShape {
  Index rows = 0;
  Index columns = 0;
  Index label_kind = kAbsent;  ///< alternative of ColumnValues, kAbsent without labels
  Index has_weights = 0;
  Index single_precision = 0;
};

MatrixShape shape_of(const DenseMatrix& matrix, bool single_precision) {
  const auto cells = static_cast<Index>(matrix.values.size());
  if (cells > 0 && (matrix.columns < 1 || cells % matrix.columns != 0))
    throw bad_input("a matrix of " + std::to_string(cells) + " values cannot have " +
                    std::to_string(matrix.columns) + " columns");
  MatrixShape shape{.rows = cells == 0 ? 0 : cells / matrix.columns, .columns = matrix.columns};
  shape.single_precision = single_precision ? 1 : 0;
  shape.has_weights = matrix.weights.empty() ? 0 : 1;
  if (column_size(matrix.labels) > 0) shape.label_kind = static_cast<Index>(matrix.labels.index());
  for (const Index length : {column_size(matrix.labels), static_cast<Index>(matrix.weights.size())})
    if (length != 0 && length != shape.rows)
      throw bad_input("labels and weights must have one value a row: " + std::to_string(shape.rows) +
                      " rows, " + std::to_string(length) + " values");
  return shape;
}

/// The shape that all ranks with rows agree on; ranks without rows take it over. Replicated.
MatrixShape agreed_shape(Communicator& comm, const MatrixShape& mine) {
  const auto shapes = comm.allgather(mine);
  return comm.collectively([&] {
    MatrixShape common = shapes.front();
    for (const auto& shape : shapes)
      if (common.rows == 0) common = shape;
    common.rows = 0;
    for (const auto& shape : shapes) {
      common.rows += shape.rows;
      if (shape.single_precision != common.single_precision)
        throw bad_parameter("pack_rows: every rank must ask for the same precision");
      if (shape.rows == 0) continue;
      if (shape.columns != common.columns)
        throw bad_input("pack_rows: every rank must have the same columns, got " +
                        std::to_string(common.columns) + " and " + std::to_string(shape.columns));
      if (shape.label_kind != common.label_kind || shape.has_weights != common.has_weights)
        throw bad_input(
            "pack_rows: labels of one kind and weights must be given on every rank that has rows, or "
            "on none");
    }
    if (common.columns < 1)
      throw bad_input("pack_rows: a matrix needs at least one column, got " + std::to_string(common.columns));
    return common;
  });
}

/// Labels of `kind`; none where this rank has no rows.
ColumnValues labels_of_kind(const ColumnValues& labels, Index kind) {
  if (kind == 1 && labels.index() != 1) return std::vector<std::int64_t>{};
  if (kind == 2 && labels.index() != 2) return std::vector<std::string>{};
  if (kind <= 0 && labels.index() != 0) return std::vector<double>{};
  return labels;
}

}  // namespace

template <class Scalar>
DenseTiles<Scalar>::DenseTiles(const Context& context, Index local_rows, Index columns, Index block_rows)
    : rows_(local_rows), columns_(columns) {
  const Index tiles = (local_rows + kTileRows - 1) / kTileRows;
  const Index tile_bytes = kTileRows * columns * static_cast<Index>(sizeof(Scalar));
  const auto& pool = context.memory();
  if (pool->has_ample_room(tiles * tile_bytes)) {
    reserved_ = std::make_shared<MemoryReservation>(pool, tiles * tile_bytes, "rows");
    values_.resize(static_cast<std::size_t>(tiles * kTileRows * columns));
    return;
  }
  block_shift_ = std::countr_zero(static_cast<std::uint64_t>(block_rows / kTileRows));
  const Index blocks = (local_rows + block_rows - 1) / block_rows;
  store_ = std::make_shared<BlockStore>(pool, context.scratch(), blocks, tile_bytes << block_shift_,
                                        context.threads());
  rows_left_ = std::make_shared<std::vector<std::atomic<Index>>>(static_cast<std::size_t>(blocks));
  for (Index block = 0; block < blocks; ++block)
    (*rows_left_)[static_cast<std::size_t>(block)] = std::min(block_rows, local_rows - block * block_rows);
}

template <class Scalar>
void DenseTiles<Scalar>::copy_row(Index row, std::span<double> values) const {
  const Index lane = row % kTileRows;
  const Index t = row / kTileRows;
  if (!store_ || store_->address(t >> block_shift_) != nullptr) {
    const Scalar* const own = tile(t) + lane;
    for (std::size_t j = 0; j < values.size(); ++j) values[j] = static_cast<double>(own[j * kTileRows]);
    return;
  }
  std::vector<Scalar> own(static_cast<std::size_t>(kTileRows * columns_));
  copy_tiles(t, own);
  for (std::size_t j = 0; j < values.size(); ++j)
    values[j] = static_cast<double>(own[j * kTileRows + static_cast<std::size_t>(lane)]);
}

template <class Scalar>
void DenseTiles<Scalar>::copy_tiles(Index first, std::span<Scalar> tiles) const {
  if (!store_) {
    std::copy_n(tile(first), tiles.size(), tiles.begin());
    return;
  }
  const Index within = first & (block_tiles() - 1);
  store_->copy(first >> block_shift_, within * kTileRows * columns_ * static_cast<Index>(sizeof(Scalar)),
               reinterpret_cast<std::byte*>(tiles.data()), static_cast<Index>(tiles.size_bytes()));
}

template <class Scalar>
void DenseTiles<Scalar>::begin_rows(Index first, Index end) {
  if (!store_ || first >= end) return;
  const Index block_rows = kTileRows << block_shift_;
  for (Index block = first / block_rows; block * block_rows < end; ++block) store_->open(block);
}

template <class Scalar>
void DenseTiles<Scalar>::end_rows(Index first, Index end) {
  if (!store_ || first >= end) return;
  const Index block_rows = kTileRows << block_shift_;
  for (Index block = first / block_rows; block * block_rows < end; ++block) {
    const Index written = std::min(end, (block + 1) * block_rows) - std::max(first, block * block_rows);
    if ((*rows_left_)[static_cast<std::size_t>(block)].fetch_sub(written) == written) store_->close(block);
  }
}

template class DenseTiles<float>;
template class DenseTiles<double>;

BlockStore* RowBlocks::store() const {
  return std::visit([](const auto& storage) { return storage.store(); }, features);
}

std::string FeatureSchema::column(Index j) const {
  return names.empty() ? "column " + std::to_string(j)
                       : "column '" + names[static_cast<std::size_t>(j)] + "'";
}

const double* RowBlocks::tile_weights(Index t, std::span<double, kTileRows> buffer) const {
  if (!weights.empty()) return weights.data() + t * kTileRows;
  const Index rows = std::min(kTileRows, local_rows() - t * kTileRows);
  if (rows == kTileRows) return kOnes.data();
  std::fill(buffer.begin(), buffer.end(), 0.0);
  std::fill_n(buffer.begin(), rows, 1.0);
  return buffer.data();
}

RowBlocks pack_rows(const Context& context, const DenseMatrix& matrix, bool single_precision) {
  Communicator& comm = context.comm();
  const auto mine = comm.collectively([&] { return shape_of(matrix, single_precision); });
  const auto shape = agreed_shape(comm, mine);
  const Index first_row = comm.exclusive_scan(mine.rows);
  const Index value_bytes = single_precision ? sizeof(float) : sizeof(double);

  RowBlocks blocks{.context = context};
  blocks.partition = comm.collectively([&] {
    return BlockPartition::even(shape.rows, choose_block_rows(shape.columns, value_bytes, false),
                                comm.size());
  });
  blocks.rows_used = shape.rows;
  const auto own = move_rows(comm, matrix.values, shape.columns, first_row, blocks.partition);
  const auto own_weights = move_rows(comm, matrix.weights, 1, first_row, blocks.partition);
  blocks.has_labels = shape.label_kind != kAbsent;
  std::visit(
      [&](const auto& labels) {
        using Value = typename std::decay_t<decltype(labels)>::value_type;
        if constexpr (std::is_same_v<Value, std::string>)
          blocks.labels = move_texts(comm, labels, first_row, blocks.partition);
        else
          blocks.labels = move_rows(comm, std::span<const Value>(labels), 1, first_row, blocks.partition);
      },
      labels_of_kind(matrix.labels, shape.label_kind));
  comm.collectively([&] {
    const Index own_first = blocks.partition.first_row(comm.rank());
    if (single_precision)
      blocks.features = pack_tiles<float>(own, blocks.local_rows(), shape.columns, own_first);
    else
      blocks.features = pack_tiles<double>(own, blocks.local_rows(), shape.columns, own_first);
    if (shape.has_weights != 0) blocks.weights = pack_weights(own_weights, own_first);
  });
  return blocks;
}

}  // namespace firesteel
