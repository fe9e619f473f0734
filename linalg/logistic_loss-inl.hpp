// SPDX-License-Identifier: Apache-2.0
// Logistic loss of one tile of 32 rows, for the kernels of logistic_dense.cpp and logistic_loss.cpp. Include
// after <hwy/highway.h> inside a translation unit driven by foreach_target; guarded per target.
#if defined(FIRESTEEL_LINALG_LOGISTIC_LOSS_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef FIRESTEEL_LINALG_LOGISTIC_LOSS_INL
#undef FIRESTEEL_LINALG_LOGISTIC_LOSS_INL
#else
#define FIRESTEEL_LINALG_LOGISTIC_LOSS_INL
#endif

#include <hwy/highway.h>

#include "firesteel/core/index.hpp"
#include "firesteel/linalg/logistic_kernels.hpp"
#include "firesteel/linalg/simd_math-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace firesteel::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using Tag = hn::CappedTag<double, 8>;
using Vector = hn::Vec<Tag>;
constexpr std::size_t kTile = kTileRows;
constexpr std::size_t kWidth = hn::MaxLanes(Tag());
constexpr std::size_t kVectors = kTile / kWidth;

constexpr std::size_t kFarColumns = 48;

/// Rows of a rank as tiles [first, end).
struct Rows {
  const double* target;
  TileWeights weight;
  std::size_t first;
  std::size_t end;
};

/// Asks for `count` values of 64-byte lines that will be read soon. The rows of a block are read in bursts,
/// margins, and computed on in between: without this memory is idle then. Where the values are no rows, or
/// not ours, nothing happens.
template <class Scalar>
HWY_INLINE void ask_for(const Scalar* values, std::size_t count) {
  for (std::size_t i = 0; i < count; i += 64 / sizeof(Scalar)) __builtin_prefetch(values + i, 0, 2);
}

/// Columns of the tiles between one that is computed on and the one to ask for: the next, or where tiles are
/// narrow one some 48 columns away, as memory takes longer than a narrow tile.
constexpr std::size_t columns_ahead(std::size_t columns) {
  return (kFarColumns + columns - 1) / columns * columns;
}

/// The one order in which eight lanes become a number.
HWY_INLINE double fold(const double* lane) {
  return ((lane[0] + lane[4]) + (lane[2] + lane[6])) + ((lane[1] + lane[5]) + (lane[3] + lane[7]));
}

/// Adds 32 values to eight lanes, group after group.
HWY_INLINE void add_tile(const double* values, double* lanes) {
  const Tag d;
  for (std::size_t part = 0; part < 8; part += kWidth) {
    auto sum = hn::Load(d, lanes + part);
    for (std::size_t row = part; row < kTile; row += 8) sum = hn::Add(sum, hn::Load(d, values + row));
    hn::Store(sum, d, lanes + part);
  }
}

/// Binary: loss = log(1 + exp(−s·z)), residual = −s/(1 + exp(s·z)), both times the weight.
HWY_INLINE void binary_tile(const double* target, const double* weight, const double* z, double* residual,
                            double* loss) {
  const Tag d;
  const auto zero = hn::Zero(d);
  const auto one = hn::Set(d, 1.0);
  for (std::size_t row = 0; row < kTile; row += kWidth) {
    const auto s = hn::Load(d, target + row);
    const auto w = hn::Load(d, weight + row);
    const auto m = hn::Mul(s, hn::Load(d, z + row));
    const auto e = exp_nonpositive(d, hn::Neg(hn::Abs(m)));
    hn::Store(hn::Mul(w, hn::Add(hn::Max(hn::Neg(m), zero), log1p_unit(d, e))), d, loss + row);
    const auto p_wrong = hn::Div(hn::IfThenElse(hn::Ge(m, zero), e, one), hn::Add(one, e));
    hn::Store(hn::Neg(hn::Mul(hn::Mul(w, s), p_wrong)), d, residual + row);
  }
}

/// Losses of many rows of weight 1 with one logarithm: Σ log(1 + e_i) = log Π(1 + e_i). A lane holds the
/// product less 1, which keeps the digits of small e, and what losses have beside the logarithm.
struct LossProduct {
  Vector product[8 / kWidth];
  Vector linear[8 / kWidth];
  std::size_t tiles = 0;

