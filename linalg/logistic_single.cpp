// SPDX-License-Identifier: Apache-2.0
#include "firesteel/linalg/logistic_single.hpp"

#include <algorithm>

#include "firesteel/linalg/simd.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "firesteel/linalg/logistic_single.cpp"
#include <hwy/foreach_target.h>  // must come before highway.h
#include <hwy/highway.h>

#include "firesteel/linalg/logistic_loss-inl.hpp"
#include "firesteel/linalg/simd_halves-inl.hpp"

// Arguments of the kernel: the same type for every instruction set, so defined in the first pass only.
#ifndef FIRESTEEL_LINALG_LOGISTIC_SINGLE_TYPES
#define FIRESTEEL_LINALG_LOGISTIC_SINGLE_TYPES
namespace firesteel {
namespace {
struct SingleMap {
  std::size_t columns;
  std::size_t outputs;
  const float* coefficients;
  const double* offsets;
  const float* centre;
  double residual_scale;
};
}  // namespace
}  // namespace firesteel
#endif

HWY_BEFORE_NAMESPACE();
namespace firesteel::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

constexpr std::size_t kSingleWidth = hn::MaxLanes(SingleTag());
constexpr std::size_t kSingleVectors = kTile / kSingleWidth;

/// z ← offset + Σ_j w_j (x_j − c_j) of kOutputs outputs for kVectors registers of rows from `row` on.
template <std::size_t kOutputs, std::size_t kParts>
HWY_INLINE void margins_part(const float* x, const SingleMap& map, std::size_t output, std::size_t row,
                             const double* weight, double* z) {
  const SingleTag f;
  const Tag d;
  SingleVector sum[kOutputs][kParts];
#pragma GCC unroll 4
  for (std::size_t k = 0; k < kOutputs; ++k)
#pragma GCC unroll 4
    for (std::size_t v = 0; v < kParts; ++v) sum[k][v] = hn::Zero(f);
  const float* w = map.coefficients + output * map.columns;
  for (std::size_t j = 0; j < map.columns; ++j) {
    const auto centre = hn::Set(f, map.centre[j]);
    SingleVector centred[kParts];
#pragma GCC unroll 4
    for (std::size_t v = 0; v < kParts; ++v)
      centred[v] = hn::Sub(hn::Load(f, x + j * kTile + row + v * kSingleWidth), centre);
#pragma GCC unroll 4
    for (std::size_t k = 0; k < kOutputs; ++k) {
      const auto factor = hn::Set(f, w[k * map.columns + j]);
#pragma GCC unroll 4
      for (std::size_t v = 0; v < kParts; ++v) sum[k][v] = hn::MulAdd(factor, centred[v], sum[k][v]);
    }
  }
#pragma GCC unroll 4
  for (std::size_t k = 0; k < kOutputs; ++k) {
    const auto offset = hn::Set(d, map.offsets[output + k]);
#pragma GCC unroll 4
    for (std::size_t v = 0; v < kParts; ++v) {
      const Vector parts[2] = {promote_lower(sum[k][v]), promote_upper(sum[k][v])};
      for (std::size_t half = 0; half < 2; ++half) {
        const std::size_t at = row + v * kSingleWidth + half * kWidth;
        // A row of weight 0 may overflow in float: it must not make numbers that are none.
        const auto used = hn::Gt(hn::Load(d, weight + at), hn::Zero(d));
        hn::Store(hn::IfThenElseZero(used, hn::Add(parts[half], offset)), d, z + (output + k) * kTile + at);
      }
    }
  }
}

template <std::size_t kOutputs>
HWY_INLINE std::size_t margins_of_outputs(const float* x, const SingleMap& map, std::size_t output,
                                          const double* weight, double* z) {
  // As many sums as hide a multiply-add's latency and fit the registers of AVX2.
  constexpr std::size_t kParts = std::min<std::size_t>(kOutputs == 1 ? 4 : 2, kSingleVectors);
  for (; output + kOutputs <= map.outputs; output += kOutputs)
    for (std::size_t row = 0; row < kTile; row += kParts * kSingleWidth)
      margins_part<kOutputs, kParts>(x, map, output, row, weight, z);
  return output;
}

