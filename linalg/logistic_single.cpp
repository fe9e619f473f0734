// SPDX-License-Identifier: Apache-2.0
#include "firesteel/linalg/logistic_single.hpp"

#include <algorithm>
#include <iterator>

#include "firesteel/linalg/simd.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "firesteel/linalg/logistic_single.cpp"
#include <hwy/foreach_target.h>  // must come before highway.h
#include <hwy/highway.h>

#include "firesteel/linalg/logistic_loss-inl.hpp"
#include "firesteel/linalg/logistic_single_classes-inl.hpp"
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
  std::size_t at_once;  ///< tiles of a group
};
constexpr std::size_t kSingleColumnsMost = 8;  ///< that are centred together, on any instruction set
}  // namespace
}  // namespace firesteel
#endif

HWY_BEFORE_NAMESPACE();
namespace firesteel::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// z ← offset + Σ_j w_j (x_j − c_j) of one output for the 32 rows of a tile.
HWY_INLINE void tile_margins(const float* x, const SingleMap& map, const double* weight, double* z) {
  const SingleTag f;
  const Tag d;
  SingleVector sum[kSingleVectors];
#pragma GCC unroll 8
  for (auto& rows : sum) rows = hn::Zero(f);
  for (std::size_t j = 0; j < map.columns; ++j) {
    const auto centre = hn::Set(f, map.centre[j]);
    const auto factor = hn::Set(f, map.coefficients[j]);
#pragma GCC unroll 8
    for (std::size_t v = 0; v < kSingleVectors; ++v)
      sum[v] = hn::MulAdd(factor, hn::Sub(hn::Load(f, x + j * kTile + v * kSingleWidth), centre), sum[v]);
  }
  const auto offset = hn::Set(d, map.offsets[0]);
#pragma GCC unroll 8
  for (std::size_t v = 0; v < kSingleVectors; ++v) {
    const Vector parts[2] = {promote_lower(sum[v]), promote_upper(sum[v])};
    for (std::size_t half = 0; half < 2; ++half) {
      const std::size_t at = v * kSingleWidth + half * kWidth;
      // A row of weight 0 may overflow in float: it must not make numbers that are none.
      const auto used = hn::Gt(hn::Load(d, weight + at), hn::Zero(d));
      hn::Store(hn::IfThenElseZero(used, hn::Add(parts[half], offset)), d, z + at);
    }
  }
}

