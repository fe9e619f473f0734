// SPDX-License-Identifier: Apache-2.0
#include "firesteel/algorithms/kmeans_points.hpp"

#include <algorithm>
#include <cmath>
#include <string>

#include "firesteel/core/parallel.hpp"
#include "firesteel/core/parameters.hpp"
#include "firesteel/linalg/simd.hpp"

namespace firesteel::detail {

namespace {

/// Between 2^−30 and 2^30 squares of single-precision numbers, summed, are safe as they are.
constexpr int kSafeExponent = 30;

}  // namespace

double inverse_length(std::span<const double> values, double weight, Index global_row) {
  double largest = 0;
  for (const double value : values) largest = std::max(largest, std::abs(value));
  if (largest == 0) {
    if (weight == 0) return 0;
    throw bad_input(
        "row " + std::to_string(global_row) +
            " (from 0) has length zero: cosine distance is not defined for it; leave such rows out "
            "or use --distance-measure euclidean",
        {0, global_row});
  }
  double sum = 0;
  for (const double value : values) sum += (value / largest) * (value / largest);
  return 1 / (largest * std::sqrt(sum));
}

Index KMeansPoints::first_tile(Index block) const {
  return (rows_.partition.row_of_block(block) - first_row()) / kTileRows;
}
Index KMeansPoints::end_tile(Index block) const {
  return (rows_.partition.row_of_block(block + 1) - first_row() + kTileRows - 1) / kTileRows;
}

void KMeansPoints::for_each_block(FunctionRef<void(Index block, int thread)> body) const {
  const auto& partition = rows_.partition;
  const int rank = context().rank();
  const Index first = partition.first_block(rank);
  BlockPass pass(store());
  parallel_for(context().threads(), partition.end_block(rank) - first, [&](Index i, int thread) {
    const BlockPass::Hold hold(pass, i);
    body(first + i, thread);
  });
}

std::unique_ptr<KMeansPoints> KMeansPoints::make(const RowBlocks& rows, bool cosine) {
  auto points = rows.context.comm().collectively([&] {
    select_simd();
    return std::visit(
        [&](const auto& storage) {
          if constexpr (requires { storage.tiles(); })
            return make_dense_points(rows, storage, cosine);
          else
            return make_sparse_points(rows, storage, cosine);
        },
        rows.features);
  });
  points->prepare();
  return points;
}

double KMeansPoints::largest_weight() {
  Communicator& comm = context().comm();
  double largest = 0;
  Index count = 0;
  if (weighted()) {
    for (Index r = 0; r < local_rows(); ++r) {
      const double weight = rows_.weights[static_cast<std::size_t>(r)];
      largest = std::max(largest, weight);
      count += weight > 0 ? 1 : 0;
    }
  } else if (local_rows() > 0) {  // ranks without rows do not know whether others have weights
    largest = 1;
    count = local_rows();
  }
  rows_weighted_ = comm.sum(count);
  comm.allreduce_max(std::span(&largest, 1));
  return largest;
}

void KMeansPoints::choose_unit(const ColumnRange& range) {
  double largest = 0;
  for (std::size_t j = 0; j < range.lowest.size(); ++j)
    largest = std::max({largest, -range.lowest[j], range.highest[j]});
  if (!(largest > 0) || !std::isfinite(largest)) return;
  const int magnitude = std::ilogb(largest);
  if (std::abs(magnitude) <= kSafeExponent) return;
  exponent_ = magnitude > 0 ? kSafeExponent - magnitude : -kSafeExponent - magnitude;
  unit_ = std::ldexp(1.0, -exponent_);
}

void KMeansPoints::prepare() {
  const double weight = largest_weight();
  const ColumnRange range = measure_columns();
  choose_unit(range);
  std::vector<double> largest(range.shift.size(), 0.0);
  for (std::size_t j = 0; j < largest.size() && rows_weighted_ > 0; ++j) {
    largest[j] = std::max(range.highest[j] - range.shift[j], range.shift[j] - range.lowest[j]);
    if (!std::isfinite(largest[j]))
      throw Error(ErrorCode::bad_input,
                  rows_.schema.column(static_cast<Index>(j)) + " spans from " + number_text(range.lowest[j]) +
                      " to " + number_text(range.highest[j]) +
                      ", which is too wide for double precision: scale it",
                  {}, true);
  }
  terms_ = TwoLimbTerms(std::max<Index>(1, rows_.partition.rows()), range.shift, largest, weight);
  TermRange terms = measure_terms();
  Communicator& comm = context().comm();
  comm.allreduce_max(std::span<double>(terms.largest));
  comm.allreduce_min(std::span<double>(terms.smallest));
  terms_.set_magnitudes(terms.largest, terms.smallest);
  if (!terms_.wide().empty()) terms = measure_terms();  // the shift changed
  total_energy_ = terms.energy;
}

}  // namespace firesteel::detail
