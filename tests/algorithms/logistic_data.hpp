// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <span>
#include <string>
#include <vector>

#include "firesteel/algorithms/logistic_regression.hpp"
#include "firesteel/core/row_blocks.hpp"

namespace firesteel {

/// Packs the rows that a rank holds when `rows` rows are dealt evenly in order; every rank has the whole
/// matrix.
inline RowBlocks pack_slice(const Context& context, std::span<const double> values, Index columns,
                            std::span<const double> labels, std::span<const double> weights = {},
                            bool single_precision = false) {
  const auto rows = static_cast<Index>(labels.size());
  const auto first = static_cast<std::size_t>(rows * context.rank() / context.size());
  const auto end = static_cast<std::size_t>(rows * (context.rank() + 1) / context.size());
  const auto d = static_cast<std::size_t>(columns);
  const auto own = labels.subspan(first, end - first);
  return pack_rows(context,
                   {.values = values.subspan(first * d, (end - first) * d),
                    .columns = columns,
                    .labels = std::vector<double>(own.begin(), own.end()),
                    .weights = weights.empty() ? weights : weights.subspan(first, end - first)},
                   single_precision);
}

/// The same rows as CSR, zeros left out.
inline RowBlocks to_sparse(const RowBlocks& dense) {
  RowBlocks result = dense;
  const auto& tiles = std::get<DenseTiles<double>>(dense.features);
  SparseRows<double> rows;
  rows.columns_count = tiles.columns();
  for (Index row = 0; row < tiles.local_rows(); ++row) {
    for (Index j = 0; j < tiles.columns(); ++j) {
      if (tiles.at(row, j) == 0) continue;
      rows.indices.push_back(static_cast<std::int32_t>(j));
      rows.values.push_back(tiles.at(row, j));
    }
    rows.row_begin.push_back(static_cast<Index>(rows.values.size()));
  }
  result.features = std::move(rows);
  return result;
}

/// Of the model and the summary of its fit.
inline std::string digest(const LogisticRegressionModel& model) {
  Record record;
  model.to_record(record);
  summary_to_record(model.summary, record);
  return record.sha256();
}

}  // namespace firesteel
