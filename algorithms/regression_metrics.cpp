// SPDX-License-Identifier: Apache-2.0
#include "firesteel/algorithms/regression_metrics.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "firesteel/core/canonical_sum.hpp"
#include "firesteel/core/move_rows.hpp"
#include "firesteel/core/row_blocks.hpp"

namespace firesteel {

namespace {

constexpr double kUndefined = std::numeric_limits<double>::quiet_NaN();

struct ComparedRow {
  double truth;
  double prediction;
  double weight;
};

std::vector<ComparedRow> joined(const RegressionRows& rows) {
  const std::size_t count = rows.truth.size();
  if (rows.prediction.size() != count || (!rows.weights.empty() && rows.weights.size() != count))
    throw internal_error("metrics were given " + std::to_string(count) + " true values, " +
                         std::to_string(rows.prediction.size()) + " predictions and " +
                         std::to_string(rows.weights.size()) + " weights");
  std::vector<ComparedRow> all(count);
  for (std::size_t i = 0; i < count; ++i)
    all[i] = {rows.truth[i], rows.prediction[i], rows.weights.empty() ? 1.0 : rows.weights[i]};
  return all;
}

BlockPartition partition_of(Communicator& comm, Index count) {
  return BlockPartition::even(comm.sum(count), choose_block_rows(3, sizeof(double), false), comm.size());
}

/// row_at(local row) gives a ComparedRow, in a walk over `store`. Collective.
template <class RowAt>
Metrics metrics_of(const Context& context, const BlockPartition& partition, BlockStore* store,
                   const RowAt& row_at) {
  Communicator& comm = context.comm();
  const Index first_row = partition.first_row(context.rank());
  const auto for_rows = [&](Index block, const auto& body) {
    for (Index row = partition.row_of_block(block); row < partition.row_of_block(block + 1); ++row)
      body(row_at(row - first_row));
  };
  // Σ w, Σ w y, Σ w (y − ŷ)², Σ w |y − ŷ|
  CanonicalSum sums(comm, partition, 4, context.threads());
  const auto total = sums(
      [&](Index block, std::span<double> out) {
        std::fill(out.begin(), out.end(), 0.0);
        for_rows(block, [&](const ComparedRow& row) {
          if (row.weight == 0.0) return;
          const double error = row.truth - row.prediction;
          out[0] += row.weight;
          out[1] += row.weight * row.truth;
          out[2] += row.weight * error * error;
          out[3] += row.weight * std::abs(error);
        });
      },
      store);
  const double weight = total[0];
  const double squares = total[2];
  if (!(weight > 0))
    return {{"rmse", kUndefined}, {"mse", kUndefined}, {"mae", kUndefined}, {"r2", kUndefined}};
  const double mean = total[1] / weight;
  const double mae = total[3] / weight;

  // Σ w (y − ȳ)²
  CanonicalSum spread_sum(comm, partition, 1, context.threads());
  const double spread = spread_sum(
      [&](Index block, std::span<double> out) {
        out[0] = 0.0;
        for_rows(block, [&](const ComparedRow& row) {
          if (row.weight != 0.0) out[0] += row.weight * (row.truth - mean) * (row.truth - mean);
        });
      },
      store)[0];
  const double mse = squares / weight;
  return {{"rmse", std::sqrt(mse)},
          {"mse", mse},
          {"mae", mae},
          {"r2", spread > 0 ? 1.0 - squares / spread : kUndefined}};
}

}  // namespace

Metrics regression_metrics(const Context& context, const RegressionRows& rows) {
  Communicator& comm = context.comm();
  const auto given = comm.collectively([&] { return joined(rows); });
  const auto count = static_cast<Index>(given.size());
  const auto partition = partition_of(comm, count);
  const auto own =
      move_rows(comm, std::span<const ComparedRow>(given), 1, comm.exclusive_scan(count), partition);
  return metrics_of(context, partition, nullptr,
                    [&](Index row) { return own[static_cast<std::size_t>(row)]; });
}

Metrics regression_metrics(const Context& context, Index count,
                           FunctionRef<bool(std::vector<double>&, std::vector<double>&)> next) {
  struct PlacedRow {
    Index row;
    double truth;
    double prediction;
  };
  Communicator& comm = context.comm();
  const auto partition = partition_of(comm, count);
  const Index own_first = partition.first_row(comm.rank());
  // Rows in tiles of two columns.
  auto tiles = comm.collectively([&] {
    return DenseTiles<double>(context, partition.local_rows(comm.rank()), 2, partition.block_rows());
  });
  Index row = comm.exclusive_scan(count);
  for (bool more = true; comm.any(more);) {
    std::vector<PlacedRow> placed;
    std::vector<Index> counts;
    comm.collectively([&] {
      std::vector<double> truth;
      std::vector<double> prediction;
      more = more && next(truth, prediction);
      counts.assign(static_cast<std::size_t>(comm.size()), 0);
      for (std::size_t i = 0; i < truth.size(); ++i, ++row) {
        placed.push_back({row, truth[i], prediction[i]});
        ++counts[static_cast<std::size_t>(partition.owner(row / partition.block_rows()))];
      }
    });
    const auto received = comm.alltoallv(std::span<const PlacedRow>(placed), std::span<const Index>(counts));
    comm.collectively([&] {
      for (const PlacedRow& each : received) {
        const Index local = each.row - own_first;
        tiles.begin_rows(local, local + 1);
        tiles.at(local, 0) = each.truth;
        tiles.at(local, 1) = each.prediction;
        tiles.end_rows(local, local + 1);
      }
    });
  }
  return metrics_of(context, partition, tiles.store(), [&](Index local) {
    return ComparedRow{tiles.at(local, 0), tiles.at(local, 1), 1.0};
  });
}

}  // namespace firesteel
