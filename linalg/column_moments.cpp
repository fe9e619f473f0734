// SPDX-License-Identifier: Apache-2.0
#include "firesteel/linalg/column_moments.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <mutex>
#include <utility>

#include "firesteel/core/canonical_sum.hpp"
#include "firesteel/core/check_rows.hpp"
#include "firesteel/core/parallel.hpp"
#include "firesteel/linalg/moment_kernels.hpp"

namespace firesteel {

namespace {

std::size_t size_of(Index i) { return static_cast<std::size_t>(i); }

/// Power of two that brings the magnitude `largest` to [½, 1).
double normalizing_scale(double largest) {
  if (!(largest > 0)) return 1;
  int exponent = 0;
  std::frexp(largest, &exponent);
  return std::ldexp(1.0, std::clamp(-exponent, -1000, 1000));
}

struct Sums {
  std::vector<double> first;    ///< Σ w δ
  std::vector<double> second;   ///< Σ w δ²
  std::vector<double> largest;  ///< max |δ|
};

template <class Scalar>
Sums dense_sums(const RowBlocks& data, const DenseTiles<Scalar>& features, TileWeights weights,
                std::span<const double> shift, std::span<const double> scale, BlockSums* beside = nullptr) {
  const auto d = size_of(features.columns());
  Communicator& comm = data.context.comm();
  const int rank = comm.rank();
  CanonicalSum sum(comm, data.partition, 2 * features.columns() + (beside != nullptr ? beside->length : 0),
                   data.context.threads());
  std::vector<double> largest(d, 0.0);
  std::mutex mutex;
  const auto total = sum(
      [&](Index block, std::span<double> out) {
        static thread_local AlignedVector<double> scratch;
        static thread_local std::vector<double> own;
        own.assign(d, 0.0);
        block_moments(features, weights, shift, scale, tiles_of_block(data.partition, rank, block),
                      out.first(2 * d), own, scratch);
        if (beside != nullptr) beside->add(block, out.subspan(2 * d));
        const std::lock_guard lock(mutex);
        for (std::size_t j = 0; j < d; ++j) largest[j] = std::max(largest[j], own[j]);
      },
      features.store());
  Sums sums{{total.begin(), total.begin() + features.columns()},
            {total.begin() + features.columns(), total.begin() + 2 * features.columns()},
            std::move(largest)};
  if (beside != nullptr) beside->total.assign(total.begin() + 2 * features.columns(), total.end());
  comm.allreduce_max(std::span(sums.largest));
  return sums;
}

/// The features of the first row of positive weight.
template <class Scalar>
std::vector<double> first_used_row(const RowBlocks& data, const DenseTiles<Scalar>& features,
                                   TileWeights weights) {
  Communicator& comm = data.context.comm();
  const Index first_row = data.partition.first_row(comm.rank());
  std::int64_t own = std::numeric_limits<std::int64_t>::max();
  for (Index row = 0; row < data.local_rows(); ++row)
    if (weights.of_tile(size_of(row / kTileRows))[row % kTileRows] > 0) {
      own = first_row + row;
      break;
    }
  std::int64_t first = own;
  comm.allreduce_min(std::span(&first, 1));
  std::vector<double> values(size_of(features.columns()), 0.0);
  if (first == std::numeric_limits<std::int64_t>::max()) return values;
  comm.collectively([&] {
    if (first == own) features.copy_row(first - first_row, values);
  });
  comm.broadcast(std::span(values), data.partition.owner(first / data.partition.block_rows()));
  return values;
}

/// True where the one look around the first row has kept at least ten digits of every deviation.
bool is_accurate(const Sums& sums, double weight_sum) {
  for (std::size_t j = 0; j < sums.first.size(); ++j) {
    if (sums.largest[j] == 0) continue;
    const double mean = sums.first[j] / weight_sum;
    const double variance = sums.second[j] / weight_sum - mean * mean;
    if (!std::isfinite(variance) || !(sums.second[j] > 1e-250) || !(mean * mean < 1e5 * variance))
      return false;
  }
  return true;
}

/// False where a feature is not finite, whatever the weight of its row; also where a square overflowed.
bool are_finite(const Sums& sums) {
  const auto finite = [](double sum) { return std::isfinite(sum); };
  return std::all_of(sums.first.begin(), sums.first.end(), finite) &&
         std::all_of(sums.second.begin(), sums.second.end(), finite);
}

template <class Scalar>
ColumnMoments moments_of(const RowBlocks& data, const DenseTiles<Scalar>& features, TileWeights weights,
                         const MomentOptions& options) {
  const WeightSums w = sum_tile_weights(data, weights);
  const auto d = size_of(features.columns());
  std::vector<double> shift = first_used_row(data, features, weights);
  std::vector<double> scale(d, 1.0);
  Sums sums = dense_sums(data, features, weights, shift, scale, options.beside);
  if (options.check && !are_finite(sums)) check_rows(data);
  if (!is_accurate(sums, w.total)) {
    const std::vector<double> range = sums.largest;
    for (std::size_t j = 0; j < d; ++j) scale[j] = normalizing_scale(range[j]);
    sums = dense_sums(data, features, weights, shift, scale);
    for (std::size_t j = 0; j < d; ++j) shift[j] += sums.first[j] / w.total / scale[j];
    sums = dense_sums(data, features, weights, shift, scale);
    // What never differed from the first value stays exactly constant.
    for (std::size_t j = 0; j < d; ++j)
      if (range[j] == 0) sums.largest[j] = 0;
  }
  ColumnMoments moments;
  moments.weight_sum = w.total;
  moments.mean.resize(d);
  moments.deviation.resize(d);
  for (std::size_t j = 0; j < d; ++j) {
    const double mean = sums.first[j] / w.total;
    moments.mean[j] = shift[j] + mean / scale[j];
    const double square = sums.second[j] - mean * sums.first[j];
    if (sums.largest[j] > 0)
      moments.deviation[j] = std::sqrt(std::max(0.0, square) / w.denominator) / scale[j];
  }
  return moments;
}

/// Calls body(row, column, value) for the non-zeros of rows of positive weight of a block.
template <class Scalar, class Body>
void for_each_value(const SparseRows<Scalar>& features, std::span<const double> weights, TileRange range,
                    Body&& body) {
  const Index end = std::min(range.end * kTileRows, features.local_rows());
  for (Index row = range.first * kTileRows; row < end; ++row) {
    if (!(weights[size_of(row)] > 0)) continue;
    const auto indices = features.row_indices(row);
    const auto values = features.row_values(row);
    for (std::size_t i = 0; i < indices.size(); ++i)
      body(row, size_of(indices[i]), static_cast<double>(values[i]));
  }
}

/// Σ over non-zeros of term(row, column, value) for each column.
template <class Scalar, class Term>
std::vector<double> sum_columns(const RowBlocks& data, const SparseRows<Scalar>& features,
                                std::span<const double> weights, Term&& term) {
  const int rank = data.context.rank();
  CanonicalSum sum(data.context.comm(), data.partition, features.columns(), data.context.threads());
  const auto total = sum(
      [&](Index block, std::span<double> out) {
        std::fill(out.begin(), out.end(), 0.0);
        for_each_value(features, weights, tiles_of_block(data.partition, rank, block),
                       [&](Index row, std::size_t j, double value) { out[j] += term(row, j, value); });
      },
      features.store());
  return {total.begin(), total.end()};
}

template <class Scalar>
void find_extremes(const RowBlocks& data, const SparseRows<Scalar>& features, std::span<const double> weights,
                   ColumnMoments& moments) {
  Communicator& comm = data.context.comm();
  const auto d = size_of(features.columns());
  moments.largest.assign(d, 0.0);
  moments.count.assign(d, 0);
  comm.collectively([&] {
    // Maxima and counts do not depend on the order in which threads meet the values.
    const auto threads = size_of(data.context.threads());
    std::vector<std::vector<double>> largest(threads);
    std::vector<std::vector<std::int64_t>> count(threads);
    for_each_block(data, [&](Index block, int thread) {
      auto& own_largest = largest[size_of(thread)];
      auto& own_count = count[size_of(thread)];
      own_largest.resize(d);
      own_count.resize(d);
      for_each_value(features, weights, tiles_of_block(data.partition, comm.rank(), block),
                     [&](Index, std::size_t j, double value) {
                       own_largest[j] = std::max(own_largest[j], std::abs(value));
                       ++own_count[j];
                     });
    });
    for (std::size_t thread = 0; thread < threads; ++thread)
      for (std::size_t j = 0; j < largest[thread].size(); ++j) {
        moments.largest[j] = std::max(moments.largest[j], largest[thread][j]);
        moments.count[j] += count[thread][j];
      }
  });
  for (const double weight : weights) moments.largest_weight = std::max(moments.largest_weight, weight);
  comm.allreduce_max(std::span(moments.largest));
  comm.allreduce_max(std::span(&moments.largest_weight, 1));
  comm.allreduce_sum(std::span(moments.count));
}

template <class Scalar>
ColumnMoments moments_of(const RowBlocks& data, const SparseRows<Scalar>& features,
                         std::span<const double> weights) {
  ColumnMoments moments;
  const WeightSums w = sum_weights(data, weights);
  moments.weight_sum = w.total;
  find_extremes(data, features, weights, moments);
  const auto d = size_of(features.columns());
  std::vector<double> scale(d);
  for (std::size_t j = 0; j < d; ++j) scale[j] = normalizing_scale(moments.largest[j]);
  const auto sums = sum_columns(data, features, weights, [&](Index row, std::size_t j, double x) {
    return weights[size_of(row)] * (x * scale[j]);
  });
  const auto covered = sum_columns(data, features, weights,
                                   [&](Index row, std::size_t, double) { return weights[size_of(row)]; });
  const auto squares = sum_columns(data, features, weights, [&](Index row, std::size_t j, double x) {
    const double delta = x * scale[j] - sums[j] / w.total;
    return weights[size_of(row)] * (delta * delta);
  });
  moments.mean.resize(d);
  moments.deviation.resize(d);
  for (std::size_t j = 0; j < d; ++j) {
    const double mean = sums[j] / w.total;
    const double square = squares[j] + std::max(0.0, w.total - covered[j]) * (mean * mean);
    moments.mean[j] = mean / scale[j];
    // Differences within the rounding of the mean are none: the column is constant.
    const bool constant = square <= 1e-30 * w.total * (mean * mean);
    moments.deviation[j] = constant ? 0.0 : std::sqrt(square / w.denominator) / scale[j];
  }
  return moments;
}

}  // namespace

WeightSums sum_tile_weights(const RowBlocks& data, TileWeights weights) {
  CanonicalSum sum(data.context.comm(), data.partition, 2, data.context.threads());
  const auto total = sum([&](Index block, std::span<double> out) {
    const TileRange range = tiles_of_block(data.partition, data.context.rank(), block);
    if (weights.unit()) {
      out[0] = out[1] =
          static_cast<double>(std::min(range.end * kTileRows, weights.rows) - range.first * kTileRows);
      return;
    }
    // Four sums of each, row after row in turn: additions do not wait for each other.
    std::array<double, 4> sums{};
    std::array<double, 4> squares{};
    for (Index row = range.first * kTileRows; row < range.end * kTileRows; row += 4)
      for (Index i = 0; i < 4; ++i) {
        const double w = weights.given[row + i];
        sums[size_of(i)] += w;
        squares[size_of(i)] += w * w;
      }
    out[0] = (sums[0] + sums[1]) + (sums[2] + sums[3]);
    out[1] = (squares[0] + squares[1]) + (squares[2] + squares[3]);
  });
  const double denominator = total[0] - total[1] / total[0];
  return {total[0], denominator > 0 ? denominator : total[0]};
}

WeightSums sum_weights(const RowBlocks& data, std::span<const double> weights) {
  return sum_tile_weights(data, {weights.data(), 0});
}

TileRange tiles_of_block(const BlockPartition& partition, int rank, Index block) {
  const Index first_row = partition.first_row(rank);
  return {(partition.row_of_block(block) - first_row) / kTileRows,
          (partition.row_of_block(block + 1) - first_row + kTileRows - 1) / kTileRows};
}

AlignedVector<double> padded_weights(const RowBlocks& data) {
  if (!data.weights.empty()) return data.weights;
  AlignedVector<double> weights(
      static_cast<std::size_t>((data.local_rows() + kTileRows - 1) / kTileRows * kTileRows), 0.0);
  std::fill_n(weights.begin(), data.local_rows(), 1.0);
  return weights;
}

bool has_wide_columns(const RowBlocks& data, Index length) {
  constexpr Index kTypicalNonZeros = 64;
  if (!data.sparse()) return false;
  const Index value_bytes = data.single_precision() ? sizeof(float) : sizeof(double);
  const Index row_bytes = std::min(data.columns(), kTypicalNonZeros) * (value_bytes + 4);
  return length * 64 > data.partition.block_rows() * row_bytes;
}

ColumnMoments column_moments(const RowBlocks& data, std::span<const double> weights,
                             const MomentOptions& options) {
  return std::visit(
      [&](const auto& features) {
        if constexpr (requires { features.tile(0); })
          return moments_of(data, features, TileWeights{weights.data(), data.local_rows()}, options);
        else
          return moments_of(data, features, weights);
      },
      data.features);
}

}  // namespace firesteel
