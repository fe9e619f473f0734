// SPDX-License-Identifier: Apache-2.0
// Moments of wide columns: sums of terms over a copy by column, or over the rows.
#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>

#include "firesteel/linalg/wide_columns.hpp"
#include "firesteel/linalg/wide_terms.hpp"

namespace firesteel {

using namespace wide;

namespace {
std::size_t size_of(Index i) { return static_cast<std::size_t>(i); }
}  // namespace

template <class Body>
void WideColumns::walk_rows(std::span<const double> weights, Body&& body) const {
  for_each_block(data_, [&](Index block, int) {
    const auto rows = rows_of_block(block);
    visit_sparse(data_, [&](const auto& features) {
      for (Index row = rows.first; row < rows.second; ++row) {
        if (!(weights[size_of(row)] > 0)) continue;
        const auto indices = features.row_indices(row);
        const auto values = features.row_values(row);
        for (std::size_t p = 0; p < indices.size(); ++p)
          body(row, size_of(place_of_[size_of(indices[p])]), static_cast<double>(values[p]));
      }
    });
  });
}

namespace {

/// Calls body(row, value) for the non-zeros of the i-th column in own rows.
template <class ByColumn, class Body>
void for_each_row(const ByColumn& by_column, std::size_t i, Body&& body) {
  std::visit(
      [&](const auto& sorted) {
        const auto end = size_of(sorted.begin[i + 1]);
        for (auto p = size_of(sorted.begin[i]); p < end; ++p)
          body(sorted.rows[p], static_cast<double>(sorted.values[p]));
      },
      by_column);
}

}  // namespace

template <class Add>
std::vector<double> WideColumns::sum_terms(Index width, std::span<const LimbScale> slice_scales,
                                           std::span<const double> weights, Add&& add) const {
  if (!by_row_)
    return sum_columns(width, slice_scales, [&](std::size_t i, std::int64_t* limbs) {
      for_each_row(by_column_, i, [&](std::uint32_t row, double x) { add(row, i, x, limbs); });
    });
  std::vector<std::int64_t> limbs;
  data_.context.comm().collectively([&] {
    const auto group = 2 * size_of(width);
    limbs.assign(exchange_.columns().size() * group, 0);
    walk_rows(weights, [&](Index row, std::size_t i, double x) {
      std::array<std::int64_t, 4> own{};
      add(static_cast<std::size_t>(row), i, x, own.data());
      add_shared(limbs.data() + i * group, own.data(), group);
    });
  });
  return sums_of_limbs(width, slice_scales, limbs);
}

void WideColumns::find_extremes_by_row(std::span<const double> weights, std::vector<double>& largest,
                                       std::vector<std::int64_t>& count) const {
  walk_rows(weights, [&](Index, std::size_t i, double x) {
    const std::atomic_ref<double> most(largest[i]);
    double seen = most.load(std::memory_order_relaxed);
    while (seen < std::abs(x) && !most.compare_exchange_weak(seen, std::abs(x), std::memory_order_relaxed)) {
    }
    std::atomic_ref<std::int64_t>(count[i]).fetch_add(1, std::memory_order_relaxed);
  });
}

void WideColumns::find_extremes(std::span<const double> weights, ColumnMoments& moments) const {
  Communicator& comm = data_.context.comm();
  const std::size_t own = exchange_.columns().size();
  std::vector<double> largest;
  std::vector<std::int64_t> count;
  comm.collectively([&] {
    largest.resize(own);
    count.resize(own);
    if (by_row_) return find_extremes_by_row(weights, largest, count);
    for (std::size_t i = 0; i < own; ++i)
      for_each_row(by_column_, i, [&](std::uint32_t, double x) {
        largest[i] = std::max(largest[i], std::abs(x));
        ++count[i];
      });
  });
  moments.largest = exchange_.max(largest);
  moments.count = exchange_.sum(count, 1);
  moments.largest.resize(size_of(slice_columns()));
  moments.count.resize(size_of(slice_columns()));
}

ColumnMoments WideColumns::moments(std::span<const double> weights) const {
  Communicator& comm = data_.context.comm();
  ColumnMoments moments;
  const WeightSums w = sum_weights(data_, weights);
  moments.weight_sum = w.total;
  find_extremes(weights, moments);
  for (const double weight : weights) moments.largest_weight = std::max(moments.largest_weight, weight);
  comm.allreduce_max(std::span(&moments.largest_weight, 1));
  const double weight_scale = normalizing_scale(moments.largest_weight);
  const double total = w.total * weight_scale;

  // Terms are weights and values brought below 1; centred values are below 2.
  const auto d = size_of(slice_columns());
  std::vector<double> unit;
  std::vector<LimbScale> slice_scales;
  comm.collectively([&] {
    for (std::size_t j = 0; j < d; ++j) {
      unit.push_back(normalizing_scale(moments.largest[j]));
      slice_scales.push_back(limb_scale(4, moments.count[j]));
    }
    unit.resize(size_of(slices_.local_rows(comm.rank())));
    slice_scales.resize(unit.size());
  });
  const auto scales = scales_in_rows(slice_scales);
  const auto units = exchange_.gather(unit, 1);
  const auto add_value = [&](std::size_t row, std::size_t i, double x, std::int64_t* limbs) {
    const double scaled = weights[row] * weight_scale * scales[i].scale;
    add_term(scaled * (x * units[i]), scales[i].limb, limbs);
    add_term(scaled, scales[i].limb, limbs + 2);
  };
  const auto sums = sum_terms(2, slice_scales, weights, add_value);
  std::vector<double> mean;
  comm.collectively([&] {
    mean.resize(unit.size());
    for (std::size_t j = 0; j < d; ++j) mean[j] = sums[2 * j] / total;
  });
  const auto means = exchange_.gather(mean, 1);
  const auto add_square = [&](std::size_t row, std::size_t i, double x, std::int64_t* limbs) {
    const double delta = x * units[i] - means[i];
    add_term(weights[row] * weight_scale * (delta * delta) * scales[i].scale, scales[i].limb, limbs);
  };
  const auto squares = sum_terms(1, slice_scales, weights, add_square);
  comm.collectively([&] {
    moments.mean.resize(d);
    moments.deviation.resize(d);
  });
  const double denominator = w.denominator * weight_scale;
  for (std::size_t j = 0; j < d; ++j) {
    const double square = squares[j] + std::max(0.0, total - sums[2 * j + 1]) * (mean[j] * mean[j]);
    moments.mean[j] = mean[j] / unit[j];
    // Differences within the rounding of the mean are none: the column is constant.
    const bool constant = square <= 1e-30 * total * (mean[j] * mean[j]);
    moments.deviation[j] = constant ? 0.0 : std::sqrt(square / denominator) / unit[j];
  }
  return moments;
}

}  // namespace firesteel
