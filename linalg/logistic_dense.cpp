// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <limits>

#include "firesteel/linalg/logistic_kernels.hpp"
#include "firesteel/linalg/simd.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "firesteel/linalg/logistic_dense.cpp"
#include <hwy/foreach_target.h>  // must come before highway.h
#include <hwy/highway.h>

#include "firesteel/linalg/logistic_classes-inl.hpp"
#include "firesteel/linalg/logistic_loss-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace firesteel::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// z ← b + Σ_j w_j x_j for the 32 rows of a tile.
template <class Scalar>
HWY_INLINE void tile_margins(const Scalar* x, std::size_t columns, const double* w, double b, double* z) {
  const Tag d;
  Vector sum[kVectors];
  for (std::size_t v = 0; v < kVectors; ++v) sum[v] = hn::Set(d, b);
  for (std::size_t j = 0; j < columns; ++j) {
    const auto factor = hn::Set(d, w[j]);
    for (std::size_t v = 0; v < kVectors; ++v)
      sum[v] = hn::MulAdd(factor, load(d, x + j * kTile + v * kWidth), sum[v]);
  }
  for (std::size_t v = 0; v < kVectors; ++v) hn::Store(sum[v], d, z + v * kWidth);
}

/// sums[j·8 + lane] += Σ over the tile's four groups of eight rows of r·x_j, group after group.
template <class Scalar>
HWY_INLINE void tile_gradient(const Scalar* x, std::size_t columns, const double* r, double* sums) {
  const Tag d;
  Vector residual[kVectors];
  for (std::size_t v = 0; v < kVectors; ++v) residual[v] = hn::Load(d, r + v * kWidth);
  constexpr std::size_t kParts = 8 / kWidth;
  const std::size_t ahead = columns_ahead(columns);
  for (std::size_t j = 0; j < columns; ++j) {
    ask_for(x + (ahead + j) * kTile, kTile);
    for (std::size_t part = 0; part < kParts; ++part) {
      double* lanes = sums + j * 8 + part * kWidth;
      auto sum = hn::Load(d, lanes);
      for (std::size_t v = part; v < kVectors; v += kParts)
        sum = hn::MulAdd(residual[v], load(d, x + j * kTile + v * kWidth), sum);
      hn::Store(sum, d, lanes);
    }
  }
}

template <class Scalar>
void margins_kernel(const Scalar* x, std::size_t columns, std::size_t outputs, const double* w,
                    const double* b, std::size_t first, std::size_t end, double* z) {
  for (std::size_t t = first; t < end; ++t) {
    const Scalar* tile = x + (t - first) * kTile * columns;
    if (outputs == 1)
      tile_margins(tile, columns, w, b[0], z + t * kTile);
    else
      class_margins(tile, columns, outputs, w, b, z + t * outputs * kTile, 1);
  }
}

/// x: the first of the tiles. scratch: 8 lanes of loss, of the residual and of each gradient entry; then one
/// tile of residuals and of margins.
template <class Scalar>
void binary_gradient(const Scalar* x, std::size_t columns, const double* w, double b, Rows rows, double* z,
                     double* scratch, double* statistic) {
  const std::size_t sums = 2 + columns;
  std::fill_n(scratch, 8 * sums, 0.0);
  double* residual = scratch + 8 * sums;
  LossProduct product;
  for (std::size_t t = rows.first; t < rows.end; ++t) {
    const Scalar* tile = x + (t - rows.first) * kTile * columns;
    double* margins = z != nullptr ? z + t * kTile : residual + kTile;
    tile_margins(tile, columns, w, b, margins);
    binary_rows(rows, t, margins, residual, product, scratch);
    add_tile(residual, scratch + 8);
    tile_gradient(tile, columns, residual, scratch + 16);
  }
  product.move_to(scratch);
  for (std::size_t i = 0; i < sums; ++i) statistic[i] = fold(scratch + 8 * i);
}

/// scratch: 8 lanes of loss and of each residual; one tile of losses and of margins; the residuals of a group
/// of tiles.
template <class Scalar>
void classes_gradient(const Scalar* x, std::size_t columns, std::size_t outputs, const double* w,
                      const double* b, Rows rows, std::size_t at_once, double* z, double* scratch,
                      double* statistic) {
  std::fill_n(scratch, 8 * (1 + outputs), 0.0);
  double* loss = scratch + 8 * (1 + outputs);
  double* unkept = loss + kTile;
  double* residuals = unkept + outputs * kTile;
  for (std::size_t begin = rows.first; begin < rows.end; begin += at_once) {
    const std::size_t end = std::min(rows.end, begin + at_once);
    for (std::size_t t = begin; t < end; ++t) {
      double* margins = z != nullptr ? z + t * outputs * kTile : unkept;
      double* residual = residuals + (t - begin) * outputs * kTile;
      class_margins(x + (t - rows.first) * kTile * columns, columns, outputs, w, b, margins, at_once);
      softmax_tile(rows.target + t * kTile, rows.weight.of_tile(t), outputs, margins, residual, loss);
      add_tile(loss, scratch);
      for (std::size_t k = 0; k < outputs; ++k) add_tile(residual + k * kTile, scratch + 8 * (1 + k));
    }
    class_gradient(ClassGradient<Scalar>{x + (begin - rows.first) * kTile * columns, columns, outputs,
                                         residuals, end - begin, begin == rows.first,
                                         statistic + 1 + outputs});
  }
  for (std::size_t i = 0; i < 1 + outputs; ++i) statistic[i] = fold(scratch + 8 * i);
}

