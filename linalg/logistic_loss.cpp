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

/// scratch: 8 lanes of each moment; a tile of K probabilities, and of K times their weights.
void class_moments_kernel(const double* target, TileWeights weight, std::size_t first, std::size_t end,
                          std::size_t outputs, const double* z, double* scratch, double* statistic) {
  const Tag d;
  const std::size_t moments = outputs * (outputs + 1) / 2 + outputs;
  double* p = scratch + 8 * moments;
  double* weighted = p + outputs * kTile;
  HWY_ALIGN double loss[kTile];
  std::fill_n(scratch, 8 * moments, 0.0);
  for (std::size_t t = first; t < end; ++t) {
    const double* w = weight.of_tile(t);
    const double* y = target + t * kTile;
    softmax_tile(y, kUnitWeights.of[kTile], outputs, z + t * outputs * kTile, p, loss);
    double* lanes = scratch;
    for (std::size_t a = 0; a < outputs; ++a) {
      double* own = p + a * kTile;
      for (std::size_t i = 0; i < kTile; i += kWidth) {
        const auto hit = hn::Eq(hn::Load(d, y + i), hn::Set(d, static_cast<double>(a)));
        const auto probability = hn::Add(hn::Load(d, own + i), hn::IfThenElseZero(hit, hn::Set(d, 1.0)));
        hn::Store(probability, d, own + i);
        hn::Store(hn::Mul(hn::Load(d, w + i), probability), d, weighted + a * kTile + i);
      }
      for (std::size_t b = 0; b <= a; ++b, lanes += 8)
        for (std::size_t part = 0; part < 8; part += kWidth) {
          auto sum = hn::Load(d, lanes + part);
          for (std::size_t i = part; i < kTile; i += 8)
            sum = hn::MulAdd(hn::Load(d, weighted + a * kTile + i), hn::Load(d, p + b * kTile + i), sum);
          hn::Store(sum, d, lanes + part);
        }
    }
    for (std::size_t a = 0; a < outputs; ++a, lanes += 8) add_tile(weighted + a * kTile, lanes);
  }
  for (std::size_t i = 0; i < moments; ++i) statistic[i] = fold(scratch + 8 * i);
}

}  // namespace firesteel::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace firesteel {

namespace {

std::size_t count(Index i) { return static_cast<std::size_t>(i); }

HWY_EXPORT(residuals_kernel);
HWY_EXPORT(line_kernel);
HWY_EXPORT(class_moments_kernel);

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

void block_class_moments(const LogisticTargets& targets, Index outputs, TileRange range, const double* z,
                         std::span<double> statistic, AlignedVector<double>& scratch) {
  select_simd();
  scratch.resize(8 * statistic.size() + 2 * count(outputs * kTileRows));
  HWY_DYNAMIC_DISPATCH(class_moments_kernel)
  (targets.target.data(), targets.weights(), count(range.first), count(range.end), count(outputs), z,
   scratch.data(), statistic.data());
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