HWY_INLINE void tile_margins(const float* x, const SingleMap& map, const double* weight, double* z) {
  std::size_t output = margins_of_outputs<4>(x, map, 0, weight, z);
  output = margins_of_outputs<2>(x, map, output, weight, z);
  margins_of_outputs<1>(x, map, output, weight, z);
}

/// sums[0 … 8) += Σ over the tile of r·x. In float: lane l of 16 holds rows l and 16 + l, then lanes l and
/// l + 8 are added.
HWY_INLINE void add_products(const SingleVector* residual, const SingleVector* x, double* sums) {
  const Tag d;
  constexpr std::size_t kHalf = kSingleVectors / 2;  // registers of 16 rows
  SingleVector lanes[kHalf];
#pragma GCC unroll 4
  for (std::size_t v = 0; v < kHalf; ++v)
    lanes[v] = hn::MulAdd(residual[kHalf + v], x[kHalf + v], hn::Mul(residual[v], x[v]));
  if constexpr (kSingleWidth == 16) {
    const auto eight = hn::Add(lower_half(lanes[0]), upper_half(lanes[0]));
    hn::Store(hn::Add(hn::Load(d, sums), hn::PromoteTo(d, eight)), d, sums);
  } else {
#pragma GCC unroll 2
    for (std::size_t v = 0; v < kHalf / 2; ++v) {
      const auto eight = hn::Add(lanes[v], lanes[kHalf / 2 + v]);
      const Vector parts[2] = {promote_lower(eight), promote_upper(eight)};
      for (std::size_t half = 0; half < 2; ++half) {
        double* at = sums + v * kSingleWidth + half * kWidth;
        hn::Store(hn::Add(hn::Load(d, at), parts[half]), d, at);
      }
    }
  }
}

/// sums[(k·d + j)·8 + lane] += Σ over the tile of r_k·(x_j − c_j).
HWY_INLINE void tile_gradient(const float* x, const SingleMap& map, const float* residuals, double* sums) {
  const SingleTag f;
  SingleVector residual[kSingleVectors];
  SingleVector centred[kSingleVectors];
  for (std::size_t v = 0; v < kSingleVectors; ++v) residual[v] = hn::Load(f, residuals + v * kSingleWidth);
  for (std::size_t j = 0; j < map.columns; ++j) {
    const auto centre = hn::Set(f, map.centre[j]);
    for (std::size_t v = 0; v < kSingleVectors; ++v)
      centred[v] = hn::Sub(hn::Load(f, x + j * kTile + v * kSingleWidth), centre);
    add_products(residual, centred, sums + j * 8);
    for (std::size_t k = 1; k < map.outputs; ++k) {
      SingleVector other[kSingleVectors];
      for (std::size_t v = 0; v < kSingleVectors; ++v)
        other[v] = hn::Load(f, residuals + k * kTile + v * kSingleWidth);
      add_products(other, centred, sums + (k * map.columns + j) * 8);
    }
  }
}

/// residuals·scale as floats.
HWY_INLINE void round_residuals(const double* residuals, std::size_t count, double scale, float* rounded) {
  const Tag d;
  const hn::Rebind<float, Tag> half;
  const auto factor = hn::Set(d, scale);
  for (std::size_t i = 0; i < count; i += kWidth)
    hn::Store(hn::DemoteTo(half, hn::Mul(hn::Load(d, residuals + i), factor)), half, rounded + i);
}

/// scratch: 8 lanes of loss, then of each residual, then of each gradient entry; then one tile of residuals,
/// of losses, and of residuals as floats.
void single_gradient_kernel(const float* x, const SingleMap& map, const double* target, const double* weight,
                            std::size_t first, std::size_t end, double* z, double* scratch,
                            double* statistic) {
  const std::size_t outputs = map.outputs;
  const std::size_t sums = 1 + outputs + outputs * map.columns;
  std::fill_n(scratch, 8 * sums, 0.0);
  double* residual = scratch + 8 * sums;
  double* loss = residual + outputs * kTile;
  auto* rounded = reinterpret_cast<float*>(loss + kTile);
  for (std::size_t t = first; t < end; ++t) {
    const float* tile = x + t * kTile * map.columns;
    double* margins = z + t * outputs * kTile;
    tile_margins(tile, map, weight + t * kTile, margins);
    loss_tile(target + t * kTile, weight + t * kTile, outputs, margins, residual, loss);
    add_tile(loss, scratch);
    for (std::size_t k = 0; k < outputs; ++k) add_tile(residual + k * kTile, scratch + 8 * (1 + k));
    round_residuals(residual, outputs * kTile, map.residual_scale, rounded);
    tile_gradient(tile, map, rounded, scratch + 8 * (1 + outputs));
  }
  for (std::size_t i = 0; i < sums; ++i) statistic[i] = fold(scratch + 8 * i);
  for (std::size_t i = 1 + outputs; i < sums; ++i) statistic[i] /= map.residual_scale;
}

}  // namespace firesteel::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace firesteel {

