// SPDX-License-Identifier: Apache-2.0
#include "firesteel/algorithms/kmeans_points.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <limits>
#include <mutex>
#include <string>
#include <vector>

#include "firesteel/core/parallel.hpp"
#include "firesteel/core/parameters.hpp"
#include "firesteel/linalg/simd.hpp"

namespace firesteel::detail {

namespace {

/// Between 2^−30 and 2^30 squares of single-precision numbers, summed, are safe as they are.
constexpr int kSafeExponent = 30;

}  // namespace

UnitLength::UnitLength(std::span<const double> values, double weight, Index global_row) {
  double largest = 0;
  for (const double value : values) largest = std::max(largest, std::abs(value));
  if (largest == 0) {
    if (weight == 0) return;
    throw bad_input(
        "row " + std::to_string(global_row) +
            " (from 0) has length zero: cosine distance is not defined for it; leave such rows out "
            "or use --distance-measure euclidean",
        {0, global_row});
  }
  constexpr int kFar = 900;
  if (const int magnitude = std::ilogb(largest); std::abs(magnitude) > kFar) {
    exponent_ = -magnitude;
    largest = std::scalbn(largest, exponent_);
  }
  double sum = 0;
  for (const double value : values) {
    const double part = (exponent_ == 0 ? value : std::scalbn(value, exponent_)) / largest;
    sum += part * part;
  }
  inverse_ = 1 / (largest * std::sqrt(sum));
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

void KMeansPoints::for_each_weighted_row(FunctionRef<void(Index row, std::span<const double>)> visit) const {
  for_each_block([&](Index block, int) {
    std::vector<double> values(static_cast<std::size_t>(columns()));
    std::array<double, kTileRows> buffer{};
    const Index end = std::min(end_tile(block) * kTileRows, local_rows());
    for (Index row = first_tile(block) * kTileRows; row < end; ++row) {
      if (weights(row / kTileRows, buffer)[row % kTileRows] == 0) continue;
      copy_row(row, values);
      visit(row, values);
    }
  });
}

std::vector<double> KMeansPoints::row_nearest_to_zero() const {
  Communicator& comm = context().comm();
  constexpr double kNone = std::numeric_limits<double>::infinity();
  double smallest = kNone;
  std::vector<double> nearest(static_cast<std::size_t>(columns()), 0.0);
  comm.collectively([&] {
    std::mutex mutex;
    Index nearest_row = local_rows();
    for_each_weighted_row([&](Index row, std::span<const double> values) {
      double square = 0;
      for (const double value : values) square += (value * scale()) * (value * scale());
      const std::lock_guard lock(mutex);
      if (square > smallest || (square == smallest && row > nearest_row)) return;
      smallest = square;
      nearest_row = row;
      std::copy(values.begin(), values.end(), nearest.begin());
    });
  });
  double of_all = smallest;
  comm.allreduce_min(std::span(&of_all, 1));
  // Of several ranks the first: its rows come before the others'.
  std::int64_t root = smallest == of_all && smallest < kNone ? comm.rank() : comm.size();
  comm.allreduce_min(std::span(&root, 1));
  if (root < comm.size()) comm.broadcast(std::span(nearest), static_cast<int>(root));
  return nearest;
}

void KMeansPoints::check_reach(const ColumnRange& range) const {
  constexpr double kVanished = 0x1p-960;  // squares from here on lose digits
  const auto reference = row_nearest_to_zero();
  const bool lost = context().comm().collectively([&] {
    std::atomic<bool> found = false;
    for_each_weighted_row([&](Index, std::span<const double> values) {
      if (std::equal(values.begin(), values.end(), reference.begin())) return;
      double square = 0;
      for (std::size_t j = 0; j < values.size(); ++j) {
        const double difference = (values[j] - reference[j]) * scale();
        square += difference * difference;
      }
      if (square < kVanished) found = true;
    });
    return found.load();
  });
  if (!context().comm().any(lost)) return;
  std::size_t widest = 0;
  const auto reach = [&](std::size_t j) { return std::max(-range.lowest[j], range.highest[j]); };
  for (std::size_t j = 1; j < range.lowest.size(); ++j)
    if (reach(j) > reach(widest)) widest = j;
  throw Error(ErrorCode::bad_input,
              rows_.schema.column(static_cast<Index>(widest)) + " spans from " +
                  number_text(range.lowest[widest]) + " to " + number_text(range.highest[widest]) +
                  ", beside which squared distances between other rows vanish in double precision: scale it, "
                  "or leave the rows out that lie so far off",
              {}, true);
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
  constexpr int kFarOut = -400;  // what is 1 is still told from 0 beside the largest
  if (exponent_ < kFarOut) check_reach(range);
}

}  // namespace firesteel::detail
