// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mpi.h>

#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "firesteel/algorithms/kmeans.hpp"
#include "firesteel/core/philox.hpp"

namespace firesteel::test {

/// Small blocks, so that small data make many blocks and ranks.
inline void use_small_blocks() { setenv("FIRESTEEL_BLOCK_ROWS", "32", 1); }

/// The same rows on any communicator: rank 0 holds them, the packing spreads them.
inline RowBlocks dense(const Context& context, const std::vector<double>& values, Index columns,
                       const std::vector<double>& weights = {}, bool single = false) {
  DenseMatrix matrix{.columns = columns};
  if (context.rank() == 0) {
    matrix.values = values;
    matrix.weights = weights;
  }
  return pack_rows(context, matrix, single);
}

/// The same rows as CSR: zeros left out.
template <class Scalar = double>
RowBlocks sparse(const Context& context, const std::vector<double>& values, Index columns,
                 const std::vector<double>& weights = {}) {
  const Index rows = static_cast<Index>(values.size()) / columns;
  RowBlocks blocks{.context = context};
  blocks.partition =
      BlockPartition::even(rows, choose_block_rows(columns, sizeof(Scalar), true), context.size());
  blocks.rows_used = rows;
  SparseRows<Scalar> own;
  own.columns_count = columns;
  const Index first = blocks.partition.first_row(context.rank());
  const Index end = blocks.partition.end_row(context.rank());
  for (Index r = first; r < end; ++r) {
    for (Index j = 0; j < columns; ++j) {
      const double value = values[static_cast<std::size_t>(r * columns + j)];
      if (value == 0) continue;
      own.indices.push_back(static_cast<std::int32_t>(j));
      own.values.push_back(static_cast<Scalar>(value));
    }
    own.row_begin.push_back(static_cast<Index>(own.indices.size()));
  }
  blocks.features = own;
  if (!weights.empty()) {
    blocks.weights.assign(weights.begin() + first, weights.begin() + end);
    blocks.weights.resize((blocks.weights.size() + kTileRows - 1) / kTileRows * kTileRows, 0.0);
  }
  return blocks;
}

/// Rows around `centres` centres on a grid of halves, so that ties and repeated rows occur.
inline std::vector<double> scattered(Index rows, Index columns, Index centres, std::uint64_t seed) {
  std::vector<double> values;
  for (Index r = 0; r < rows; ++r) {
    const auto centre =
        philox_bits(seed, 1, static_cast<std::uint64_t>(r)) % static_cast<std::uint64_t>(centres);
    for (Index j = 0; j < columns; ++j) {
      const double place =
          static_cast<double>(philox_bits(seed, 2, centre * 1000 + static_cast<std::uint64_t>(j)) % 16);
      const double noise = philox_uniform(seed, 3, static_cast<std::uint64_t>(r * columns + j)) * 6;
      values.push_back(place + static_cast<double>(static_cast<int>(noise)) / 2);
    }
  }
  return values;
}

inline Matrix first_rows(const std::vector<double>& values, Index columns, const std::vector<int>& rows) {
  Matrix matrix{static_cast<Index>(rows.size()), columns, {}};
  for (const int row : rows)
    matrix.values.insert(matrix.values.end(), values.begin() + row * columns,
                         values.begin() + (row + 1) * columns);
  return matrix;
}

inline std::string digest(const KMeansModel& model) {
  Record record;
  model.to_record(record);
  summary_to_record(model.summary, record);
  return record.sha256();
}

/// All predictions, on every rank.
inline std::vector<std::int64_t> labels_of(const KMeansModel& model, const RowBlocks& data) {
  const auto table = model.predict(data);
  const auto& own = std::get<std::vector<std::int64_t>>(table.columns[0].values);
  return data.context.comm().allgatherv(std::span<const std::int64_t>(own));
}
inline std::vector<double> distances_of(const KMeansModel& model, const RowBlocks& data) {
  const auto table = model.predict(data);
  const auto& own = std::get<std::vector<double>>(table.columns[1].values);
  return data.context.comm().allgatherv(std::span<const double>(own));
}

}  // namespace firesteel::test
