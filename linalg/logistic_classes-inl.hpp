// SPDX-License-Identifier: Apache-2.0
// Margins and gradients of several classes in double, blocked so that a value of a tile that is in a register
// serves several classes and a sum stays in one over the rows of a block. Each sum is the chain that the
// plain loops of logistic_dense.cpp make: margins from the offset on, column after column; gradient entries
// eight lanes, eight rows after eight rows. Include after <hwy/highway.h> inside a translation unit driven by
// foreach_target; guarded per target.
#if defined(FIRESTEEL_LINALG_LOGISTIC_CLASSES_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef FIRESTEEL_LINALG_LOGISTIC_CLASSES_INL
#undef FIRESTEEL_LINALG_LOGISTIC_CLASSES_INL
#else
#define FIRESTEEL_LINALG_LOGISTIC_CLASSES_INL
#endif

#include <hwy/highway.h>

#include <algorithm>

#include "firesteel/linalg/logistic_loss-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace firesteel::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

HWY_INLINE Vector load(Tag d, const double* p) { return hn::Load(d, p); }
HWY_INLINE Vector load(Tag d, const float* p) {
  return hn::PromoteTo(d, hn::Load(hn::Rebind<float, Tag>(), p));
}

/// Columns of a tile that stay in the first-level cache while all classes use them.
constexpr std::size_t kNearColumns = 64;

/// z_k += Σ_j w_kj x_j for kOutputs classes and `columns` columns of a tile; `stride` from class to class of
/// w.
template <std::size_t kOutputs, class Scalar>
HWY_INLINE void add_margins(const Scalar* x, std::size_t columns, const double* w, std::size_t stride,
                            double* z) {
  constexpr std::size_t kParts = kWidth == 8 ? 4 : std::min<std::size_t>(2, kVectors);
  const Tag d;
  for (std::size_t row = 0; row < kTile; row += kParts * kWidth) {
    Vector sum[kOutputs][kParts];
#pragma GCC unroll 4
    for (std::size_t k = 0; k < kOutputs; ++k)
#pragma GCC unroll 4
      for (std::size_t v = 0; v < kParts; ++v) sum[k][v] = hn::Load(d, z + k * kTile + row + v * kWidth);
    for (std::size_t j = 0; j < columns; ++j) {
      Vector value[kParts];
#pragma GCC unroll 4
      for (std::size_t v = 0; v < kParts; ++v) value[v] = load(d, x + j * kTile + row + v * kWidth);
#pragma GCC unroll 4
      for (std::size_t k = 0; k < kOutputs; ++k) {
        const auto factor = hn::Set(d, w[k * stride + j]);
#pragma GCC unroll 4
        for (std::size_t v = 0; v < kParts; ++v) sum[k][v] = hn::MulAdd(factor, value[v], sum[k][v]);
      }
    }
#pragma GCC unroll 4
    for (std::size_t k = 0; k < kOutputs; ++k)
#pragma GCC unroll 4
      for (std::size_t v = 0; v < kParts; ++v) hn::Store(sum[k][v], d, z + k * kTile + row + v * kWidth);
  }
}

/// z_k ← b_k + Σ_j w_kj x_j for the 32 rows of a tile and all classes.
template <class Scalar>
HWY_INLINE void class_margins(const Scalar* x, std::size_t columns, std::size_t outputs, const double* w,
                              const double* b, double* z) {
  for (std::size_t k = 0; k < outputs; ++k) std::fill_n(z + k * kTile, kTile, b[k]);
  for (std::size_t j = 0; j < columns; j += kNearColumns) {
    const std::size_t near = std::min(kNearColumns, columns - j);
    std::size_t k = 0;
    for (; k + 4 <= outputs; k += 4)
      add_margins<4>(x + j * kTile, near, w + k * columns + j, columns, z + k * kTile);
    for (; k + 2 <= outputs; k += 2)
      add_margins<2>(x + j * kTile, near, w + k * columns + j, columns, z + k * kTile);
    if (k < outputs) add_margins<1>(x + j * kTile, near, w + k * columns + j, columns, z + k * kTile);
  }
}

/// sums[i] ← fold(lanes + 8·i) for kCount sums.
template <std::size_t kCount>
HWY_INLINE void fold_lanes_of(const double* lanes, double* sums) {
#if HWY_TARGET != HWY_SCALAR  // never chosen
  if constexpr (kCount % 4 == 0 && kWidth >= 4) {
    const hn::CappedTag<double, 4> d;
    using Quad = hn::Vec<hn::CappedTag<double, 4>>;
#pragma GCC unroll 2
    for (std::size_t i = 0; i < kCount; i += 4) {
      Quad four[4];  // lanes l and l + 4 added
#pragma GCC unroll 4
      for (std::size_t s = 0; s < 4; ++s)
        four[s] = hn::Add(hn::Load(d, lanes + 8 * (i + s)), hn::Load(d, lanes + 8 * (i + s) + 4));
      const auto even =
          hn::Add(hn::ConcatLowerLower(d, four[2], four[0]), hn::ConcatUpperUpper(d, four[2], four[0]));
      const auto odd =
          hn::Add(hn::ConcatLowerLower(d, four[3], four[1]), hn::ConcatUpperUpper(d, four[3], four[1]));
      hn::StoreU(hn::Add(hn::InterleaveLower(d, even, odd), hn::InterleaveUpper(d, even, odd)), d, sums + i);
    }
    return;
  }
#endif
  for (std::size_t i = 0; i < kCount; ++i) sums[i] = fold(lanes + 8 * i);
}