namespace {

std::size_t count(Index i) { return static_cast<std::size_t>(i); }

HWY_EXPORT(single_gradient_kernel);

}  // namespace

void block_loss_and_gradient(const DenseTiles<float>& features, const LogisticTargets& targets,
                             const SingleOutputs& model, TileRange range, double* z,
                             std::span<double> statistic, AlignedVector<double>& scratch) {
  select_simd();
  const std::size_t outputs = count(model.outputs);
  scratch.resize(8 * statistic.size() + (2 * outputs + 1) * count(kTileRows));
  const SingleMap map{count(features.columns()), outputs,
                      model.coefficients.data(), model.offsets.data(),
                      model.centre.data(),       model.residual_scale};
  HWY_DYNAMIC_DISPATCH(single_gradient_kernel)
  (features.tile(0), map, targets.target.data(), targets.weight.data(), count(range.first), count(range.end),
   z, scratch.data(), statistic.data());
}

namespace {

/// z ← offset + Σ w·x over the non-zeros.
void sparse_margins(const SparseRows<float>& features, const LogisticTargets& targets,
                    const SingleOutputs& model, TileRange range, double* z) {
  const Index outputs = model.outputs;
  const Index end = std::min(range.end * kTileRows, features.local_rows());
  std::fill(z + range.first * outputs * kTileRows, z + range.end * outputs * kTileRows, 0.0);
  for (Index row = range.first * kTileRows; row < end; ++row) {
    if (!(targets.weight[count(row)] > 0)) continue;
    const auto indices = features.row_indices(row);
    const auto values = features.row_values(row);
    double* tile = z + row / kTileRows * outputs * kTileRows + row % kTileRows;
    for (Index k = 0; k < outputs; ++k) {
      const float* w = model.coefficients.data() + k * features.columns();
      float sum = 0;
      for (std::size_t i = 0; i < indices.size(); ++i) sum += w[indices[i]] * values[i];
      tile[k * kTileRows] = model.offsets[count(k)] + static_cast<double>(sum);
    }
  }
}

}  // namespace

void block_loss_and_gradient(const SparseRows<float>& features, const LogisticTargets& targets,
                             const SingleOutputs& model, TileRange range, double* z,
                             std::span<double> statistic, AlignedVector<double>& scratch) {
  const Index outputs = model.outputs;
  const Index columns = features.columns();
  sparse_margins(features, targets, model, range, z);
  // Residuals are stored as if the block began at tile 0 of the scratch.
  scratch.resize(count((range.end - range.first) * outputs * kTileRows));
  double* residuals = scratch.data() - range.first * outputs * kTileRows;
  block_residuals(targets, outputs, range, z, residuals, statistic.first(count(1 + outputs)));
  double* gradient = statistic.data() + 1 + outputs;
  std::fill_n(gradient, outputs * columns, 0.0);
  const Index end = std::min(range.end * kTileRows, features.local_rows());
  for (Index row = range.first * kTileRows; row < end; ++row) {
    const auto indices = features.row_indices(row);
    const auto values = features.row_values(row);
    const double* tile = residuals + row / kTileRows * outputs * kTileRows + row % kTileRows;
    for (Index k = 0; k < outputs; ++k) {
      const auto r = static_cast<float>(tile[k * kTileRows] * model.residual_scale);
      if (r == 0) continue;
      double* sums = gradient + k * columns;
      for (std::size_t i = 0; i < indices.size(); ++i) sums[indices[i]] += static_cast<double>(r * values[i]);
    }
  }
  for (Index i = 0; i < outputs * columns; ++i) gradient[i] /= model.residual_scale;
}

}  // namespace firesteel
#endif