/// at_once: tiles of a group.
template <class Scalar>
void gradient_kernel(const Scalar* x, std::size_t columns, std::size_t outputs, const double* w,
                     const double* b, Rows rows, std::size_t at_once, double* z, double* scratch,
                     double* statistic) {
  if (outputs == 1)
    binary_gradient(x, columns, w, b[0], rows, z, scratch, statistic);
  else
    classes_gradient(x, columns, outputs, w, b, rows, at_once, z, scratch, statistic);
}

void gradient_float(const float* x, std::size_t columns, std::size_t outputs, const double* w,
                    const double* b, const double* target, TileWeights weight, std::size_t first,
                    std::size_t end, std::size_t at_once, double* z, double* scratch, double* statistic) {
  gradient_kernel(x, columns, outputs, w, b, {target, weight, first, end}, at_once, z, scratch, statistic);
}
void gradient_double(const double* x, std::size_t columns, std::size_t outputs, const double* w,
                     const double* b, const double* target, TileWeights weight, std::size_t first,
                     std::size_t end, std::size_t at_once, double* z, double* scratch, double* statistic) {
  gradient_kernel(x, columns, outputs, w, b, {target, weight, first, end}, at_once, z, scratch, statistic);
}
void margins_float(const float* x, std::size_t columns, std::size_t outputs, const double* w, const double* b,
                   std::size_t first, std::size_t end, double* z) {
  margins_kernel(x, columns, outputs, w, b, first, end, z);
}
void margins_double(const double* x, std::size_t columns, std::size_t outputs, const double* w,
                    const double* b, std::size_t first, std::size_t end, double* z) {
  margins_kernel(x, columns, outputs, w, b, first, end, z);
}

}  // namespace firesteel::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace firesteel {

namespace {

std::size_t count(Index i) { return static_cast<std::size_t>(i); }

HWY_EXPORT(gradient_float);
HWY_EXPORT(gradient_double);
HWY_EXPORT(margins_float);
HWY_EXPORT(margins_double);

auto margins_of(const float*) { return HWY_DYNAMIC_DISPATCH(margins_float); }
auto margins_of(const double*) { return HWY_DYNAMIC_DISPATCH(margins_double); }
auto gradient_of(const float*) { return HWY_DYNAMIC_DISPATCH(gradient_float); }
auto gradient_of(const double*) { return HWY_DYNAMIC_DISPATCH(gradient_double); }

}  // namespace

template <class Scalar>
void block_margins(const DenseTiles<Scalar>& features, const LinearOutputs& model, TileRange range,
                   double* z) {
  select_simd();
  const Scalar* x = features.tile(range.first);
  margins_of(x)(x, count(features.columns()), count(model.outputs), model.coefficients.data(),
                model.offsets.data(), count(range.first), count(range.end), z);
}

template <class Scalar>
void block_loss_and_gradient(const DenseTiles<Scalar>& features, const LogisticTargets& targets,
                             const LinearOutputs& model, TileRange range, double* z,
                             std::span<double> statistic, AlignedVector<double>& scratch) {
  select_simd();
  const std::size_t outputs = count(model.outputs);
  const std::size_t at_once = tiles_of_group(range, features.columns(), model.outputs, sizeof(Scalar));
  if (outputs == 1)
    scratch.resize(8 * statistic.size() + 2 * count(kTileRows));
  else
    scratch.resize(8 * (1 + outputs) + (1 + (1 + at_once) * outputs) * count(kTileRows));
  const Scalar* x = features.tile(range.first);
  gradient_of(x)(x, count(features.columns()), outputs, model.coefficients.data(), model.offsets.data(),
                 targets.target.data(), targets.weights(), count(range.first), count(range.end), at_once, z,
                 scratch.data(), statistic.data());
}

template void block_margins(const DenseTiles<float>&, const LinearOutputs&, TileRange, double*);
template void block_margins(const DenseTiles<double>&, const LinearOutputs&, TileRange, double*);
template void block_loss_and_gradient(const DenseTiles<float>&, const LogisticTargets&, const LinearOutputs&,
                                      TileRange, double*, std::span<double>, AlignedVector<double>&);
template void block_loss_and_gradient(const DenseTiles<double>&, const LogisticTargets&, const LinearOutputs&,
                                      TileRange, double*, std::span<double>, AlignedVector<double>&);

}  // namespace firesteel
#endif
