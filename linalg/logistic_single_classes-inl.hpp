// SPDX-License-Identifier: Apache-2.0
// As logistic_classes-inl.hpp, in single precision: the chains of logistic_single.hpp, so blocked that a
// centred value serves several classes and the double lanes of a gradient entry stay in registers. Include
// after <hwy/highway.h> inside a translation unit driven by foreach_target; guarded per target.
#if defined(FIRESTEEL_LINALG_LOGISTIC_SINGLE_CLASSES_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef FIRESTEEL_LINALG_LOGISTIC_SINGLE_CLASSES_INL
#undef FIRESTEEL_LINALG_LOGISTIC_SINGLE_CLASSES_INL
#else
#define FIRESTEEL_LINALG_LOGISTIC_SINGLE_CLASSES_INL
#endif

#include <hwy/highway.h>

#include <algorithm>

#include "firesteel/linalg/logistic_classes-inl.hpp"
#include "firesteel/linalg/simd_halves-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace firesteel::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

constexpr std::size_t kSingleWidth = hn::MaxLanes(SingleTag());
constexpr std::size_t kSingleVectors = kTile / kSingleWidth;
constexpr std::size_t kHalf = kSingleVectors / 2;  // registers of 16 rows
constexpr std::size_t kDoubles = 8 / kWidth;       // registers of a sum's lanes

/// sums_k += Σ_j w_kj (x_j − c_j), kOutputs classes of 32 sums, of `columns` columns of a tile.
template <std::size_t kOutputs>
HWY_INLINE void add_single_margins(const float* x, std::size_t columns, const float* centre, const float* w,
                                   std::size_t stride, float* sums) {
  constexpr std::size_t kParts = std::min<std::size_t>(2, kSingleVectors);
  const SingleTag f;
  for (std::size_t row = 0; row < kTile; row += kParts * kSingleWidth) {
    SingleVector sum[kOutputs][kParts];
#pragma GCC unroll 8
    for (std::size_t k = 0; k < kOutputs; ++k)
#pragma GCC unroll 2
      for (std::size_t v = 0; v < kParts; ++v)
        sum[k][v] = hn::Load(f, sums + k * kTile + row + v * kSingleWidth);
    for (std::size_t j = 0; j < columns; ++j) {
      const auto middle = hn::Set(f, centre[j]);
      SingleVector centred[kParts];
#pragma GCC unroll 2
      for (std::size_t v = 0; v < kParts; ++v)
        centred[v] = hn::Sub(hn::Load(f, x + j * kTile + row + v * kSingleWidth), middle);
#pragma GCC unroll 8
      for (std::size_t k = 0; k < kOutputs; ++k) {
        const auto factor = hn::Set(f, w[k * stride + j]);
#pragma GCC unroll 2
        for (std::size_t v = 0; v < kParts; ++v) sum[k][v] = hn::MulAdd(factor, centred[v], sum[k][v]);
      }
    }
#pragma GCC unroll 8
    for (std::size_t k = 0; k < kOutputs; ++k)
#pragma GCC unroll 2
      for (std::size_t v = 0; v < kParts; ++v)
        hn::Store(sum[k][v], f, sums + k * kTile + row + v * kSingleWidth);
  }
}

/// z_k ← offset_k + Σ_j w_kj (x_j − c_j) for the 32 rows of a tile and all classes; 0 in rows of weight 0.
/// sums: room for outputs x 32 floats.
HWY_INLINE void single_class_margins(const float* x, std::size_t columns, std::size_t outputs,
                                     const float* centre, const float* w, const double* offsets,
                                     const double* weight, float* sums, double* z) {
  constexpr std::size_t kMost = kSingleWidth == 16 ? 8 : 4;
  constexpr std::size_t kNear = 2 * kNearColumns;
  const Tag d;
  const hn::Rebind<float, Tag> half;
  std::fill_n(sums, outputs * kTile, 0.0F);
  for (std::size_t j = 0; j < columns; j += kNear) {
    const std::size_t near = std::min(kNear, columns - j);
    share_classes<kMost>(outputs, [&]<std::size_t kOutputs>(std::size_t k, Count<kOutputs>) HWY_ATTR {
      add_single_margins<kOutputs>(x + j * kTile, near, centre + j, w + k * columns + j, columns,
                                   sums + k * kTile);
    });
  }
  for (std::size_t row = 0; row < kTile; row += kWidth) {
    // A row of weight 0 may overflow in float: it must not make numbers that are none.
    const auto used = hn::Gt(hn::Load(d, weight + row), hn::Zero(d));
    for (std::size_t k = 0; k < outputs; ++k) {
      const auto sum = hn::PromoteTo(d, hn::Load(half, sums + k * kTile + row));
      hn::Store(hn::IfThenElseZero(used, hn::Add(sum, hn::Set(d, offsets[k]))), d, z + k * kTile + row);
    }
  }
}

