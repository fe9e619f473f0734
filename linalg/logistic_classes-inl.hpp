// SPDX-License-Identifier: Apache-2.0
// Margins and gradients of several classes in double, blocked so that a value of a tile that is in a register
// serves several classes and a sum stays in one over the rows of a block. Each sum is the chain that the
// plain loops of logistic_dense.cpp make: margins from the offset on, column after column; gradient entries
// eight lanes, eight rows after eight rows of a group of tiles, groups one after the other. Include after
// <hwy/highway.h> inside a translation unit driven by foreach_target; guarded per target.
#if defined(FIRESTEEL_LINALG_LOGISTIC_CLASSES_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef FIRESTEEL_LINALG_LOGISTIC_CLASSES_INL
#undef FIRESTEEL_LINALG_LOGISTIC_CLASSES_INL
#else
#define FIRESTEEL_LINALG_LOGISTIC_CLASSES_INL
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <type_traits>

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
/// Of those, columns of the tile one group on that margins ask for; gradients ask for the others.
constexpr std::size_t kSoon = 8;

/// z_k += Σ_j w_kj x_j for kOutputs classes and `columns` columns of a tile; `stride` from class to class of
/// w.
template <std::size_t kOutputs, class Scalar>
HWY_INLINE void add_margins(const Scalar* x, std::size_t columns, const double* w, std::size_t stride,
                            double* z) {
  constexpr std::size_t kParts = kWidth == 8 ? 4 : std::min<std::size_t>(2, kVectors);
  const Tag d;
  for (std::size_t row = 0; row < kTile; row += kParts * kWidth) {
    Vector sum[kOutputs][kParts];
#pragma GCC unroll 8
    for (std::size_t k = 0; k < kOutputs; ++k)
#pragma GCC unroll 4
      for (std::size_t v = 0; v < kParts; ++v) sum[k][v] = hn::Load(d, z + k * kTile + row + v * kWidth);
    for (std::size_t j = 0; j < columns; ++j) {
      Vector value[kParts];
#pragma GCC unroll 4
      for (std::size_t v = 0; v < kParts; ++v) value[v] = load(d, x + j * kTile + row + v * kWidth);
#pragma GCC unroll 8
      for (std::size_t k = 0; k < kOutputs; ++k) {
        const auto factor = hn::Set(d, w[k * stride + j]);
#pragma GCC unroll 4
        for (std::size_t v = 0; v < kParts; ++v) sum[k][v] = hn::MulAdd(factor, value[v], sum[k][v]);
      }
    }
#pragma GCC unroll 8
    for (std::size_t k = 0; k < kOutputs; ++k)
#pragma GCC unroll 4
      for (std::size_t v = 0; v < kParts; ++v) hn::Store(sum[k][v], d, z + k * kTile + row + v * kWidth);
  }
}

template <std::size_t kOutputs>
using Count = std::integral_constant<std::size_t, kOutputs>;

template <std::size_t kMost, class Take>
HWY_INLINE void take_share(std::size_t share, std::size_t k, const Take& take) {
  if (share == kMost)
    take(k, Count<kMost>());
  else if constexpr (kMost > 1)
    take_share<kMost - 1>(share, k, take);
}

/// Calls take(k, outputs) for consecutive shares of the classes, as equal as they can be: the number of a
/// share, at most kMost, as a constant.
template <std::size_t kMost, class Take>
HWY_INLINE void share_classes(std::size_t outputs, const Take& take) {
  std::size_t shares = (outputs + kMost - 1) / kMost;
  for (std::size_t k = 0; k < outputs; --shares) {
    const std::size_t share = (outputs - k + shares - 1) / shares;
    take_share<kMost>(share, k, take);
    k += share;
  }
}