  LossProduct() {
    for (auto& lanes : product) lanes = hn::Zero(Tag());
    for (auto& lanes : linear) lanes = hn::Zero(Tag());
  }
  /// Of 128 tiles a lane's product is at most 2^512.
  bool full() const { return tiles == 128; }
  /// Adds to eight lanes and begins again.
  HWY_INLINE void move_to(double* lanes) {
    const Tag d;
    for (std::size_t part = 0; part < 8 / kWidth; ++part) {
      const auto loss = hn::Add(linear[part], log1p_positive(d, product[part]));
      hn::Store(hn::Add(hn::Load(d, lanes + part * kWidth), loss), d, lanes + part * kWidth);
      product[part] = linear[part] = hn::Zero(d);
    }
    tiles = 0;
  }
};

/// As binary_tile for 32 rows of weight 1.
HWY_INLINE void binary_unit_tile(const double* target, const double* z, double* residual, LossProduct& loss) {
  const Tag d;
  const auto zero = hn::Zero(d);
  const auto one = hn::Set(d, 1.0);
#pragma GCC unroll 4
  for (std::size_t v = 0; v < kVectors; ++v) {
    const std::size_t part = v % (8 / kWidth);
    const auto s = hn::Load(d, target + v * kWidth);
    const auto m = hn::Mul(s, hn::Load(d, z + v * kWidth));
    const auto e = exp_nonpositive(d, hn::Neg(hn::Abs(m)));
    loss.linear[part] = hn::Add(loss.linear[part], hn::Max(hn::Neg(m), zero));
    loss.product[part] = hn::MulAdd(loss.product[part], e, hn::Add(loss.product[part], e));
    const auto p_wrong = hn::Div(hn::IfThenElse(hn::Ge(m, zero), e, one), hn::Add(one, e));
    hn::Store(hn::Neg(hn::Mul(s, p_wrong)), d, residual + v * kWidth);
  }
  ++loss.tiles;
}

/// Residuals of a tile of two classes; losses to `product`, or to eight lanes.
HWY_INLINE void binary_rows(const Rows& rows, std::size_t t, const double* z, double* residual,
                            LossProduct& product, double* lanes) {
  const double* weight = rows.weight.of_tile(t);
  if (rows.weight.unit() && weight[kTile - 1] == 1) {
    if (product.full()) product.move_to(lanes);
    binary_unit_tile(rows.target + t * kTile, z, residual, product);
    return;
  }
  HWY_ALIGN double loss[kTile];
  binary_tile(rows.target + t * kTile, weight, z, residual, loss);
  add_tile(loss, lanes);
}

/// Softmax: loss = log Σ exp(z_k) − z_y, residual_k = p_k − [k = y], both times the weight.
HWY_INLINE void softmax_tile(const double* target, const double* weight, std::size_t outputs, const double* z,
                             double* residual, double* loss) {
  const Tag d;
  const auto one = hn::Set(d, 1.0);
  for (std::size_t row = 0; row < kTile; row += kWidth) {
    auto top = hn::Load(d, z + row);
    for (std::size_t k = 1; k < outputs; ++k) top = hn::Max(top, hn::Load(d, z + k * kTile + row));
    const auto y = hn::Load(d, target + row);
    auto sum = hn::Zero(d);
    auto own = hn::Zero(d);
    for (std::size_t k = 0; k < outputs; ++k) {
      const auto shifted = hn::Sub(hn::Load(d, z + k * kTile + row), top);
      const auto e = exp_nonpositive(d, shifted);
      sum = hn::Add(sum, e);
      own = hn::IfThenElse(hn::Eq(y, hn::Set(d, static_cast<double>(k))), shifted, own);
      hn::Store(e, d, residual + k * kTile + row);
    }
    const auto w = hn::Load(d, weight + row);
    hn::Store(hn::Mul(w, hn::Sub(log_above_one(d, sum), own)), d, loss + row);
    for (std::size_t k = 0; k < outputs; ++k) {
      const auto p = hn::Div(hn::Load(d, residual + k * kTile + row), sum);
      const auto hit = hn::IfThenElseZero(hn::Eq(y, hn::Set(d, static_cast<double>(k))), one);
      hn::Store(hn::Mul(w, hn::Sub(p, hit)), d, residual + k * kTile + row);
    }
  }
}

HWY_INLINE void loss_tile(const double* target, const double* weight, std::size_t outputs, const double* z,
                          double* residual, double* loss) {
  if (outputs == 1)
    binary_tile(target, weight, z, residual, loss);
  else
    softmax_tile(target, weight, outputs, z, residual, loss);
}

}  // namespace firesteel::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