/// lanes += 16 products, l and l + 8 added in float first.
HWY_INLINE void add_to_lanes(const SingleVector* products, Vector* lanes) {
  if constexpr (kSingleWidth == 16) {
    const auto eight = hn::Add(lower_half(products[0]), upper_half(products[0]));
    lanes[0] = hn::Add(lanes[0], hn::PromoteTo(Tag(), eight));
  } else {
#pragma GCC unroll 2
    for (std::size_t v = 0; v < kHalf / 2; ++v) {
      const auto eight = hn::Add(products[v], products[kHalf / 2 + v]);
      const std::size_t at = v * kSingleWidth / kWidth;
      lanes[at] = hn::Add(lanes[at], promote_lower(eight));
      lanes[(at + 1) % kDoubles] = hn::Add(lanes[(at + 1) % kDoubles], promote_upper(eight));
    }
  }
}

/// Where gradients of a group of tiles of a block come from and go to.
struct SingleClassGradient {
  const float* x;  ///< the first of the tiles
  std::size_t columns;
  std::size_t outputs;
  const float* centre;
  const float* residuals;  ///< tiles x outputs x 32
  std::size_t tiles;
  float* centred;  ///< room for tiles x kSingleColumns x 32
  bool first;      ///< of the block's groups
  double* sums;    ///< outputs x columns
};

constexpr std::size_t kSingleColumns = kSingleWidth == 16 ? 8 : 4;

/// kColumns columns from j on, which lie centred, and kOutputs classes from k on.
template <std::size_t kColumns, std::size_t kOutputs>
HWY_INLINE void single_corner(const SingleClassGradient& g, std::size_t j, std::size_t k) {
  const Tag d;
  const SingleTag f;
  Vector sum[kOutputs][kColumns][kDoubles];
#pragma GCC unroll 2
  for (std::size_t a = 0; a < kOutputs; ++a)
#pragma GCC unroll 8
    for (std::size_t c = 0; c < kColumns; ++c)
#pragma GCC unroll 4
      for (std::size_t p = 0; p < kDoubles; ++p) sum[a][c][p] = hn::Zero(d);
  for (std::size_t t = 0; t < g.tiles; ++t) {
    const float* x = g.centred + t * kColumns * kTile;
    const float* r = g.residuals + (t * g.outputs + k) * kTile;
    SingleVector residual[kOutputs][kSingleVectors];
#pragma GCC unroll 2
    for (std::size_t a = 0; a < kOutputs; ++a)
#pragma GCC unroll 8
      for (std::size_t v = 0; v < kSingleVectors; ++v)
        residual[a][v] = hn::Load(f, r + a * kTile + v * kSingleWidth);
#pragma GCC unroll 8
    for (std::size_t c = 0; c < kColumns; ++c) {
      SingleVector value[kSingleVectors];
#pragma GCC unroll 8
      for (std::size_t v = 0; v < kSingleVectors; ++v)
        value[v] = hn::Load(f, x + c * kTile + v * kSingleWidth);
#pragma GCC unroll 2
      for (std::size_t a = 0; a < kOutputs; ++a) {
        SingleVector products[kHalf];
#pragma GCC unroll 4
        for (std::size_t v = 0; v < kHalf; ++v)
          products[v] =
              hn::MulAdd(residual[a][kHalf + v], value[kHalf + v], hn::Mul(residual[a][v], value[v]));
        add_to_lanes(products, sum[a][c]);
      }
    }
  }
#pragma GCC unroll 2
  for (std::size_t a = 0; a < kOutputs; ++a) {
    double* sums = g.sums + (k + a) * g.columns + j;
    if constexpr (kWidth == 8 && kColumns == 8) {
      add_folded_registers(&sum[a][0][0], g.first, sums);
    } else {
      HWY_ALIGN double lanes[kColumns * 8];
      for (std::size_t c = 0; c < kColumns; ++c)
        for (std::size_t p = 0; p < kDoubles; ++p) hn::Store(sum[a][c][p], d, lanes + c * 8 + p * kWidth);
      add_folded<kColumns>(lanes, g.first, sums);
    }
  }
}

template <std::size_t kColumns>
HWY_INLINE void single_columns(const SingleClassGradient& g, std::size_t j) {
  const SingleTag f;
  for (std::size_t t = 0; t < g.tiles; ++t)
    for (std::size_t c = 0; c < kColumns; ++c) {
      const auto centre = hn::Set(f, g.centre[j + c]);
      const float* x = g.x + (t * g.columns + j + c) * kTile;
      float* centred = g.centred + (t * kColumns + c) * kTile;
      for (std::size_t row = 0; row < kTile; row += kSingleWidth)
        hn::Store(hn::Sub(hn::Load(f, x + row), centre), f, centred + row);
    }
  share_classes<kSingleWidth == 16 ? 2 : 1>(
      g.outputs, [&]<std::size_t kOutputs>(std::size_t k, Count<kOutputs>) HWY_ATTR {
        ask_for_share(g, j, kColumns, k, k + kOutputs);
        single_corner<kColumns, kOutputs>(g, j, k);
      });
}

/// Σ residual·(x − c) over the rows of the tiles, for all columns and classes.
HWY_INLINE void single_class_gradient(const SingleClassGradient& g) {
  std::size_t j = 0;
  for (; j + kSingleColumns <= g.columns; j += kSingleColumns) single_columns<kSingleColumns>(g, j);
  for (; j < g.columns; ++j) single_columns<1>(g, j);
}

}  // namespace firesteel::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