/// sums[0 … 8) += 16 lanes, l and l + 8 added in float first.
HWY_INLINE void add_lanes(const SingleVector* lanes, double* sums) {
  const Tag d;
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

/// sums[0 … 8) += Σ over the tile of r·x. In float: lane l of 16 holds rows l and 16 + l.
HWY_INLINE void add_products(const SingleVector* residual, const SingleVector* x, double* sums) {
  SingleVector lanes[kHalf];
#pragma GCC unroll 4
  for (std::size_t v = 0; v < kHalf; ++v)
    lanes[v] = hn::MulAdd(residual[kHalf + v], x[kHalf + v], hn::Mul(residual[v], x[v]));
  add_lanes(lanes, sums);
}

/// sums[0 … 8) += Σ over the tile of r.
HWY_INLINE void add_residuals(const float* residuals, double* sums) {
  const SingleTag f;
  SingleVector lanes[kHalf];
  for (std::size_t v = 0; v < kHalf; ++v)
    lanes[v] =
        hn::Add(hn::Load(f, residuals + v * kSingleWidth), hn::Load(f, residuals + 16 + v * kSingleWidth));
  add_lanes(lanes, sums);
}

/// sums[j·8 + lane] += Σ over the tile of r·(x_j − c_j).
HWY_INLINE void tile_gradient(const float* x, const SingleMap& map, const float* residuals, double* sums) {
  const SingleTag f;
  SingleVector residual[kSingleVectors];
  SingleVector centred[kSingleVectors];
  const std::size_t ahead = columns_ahead(map.columns);
  for (std::size_t v = 0; v < kSingleVectors; ++v) residual[v] = hn::Load(f, residuals + v * kSingleWidth);
  for (std::size_t j = 0; j < map.columns; ++j) {
    ask_for(x + (ahead + j) * kTile, kTile);
    const auto centre = hn::Set(f, map.centre[j]);
    for (std::size_t v = 0; v < kSingleVectors; ++v)
      centred[v] = hn::Sub(hn::Load(f, x + j * kTile + v * kSingleWidth), centre);
    add_products(residual, centred, sums + 8 * j);
  }
}

/// eˣ for x ≤ 0, below −86 as at −86 (4e-38), to about a rounding: Taylor's series in |r| ≤ ln 2 / 2.
HWY_INLINE SingleVector single_exp_nonpositive(SingleVector x) {
  const SingleTag f;
  const hn::RebindToSigned<SingleTag> di;
  constexpr float kRoundingShift = 0x1.8p23F;
  constexpr float kSeries[] = {1.0F / 5040, 1.0F / 720, 1.0F / 120, 1.0F / 24, 1.0F / 6, 0.5F, 1.0F, 1.0F};
  x = hn::Max(x, hn::Set(f, -86.0F));
  const auto shift = hn::Set(f, kRoundingShift);
  const auto shifted = hn::MulAdd(x, hn::Set(f, static_cast<float>(math::kLog2E)), shift);
  const auto n = hn::Sub(shifted, shift);
  constexpr float kHigh = 0x1.62e4p-1F;  // the leading bits of ln 2: n times it is exact
  constexpr auto kLow = static_cast<float>(0x1.62e42fefa39efp-1 - 0x1.62e4p-1);
  const auto r = hn::NegMulAdd(n, hn::Set(f, kLow), hn::NegMulAdd(n, hn::Set(f, kHigh), x));
  auto p = hn::Set(f, kSeries[0]);
  for (std::size_t i = 1; i < std::size(kSeries); ++i) p = hn::MulAdd(p, r, hn::Set(f, kSeries[i]));
  // The low bits of `shifted` are n: add it to the exponent.
  return hn::BitCast(f, hn::Add(hn::BitCast(di, p), hn::ShiftLeft<23>(hn::BitCast(di, shifted))));
}

/// Two registers of doubles as one of floats.
HWY_INLINE SingleVector round_pair(Vector low, Vector high) {
  const SingleHalf half;
#if HWY_TARGET == HWY_SCALAR  // never chosen
  (void)high;
  return hn::DemoteTo(half, low);
#else
  return hn::Combine(SingleTag(), hn::DemoteTo(half, high), hn::DemoteTo(half, low));
#endif
}

/// Softmax of a tile in float, the logarithm in double: loss = log Σ exp(z_k) − z_y, residual_k = p_k − [k =
/// y], with 1 − p_y taken from the other classes' exponentials, which keeps its digits. residuals: times
/// weight and scale.
HWY_INLINE void single_softmax_tile(const double* target, const double* weight, const SingleMap& map,
                                    const double* z, float* residuals, double* loss) {
  const Tag d;
  const SingleTag f;
  const auto zero = hn::Zero(f);
  for (std::size_t row = 0; row < kTile; row += kSingleWidth) {
    Vector top[2] = {hn::Load(d, z + row), hn::Load(d, z + row + kWidth)};
    for (std::size_t k = 1; k < map.outputs; ++k)
      for (std::size_t half = 0; half < 2; ++half)
        top[half] = hn::Max(top[half], hn::Load(d, z + k * kTile + row + half * kWidth));
    const auto y = round_pair(hn::Load(d, target + row), hn::Load(d, target + row + kWidth));
    auto rest = zero;
    auto own = zero;
    auto own_shift = zero;
    for (std::size_t k = 0; k < map.outputs; ++k) {
      const double* at = z + k * kTile + row;
      const auto shifted =
          round_pair(hn::Sub(hn::Load(d, at), top[0]), hn::Sub(hn::Load(d, at + kWidth), top[1]));
      const auto e = single_exp_nonpositive(shifted);
      const auto hit = hn::Eq(y, hn::Set(f, static_cast<float>(k)));
      rest = hn::Add(rest, hn::IfThenZeroElse(hit, e));
      own = hn::IfThenElse(hit, e, own);
      own_shift = hn::IfThenElse(hit, shifted, own_shift);
      hn::Store(hn::IfThenZeroElse(hit, e), f, residuals + k * kTile + row);
    }
    Vector factor[2];
    for (std::size_t half = 0; half < 2; ++half) {
      const auto promoted = [&](SingleVector v) { return half == 0 ? promote_lower(v) : promote_upper(v); };
      const auto sum = hn::Add(promoted(own), promoted(rest));
      const auto w = hn::Load(d, weight + row + half * kWidth);
      hn::Store(hn::Mul(w, hn::Sub(log_above_one(d, sum), promoted(own_shift))), d,
                loss + row + half * kWidth);
      factor[half] = hn::Div(hn::Mul(w, hn::Set(d, map.residual_scale)), sum);
    }
    const auto weighted = round_pair(factor[0], factor[1]);
    const auto missing = hn::Neg(hn::Mul(weighted, rest));
    for (std::size_t k = 0; k < map.outputs; ++k) {
      float* at = residuals + k * kTile + row;
      const auto hit = hn::Eq(y, hn::Set(f, static_cast<float>(k)));
      hn::Store(hn::IfThenElse(hit, missing, hn::Mul(weighted, hn::Load(f, at))), f, at);
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

/// scratch: 8 lanes of loss, of the residual and of each gradient entry; then one tile of residuals, of
/// losses and of residuals as floats.
void single_binary_gradient(const float* x, const SingleMap& map, Rows rows, double* z, double* scratch,
                            double* statistic) {
  const std::size_t sums = 2 + map.columns;
  std::fill_n(scratch, 8 * sums, 0.0);
  double* residual = scratch + 8 * sums;
  double* unkept = residual + kTile;
  auto* rounded = reinterpret_cast<float*>(unkept + kTile);
  LossProduct product;
  for (std::size_t t = rows.first; t < rows.end; ++t) {
    const float* tile = x + (t - rows.first) * kTile * map.columns;
    double* margins = z != nullptr ? z + t * kTile : unkept;
    tile_margins(tile, map, rows.weight.of_tile(t), margins);
    binary_rows(rows, t, margins, residual, product, scratch);
    round_residuals(residual, kTile, map.residual_scale, rounded);
    add_residuals(rounded, scratch + 8);
    tile_gradient(tile, map, rounded, scratch + 16);
  }
  product.move_to(scratch);
  for (std::size_t i = 0; i < sums; ++i) statistic[i] = fold(scratch + 8 * i);
}

/// scratch: 8 lanes of loss and of each residual; one tile of losses, of margins and of margins as floats; of
/// a group of tiles residuals and centred columns.
void single_classes_gradient(const float* x, const SingleMap& map, Rows rows, double* z, double* scratch,
                             double* statistic) {
  const std::size_t outputs = map.outputs;
  std::fill_n(scratch, 8 * (1 + outputs), 0.0);
  double* loss = scratch + 8 * (1 + outputs);
  double* unkept = loss + kTile;
  auto* sums = reinterpret_cast<float*>(unkept + outputs * kTile);
  float* residuals = sums + outputs * kTile;
  float* centred = residuals + map.at_once * outputs * kTile;
  for (std::size_t begin = rows.first; begin < rows.end; begin += map.at_once) {
    const std::size_t end = std::min(rows.end, begin + map.at_once);
    for (std::size_t t = begin; t < end; ++t) {
      double* margins = z != nullptr ? z + t * outputs * kTile : unkept;
      float* residual = residuals + (t - begin) * outputs * kTile;
      single_class_margins(x + (t - rows.first) * kTile * map.columns, map.columns, outputs, map.centre,
                           map.coefficients, map.offsets, rows.weight.of_tile(t), sums, margins);
      single_softmax_tile(rows.target + t * kTile, rows.weight.of_tile(t), map, margins, residual, loss);
      add_tile(loss, scratch);
      for (std::size_t k = 0; k < outputs; ++k) add_residuals(residual + k * kTile, scratch + 8 * (1 + k));
    }
    single_class_gradient({x + (begin - rows.first) * kTile * map.columns, map.columns, outputs, map.centre,
                           residuals, end - begin, centred, begin == rows.first, statistic + 1 + outputs});
  }
  for (std::size_t i = 0; i < 1 + outputs; ++i) statistic[i] = fold(scratch + 8 * i);
}

/// x: the first of the tiles.
void single_gradient_kernel(const float* x, const SingleMap& map, const double* target, TileWeights weight,
                            std::size_t first, std::size_t end, double* z, double* scratch,
                            double* statistic) {
  if (map.outputs == 1)
    single_binary_gradient(x, map, {target, weight, first, end}, z, scratch, statistic);
  else
    single_classes_gradient(x, map, {target, weight, first, end}, z, scratch, statistic);
  const double unscale = 1 / map.residual_scale;  // a power of two
  if (unscale == 1) return;
  for (std::size_t i = 1; i < 1 + map.outputs * (1 + map.columns); ++i) statistic[i] *= unscale;
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
  const std::size_t columns = count(features.columns());
  const std::size_t at_once = tiles_of_group(range, features.columns(), model.outputs, sizeof(float));
  const std::size_t floats = (outputs + at_once * (outputs + kSingleColumnsMost)) * count(kTileRows);
  if (outputs == 1)
    scratch.resize(8 * statistic.size() + 3 * count(kTileRows));
  else
    scratch.resize(8 * (1 + outputs) + (1 + outputs) * count(kTileRows) + floats / 2);
  const SingleMap map{columns,
                      outputs,
                      model.coefficients.data(),
                      model.offsets.data(),
                      model.centre.data(),
                      model.residual_scale,
                      at_once};
  HWY_DYNAMIC_DISPATCH(single_gradient_kernel)
  (features.tile(range.first), map, targets.target.data(), targets.weights(), count(range.first),
   count(range.end), z, scratch.data(), statistic.data());
}

namespace {

/// z ← offset + Σ w·x over the non-zeros.
void sparse_margins(const SparseRows<float>& features, const LogisticTargets& targets,
                    const SingleOutputs& model, TileRange range, double* z) {
  const Index outputs = model.outputs;
  const Index end = std::min(range.end * kTileRows, features.local_rows());
  std::fill(z + range.first * outputs * kTileRows, z + range.end * outputs * kTileRows, 0.0);
  for (Index row = range.first * kTileRows; row < end; ++row) {
    if (!(targets.weight_of(count(row)) > 0)) continue;
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
