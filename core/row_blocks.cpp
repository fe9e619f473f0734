// SPDX-License-Identifier: Apache-2.0
#include "firesteel/core/row_blocks.hpp"

#include <algorithm>
#include <array>

#include "firesteel/core/move_rows.hpp"

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
  std::vector<Index> characters(static_cast<std::size_t>(comm.size()), 0);
  for (std::size_t i = 0; i < texts.size(); ++i) {
    lengths.push_back(static_cast<Index>(texts[i].size()));
    joined += texts[i];
    const int owner = partition.owner((first_row + static_cast<Index>(i)) / partition.block_rows());
    characters[static_cast<std::size_t>(owner)] += lengths.back();
  }
  const auto own_lengths = move_rows(comm, std::span<const Index>(lengths), 1, first_row, partition);
  const auto own_characters =
      comm.alltoallv(std::span<const char>(joined), std::span<const Index>(characters));
  std::vector<std::string> own;
  std::size_t offset = 0;
  for (const Index length : own_lengths) {
    own.emplace_back(own_characters.data() + offset, static_cast<std::size_t>(length));
    offset += static_cast<std::size_t>(length);
  }
  return own;
}

template <class Scalar>
DenseTiles<Scalar> pack_tiles(std::span<const double> values, Index rows, Index columns) {
  DenseTiles<Scalar> tiles(rows, columns);
  for (Index row = 0; row < rows; ++row)
    for (Index column = 0; column < columns; ++column)
      tiles.at(row, column) = static_cast<Scalar>(values[static_cast<std::size_t>(row * columns + column)]);
  return tiles;
}

void check_matrix(const DenseMatrix& matrix, Index rows) {
  const auto cells = static_cast<Index>(matrix.values.size());
  if (matrix.columns < 1 || cells % matrix.columns != 0)
    throw bad_input("a matrix of " + std::to_string(cells) + " values cannot have " +
                    std::to_string(matrix.columns) + " columns");
  for (const Index length : {column_size(matrix.labels), static_cast<Index>(matrix.weights.size())})
    if (length != 0 && length != rows)
      throw bad_input("labels and weights must have one value a row: " + std::to_string(rows) + " rows, " +
                      std::to_string(length) + " values");
}

}  // namespace

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
  const Index local_rows = comm.collectively([&] {
    const Index rows = matrix.columns < 1 ? 0 : static_cast<Index>(matrix.values.size()) / matrix.columns;
    check_matrix(matrix, rows);
    return rows;
  });
  const Index rows = comm.sum(local_rows);
  const Index first_row = comm.exclusive_scan(local_rows);
  const Index value_bytes = single_precision ? sizeof(float) : sizeof(double);

  RowBlocks blocks{.context = context};
  blocks.partition =
      BlockPartition::even(rows, choose_block_rows(matrix.columns, value_bytes, false), comm.size());
  blocks.rows_used = rows;
  const auto own = move_rows(comm, matrix.values, matrix.columns, first_row, blocks.partition);
  const auto own_weights = move_rows(comm, matrix.weights, 1, first_row, blocks.partition);
  blocks.has_labels = comm.any(column_size(matrix.labels) > 0);
  std::visit(
      [&](const auto& labels) {
        using Value = typename std::decay_t<decltype(labels)>::value_type;
        if constexpr (std::is_same_v<Value, std::string>)
          blocks.labels = move_texts(comm, labels, first_row, blocks.partition);
        else
          blocks.labels = move_rows(comm, std::span<const Value>(labels), 1, first_row, blocks.partition);
      },
      matrix.labels);
  const bool has_weights = comm.any(!matrix.weights.empty());
  comm.collectively([&] {
    const Index own_rows = blocks.local_rows();
    if (single_precision)
      blocks.features = pack_tiles<float>(own, own_rows, matrix.columns);
    else
      blocks.features = pack_tiles<double>(own, own_rows, matrix.columns);
    if (has_weights) {
      blocks.weights.assign(static_cast<std::size_t>((own_rows + kTileRows - 1) / kTileRows * kTileRows),
                            0.0);
      std::copy(own_weights.begin(), own_weights.end(), blocks.weights.begin());
    }
  });
  return blocks;
}

}  // namespace firesteel