/// Where gradients of the tiles of a block, or of some of them, come from and go to.
template <class Scalar>
struct ClassGradient {
  const Scalar* x;  ///< the first of the tiles
  std::size_t columns;
  std::size_t outputs;
  const double* residuals;  ///< tiles x outputs x 32
  std::size_t tiles;
  double* lanes;  ///< eight a sum, from earlier tiles and for later ones; null: these are all tiles
  bool first;     ///< no earlier tiles
  double* sums;   ///< outputs x columns; null: later tiles follow
};

/// kColumns columns from j on and kOutputs classes from k on.
template <std::size_t kColumns, std::size_t kOutputs, class Scalar>
HWY_INLINE void gradient_corner(const ClassGradient<Scalar>& g, std::size_t j, std::size_t k) {
  const Tag d;
  HWY_ALIGN double own[kOutputs * kColumns * 8];
  double* lanes = g.lanes != nullptr ? g.lanes + 8 * (k * g.columns + j) : own;
  const std::size_t stride = g.lanes != nullptr ? 8 * g.columns : 8 * kColumns;
  for (std::size_t part = 0; part < 8; part += kWidth) {
    Vector sum[kOutputs][kColumns];
#pragma GCC unroll 4
    for (std::size_t a = 0; a < kOutputs; ++a)
#pragma GCC unroll 8
      for (std::size_t c = 0; c < kColumns; ++c)
        sum[a][c] = g.first ? hn::Zero(d) : hn::Load(d, lanes + a * stride + 8 * c + part);
    for (std::size_t t = 0; t < g.tiles; ++t) {
      const Scalar* x = g.x + (t * g.columns + j) * kTile + part;
      const double* r = g.residuals + (t * g.outputs + k) * kTile + part;
      for (std::size_t row = 0; row < kTile; row += 8) {
        Vector residual[kOutputs];
#pragma GCC unroll 4
        for (std::size_t a = 0; a < kOutputs; ++a) residual[a] = hn::Load(d, r + a * kTile + row);
#pragma GCC unroll 8
        for (std::size_t c = 0; c < kColumns; ++c) {
          const auto value = load(d, x + c * kTile + row);
#pragma GCC unroll 4
          for (std::size_t a = 0; a < kOutputs; ++a) sum[a][c] = hn::MulAdd(residual[a], value, sum[a][c]);
        }
      }
    }
#pragma GCC unroll 4
    for (std::size_t a = 0; a < kOutputs; ++a)
#pragma GCC unroll 8
      for (std::size_t c = 0; c < kColumns; ++c) hn::Store(sum[a][c], d, lanes + a * stride + 8 * c + part);
  }
  if (g.sums == nullptr) return;
  for (std::size_t a = 0; a < kOutputs; ++a)
    fold_lanes_of<kColumns>(lanes + a * stride, g.sums + (k + a) * g.columns + j);
}

/// Asks for columns of the tiles that follow these, the part that the classes [k, end) are of all: not all at
/// once, since a core waits for few lines at a time.
template <class Gradient>
HWY_INLINE void ask_for_share(const Gradient& g, std::size_t j, std::size_t count, std::size_t k,
                              std::size_t end) {
  const std::size_t values = count * kTile;
  const std::size_t from = values * k / g.outputs / kTile * kTile;
  const std::size_t to = values * end / g.outputs / kTile * kTile;
  for (std::size_t t = g.tiles; t < 2 * g.tiles; ++t)
    ask_for(g.x + (t * g.columns + j) * kTile + from, to - from);
}

template <std::size_t kColumns, class Scalar>
HWY_INLINE void gradient_columns(const ClassGradient<Scalar>& g, std::size_t j) {
  constexpr std::size_t kMost = kWidth == 8 ? 3 : 2;
  std::size_t k = 0;
  for (; k + kMost <= g.outputs; k += kMost) {
    ask_for_share(g, j, kColumns, k, k + kMost);
    gradient_corner<kColumns, kMost>(g, j, k);
  }
  for (; k < g.outputs; ++k) {
    ask_for_share(g, j, kColumns, k, k + 1);
    gradient_corner<kColumns, 1>(g, j, k);
  }
}

/// Σ residual·x over the rows of the tiles, for all columns and classes.
template <class Scalar>
HWY_INLINE void class_gradient(const ClassGradient<Scalar>& g) {
  constexpr std::size_t kMost = kWidth == 8 ? 8 : 4;
  std::size_t j = 0;
  for (; j + kMost <= g.columns; j += kMost) gradient_columns<kMost>(g, j);
  for (; j < g.columns; ++j) gradient_columns<1>(g, j);
}

}  // namespace firesteel::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
