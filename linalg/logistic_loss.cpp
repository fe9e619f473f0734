// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <limits>

#include "firesteel/linalg/logistic_kernels.hpp"
#include "firesteel/linalg/simd.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "firesteel/linalg/logistic_loss.cpp"
#include <hwy/foreach_target.h>  // must come before highway.h
#include <hwy/highway.h>

#include "firesteel/linalg/logistic_loss-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace firesteel::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// Loss and residuals from margins; sums[0 … 7] lanes of loss, then of each residual.
void residuals_kernel(const double* target, TileWeights weight, std::size_t first, std::size_t end,
                      std::size_t outputs, const double* z, double* residuals, double* statistic) {
  HWY_ALIGN double loss[kTile];
  HWY_ALIGN double lanes[8] = {};
  std::fill_n(statistic, 1 + outputs, 0.0);
  for (std::size_t t = first; t < end; ++t) {
    double* residual = residuals + t * outputs * kTile;
    loss_tile(target + t * kTile, weight.of_tile(t), outputs, z + t * outputs * kTile, residual, loss);
    add_tile(loss, lanes);
    for (std::size_t k = 0; k < outputs; ++k) {
      HWY_ALIGN double sum[8] = {};
      add_tile(residual + k * kTile, sum);
      statistic[1 + k] += fold(sum);
    }
  }
  statistic[0] = fold(lanes);
}

/// Loss and slope at z + t·(z_trial − z). scratch: two tiles of K margins.
void line_kernel(const double* target, TileWeights weight, std::size_t first, std::size_t end,
                 std::size_t outputs, const double* z, const double* z_trial, double step, double* scratch,
                 double* statistic) {
  const Tag d;
  const auto factor = hn::Set(d, step);
  HWY_ALIGN double loss[kTile];
  HWY_ALIGN double lanes[8] = {};
  HWY_ALIGN double slope_lanes[8] = {};
  double* margins = scratch;
  double* residual = scratch + outputs * kTile;
  for (std::size_t t = first; t < end; ++t) {
    const double* from = z + t * outputs * kTile;
    const double* to = z_trial + t * outputs * kTile;
    for (std::size_t i = 0; i < outputs * kTile; i += kWidth) {
      const auto start = hn::Load(d, from + i);
      hn::Store(hn::MulAdd(factor, hn::Sub(hn::Load(d, to + i), start), start), d, margins + i);
    }
    loss_tile(target + t * kTile, weight.of_tile(t), outputs, margins, residual, loss);
    add_tile(loss, lanes);
    for (std::size_t k = 0; k < outputs; ++k) {
      for (std::size_t i = k * kTile; i < (k + 1) * kTile; i += kWidth)
        hn::Store(hn::Mul(hn::Load(d, residual + i), hn::Sub(hn::Load(d, to + i), hn::Load(d, from + i))), d,
                  residual + i);
      add_tile(residual + k * kTile, slope_lanes);
    }
  }
  statistic[0] = fold(lanes);
  statistic[1] = fold(slope_lanes);
}

}  // namespace firesteel::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace firesteel {

namespace {

std::size_t count(Index i) { return static_cast<std::size_t>(i); }

HWY_EXPORT(residuals_kernel);
HWY_EXPORT(line_kernel);

}  // namespace

std::size_t tiles_of_group(TileRange range, Index columns, Index outputs, std::size_t value_bytes) {
  constexpr std::size_t kFeatureBytes = std::size_t{448} << 10;
  constexpr std::size_t kResidualBytes = std::size_t{64} << 10;
  const std::size_t column_bytes = count(kTileRows) * value_bytes;
  const std::size_t near = kFeatureBytes / (column_bytes * count(columns));
  const std::size_t kept = std::max(kResidualBytes / (column_bytes * count(outputs)), std::size_t{1});
  return std::clamp(count(range.end - range.first), std::size_t{1}, near == 0 ? kept : std::min(near, kept));
}

void block_residuals(const LogisticTargets& targets, Index outputs, TileRange range, const double* z,
                     double* residuals, std::span<double> statistic) {
  select_simd();
  HWY_DYNAMIC_DISPATCH(residuals_kernel)
  (targets.target.data(), targets.weights(), count(range.first), count(range.end), count(outputs), z,
   residuals, statistic.data());
}

void block_loss_on_line(const LogisticTargets& targets, Index outputs, TileRange range, const double* z,
                        const double* z_trial, double t, std::span<double> statistic,
                        AlignedVector<double>& scratch) {
  select_simd();
  scratch.resize(2 * count(outputs * kTileRows));
  HWY_DYNAMIC_DISPATCH(line_kernel)
  (targets.target.data(), targets.weights(), count(range.first), count(range.end), count(outputs), z, z_trial,
   t, scratch.data(), statistic.data());
}

double block_smallest_margin(const LogisticTargets& targets, Index outputs, TileRange range,
                             const double* z) {
  double smallest = std::numeric_limits<double>::infinity();
  for (Index row = range.first * kTileRows; row < range.end * kTileRows; ++row) {
    if (targets.weight_of(count(row)) <= 0) continue;
    const double* tile = z + row / kTileRows * outputs * kTileRows + row % kTileRows;
    const double target = targets.target[count(row)];
    double margin = target * *tile;
    if (outputs > 1) {
      double best_other = -std::numeric_limits<double>::infinity();
      for (Index k = 0; k < outputs; ++k)
        if (static_cast<double>(k) != target) best_other = std::max(best_other, tile[k * kTileRows]);
      margin = tile[static_cast<Index>(target) * kTileRows] - best_other;
    }
    smallest = std::min(smallest, margin);
  }
  return smallest;
}

}  // namespace firesteel
#endif