/// z_k ← b_k + Σ_j w_kj x_j for the 32 rows of a tile and all classes. Asks for some columns of the tile
/// `ahead` tiles on.
template <class Scalar>
HWY_INLINE void class_margins(const Scalar* x, std::size_t columns, std::size_t outputs, const double* w,
                              const double* b, double* z, std::size_t ahead) {
  constexpr std::size_t kMost = kWidth == 8 ? 6 : 4;
  for (std::size_t k = 0; k < outputs; ++k) std::fill_n(z + k * kTile, kTile, b[k]);
  for (std::size_t j = 0; j < columns; j += kNearColumns) {
    const std::size_t near = std::min(kNearColumns, columns - j);
    const std::size_t soon = std::min(near, kSoon);
    share_classes<kMost>(outputs, [&]<std::size_t kOutputs>(std::size_t k, Count<kOutputs>) HWY_ATTR {
      for (std::size_t c = soon * k / outputs; c < soon * (k + kOutputs) / outputs; ++c)
        ask_for(x + (ahead * columns + j + c) * kTile, kTile);
      add_margins<kOutputs>(x + j * kTile, near, w + k * columns + j, columns, z + k * kTile);
    });
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

/// sums[i] += fold(lanes + 8·i) for kCount sums; the first group of tiles begins them.
template <std::size_t kCount>
HWY_INLINE void add_folded(const double* lanes, bool first, double* sums) {
  if (first) return fold_lanes_of<kCount>(lanes, sums);
  double folded[kCount];
  fold_lanes_of<kCount>(lanes, folded);
#pragma GCC unroll 8
  for (std::size_t i = 0; i < kCount; ++i) sums[i] += folded[i];
}

/// As add_folded, of eight registers of eight lanes.
HWY_INLINE void add_folded_registers([[maybe_unused]] const Vector* lanes, [[maybe_unused]] bool first,
                                     [[maybe_unused]] double* sums) {
#if HWY_TARGET != HWY_SCALAR  // never chosen
  const Tag d;
  // (l0 + l4, l1 + l5 | l2 + l6, l3 + l7) of a, then of b.
  const auto halves = [&](Vector a, Vector b) {
    return hn::Add(hn::ConcatLowerLower(d, b, a), hn::ConcatUpperUpper(d, b, a));
  };
  // (even lanes, odd lanes) of the sums a, c, b, d.
  const auto quarters = [&](Vector ab, Vector cd) {
    return hn::Add(hn::OddEvenBlocks(hn::SwapAdjacentBlocks(cd), ab),
                   hn::OddEvenBlocks(cd, hn::SwapAdjacentBlocks(ab)));
  };
  const auto even = quarters(halves(lanes[0], lanes[4]), halves(lanes[2], lanes[6]));
  const auto odd = quarters(halves(lanes[1], lanes[5]), halves(lanes[3], lanes[7]));
  auto folded = hn::Add(hn::InterleaveLower(d, even, odd), hn::InterleaveUpper(d, even, odd));
  if (!first) folded = hn::Add(hn::LoadU(d, sums), folded);
  hn::StoreU(folded, d, sums);
#endif
}

/// Where gradients of a group of tiles of a block come from and go to.
template <class Scalar>
struct ClassGradient {
  const Scalar* x;  ///< the first of the tiles
  std::size_t columns;
  std::size_t outputs;
  const double* residuals;  ///< tiles x outputs x 32
  std::size_t tiles;
  bool first;    ///< of the block's groups
  double* sums;  ///< outputs x columns
};

/// kColumns columns from j on and kOutputs classes from k on.
template <std::size_t kColumns, std::size_t kOutputs, class Scalar>
HWY_INLINE void gradient_corner(const ClassGradient<Scalar>& g, std::size_t j, std::size_t k) {
  const Tag d;
  HWY_ALIGN double lanes[kOutputs * kColumns * 8];
  for (std::size_t part = 0; part < 8; part += kWidth) {
    Vector sum[kOutputs][kColumns];
#pragma GCC unroll 4
    for (std::size_t a = 0; a < kOutputs; ++a)
#pragma GCC unroll 8
      for (std::size_t c = 0; c < kColumns; ++c) sum[a][c] = hn::Zero(d);
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
    if constexpr (kWidth == 8 && kColumns == 8) {
#pragma GCC unroll 4
      for (std::size_t a = 0; a < kOutputs; ++a)
        add_folded_registers(sum[a], g.first, g.sums + (k + a) * g.columns + j);
      return;
    }
#pragma GCC unroll 4
    for (std::size_t a = 0; a < kOutputs; ++a)
#pragma GCC unroll 8
      for (std::size_t c = 0; c < kColumns; ++c)
        hn::Store(sum[a][c], d, lanes + (a * kColumns + c) * 8 + part);
  }
  for (std::size_t a = 0; a < kOutputs; ++a)
    add_folded<kColumns>(lanes + a * kColumns * 8, g.first, g.sums + (k + a) * g.columns + j);
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
  share_classes<kMost>(g.outputs, [&]<std::size_t kOutputs>(std::size_t k, Count<kOutputs>) HWY_ATTR {
    if (j % kNearColumns >= kSoon) ask_for_share(g, j, kColumns, k, k + kOutputs);
    gradient_corner<kColumns, kOutputs>(g, j, k);
  });
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
