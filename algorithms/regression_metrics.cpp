// SPDX-License-Identifier: Apache-2.0
#include "firesteel/algorithms/regression_metrics.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "firesteel/core/canonical_sum.hpp"
#include "firesteel/core/move_rows.hpp"

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

}  // namespace

Metrics regression_metrics(const Context& context, const RegressionRows& rows) {
  Communicator& comm = context.comm();
  const auto given = comm.collectively([&] { return joined(rows); });
  const auto count = static_cast<Index>(given.size());
  const auto partition =
      BlockPartition::even(comm.sum(count), choose_block_rows(3, sizeof(double), false), comm.size());
  const auto own =
      move_rows(comm, std::span<const ComparedRow>(given), 1, comm.exclusive_scan(count), partition);

  const auto block_rows = [&](Index block) {
    const Index first = partition.first_row(context.rank());
    return std::span<const ComparedRow>(own).subspan(
        static_cast<std::size_t>(partition.row_of_block(block) - first),
        static_cast<std::size_t>(partition.row_of_block(block + 1) - partition.row_of_block(block)));
  };
  // Σ w, Σ w y, Σ w (y − ŷ)², Σ w |y − ŷ|
  CanonicalSum sums(comm, partition, 4, context.threads());
  const auto total = sums([&](Index block, std::span<double> out) {
    std::fill(out.begin(), out.end(), 0.0);
    for (const auto& row : block_rows(block)) {
      if (row.weight == 0.0) continue;
      const double error = row.truth - row.prediction;
      out[0] += row.weight;
      out[1] += row.weight * row.truth;
      out[2] += row.weight * error * error;
      out[3] += row.weight * std::abs(error);
    }
  });
  const double weight = total[0];
  const double squares = total[2];
  if (!(weight > 0))
    return {{"rmse", kUndefined}, {"mse", kUndefined}, {"mae", kUndefined}, {"r2", kUndefined}};
  const double mean = total[1] / weight;
  const double mae = total[3] / weight;

  // Σ w (y − ȳ)²
  CanonicalSum spread_sum(comm, partition, 1, context.threads());
  const double spread = spread_sum([&](Index block, std::span<double> out) {
    out[0] = 0.0;
    for (const auto& row : block_rows(block))
      if (row.weight != 0.0) out[0] += row.weight * (row.truth - mean) * (row.truth - mean);
  })[0];
  const double mse = squares / weight;
  return {{"rmse", std::sqrt(mse)},
          {"mse", mse},
          {"mae", mae},
          {"r2", spread > 0 ? 1.0 - squares / spread : kUndefined}};
}

}  // namespace firesteel
