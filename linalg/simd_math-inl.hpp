// SPDX-License-Identifier: Apache-2.0
// Vector forms of linalg/math.hpp, for kernels that Highway compiles once per instruction set. Include after
// <hwy/highway.h> inside a translation unit driven by foreach_target; guarded per target.
#if defined(FIRESTEEL_LINALG_SIMD_MATH_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef FIRESTEEL_LINALG_SIMD_MATH_INL
#undef FIRESTEEL_LINALG_SIMD_MATH_INL
#else
#define FIRESTEEL_LINALG_SIMD_MATH_INL
#endif

#include <hwy/highway.h>

#include "firesteel/linalg/math.hpp"

HWY_BEFORE_NAMESPACE();
namespace firesteel::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// eˣ for x ≤ 0; below −708 as at −708 (3e-308). Equal to math::exp bit for bit above that.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V exp_nonpositive(D d, V x) {
  const hn::RebindToSigned<D> di;
  const auto shift = hn::Set(d, math::kRoundingShift);
  x = hn::Max(x, hn::Set(d, -708.0));
  const auto shifted = hn::MulAdd(x, hn::Set(d, math::kLog2E), shift);
  const auto n = hn::Sub(shifted, shift);
  const auto r = hn::NegMulAdd(n, hn::Set(d, math::kLn2Low), hn::NegMulAdd(n, hn::Set(d, math::kLn2High), x));
  auto p = hn::Set(d, math::kExpSeries[11]);
  for (int k = 10; k >= 0; --k) p = hn::MulAdd(p, r, hn::Set(d, math::kExpSeries[k]));
  p = hn::Add(hn::MulAdd(p, hn::Mul(r, r), r), hn::Set(d, 1.0));
  // The low bits of `shifted` are n: add it to the exponent.
  return hn::BitCast(d, hn::Add(hn::BitCast(di, p), hn::ShiftLeft<52>(hn::BitCast(di, shifted))));
}

/// log(1 + f) + k·ln 2 for 1 + f in [√½, √2].
template <class D, class V = hn::Vec<D>>
HWY_INLINE V log_near_one_lanes(D d, V f, V k) {
  const auto s = hn::Div(f, hn::Add(hn::Set(d, 2.0), f));
  const auto z = hn::Mul(s, s);
  auto p = hn::Set(d, math::kLogSeries[10]);
  for (int i = 9; i >= 0; --i) p = hn::MulAdd(p, z, hn::Set(d, math::kLogSeries[i]));
  const auto half_square = hn::Mul(hn::Mul(hn::Set(d, 0.5), f), f);
  const auto tail = hn::MulAdd(s, hn::MulAdd(z, p, half_square), hn::Mul(k, hn::Set(d, math::kLn2Low)));
  return hn::MulAdd(k, hn::Set(d, math::kLn2High), hn::Sub(f, hn::Sub(half_square, tail)));
}

/// log(1 + u) for u in [0, 1].
template <class D, class V = hn::Vec<D>>
HWY_INLINE V log1p_unit(D d, V u) {
  const auto one = hn::Set(d, 1.0);
  // Above √2 − 1: log(1 + u) = ln 2 + log(1 + (u − 1)/2).
  const auto upper = hn::Gt(u, hn::Set(d, 0.41421356237309503));
  const auto f = hn::IfThenElse(upper, hn::Mul(hn::Sub(u, one), hn::Set(d, 0.5)), u);
  return log_near_one_lanes(d, f, hn::IfThenElseZero(upper, one));
}

/// log(x) for 1 ≤ x < 2^1000.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V log_above_one(D d, V x) {
  const hn::RebindToUnsigned<D> du;
  const auto bits = hn::BitCast(du, x);
  const auto e = hn::ShiftRight<52>(hn::Sub(bits, hn::Set(du, std::uint64_t{0x3FE6A09E667F3BCD})));
  // A whole number below 2⁵² as a double: set the exponent of 2⁵², subtract 2⁵².
  const auto k =
      hn::Sub(hn::BitCast(d, hn::Or(e, hn::Set(du, std::uint64_t{0x4330000000000000}))), hn::Set(d, 0x1p52));
  const auto m = hn::BitCast(d, hn::Sub(bits, hn::ShiftLeft<52>(e)));
  return log_near_one_lanes(d, hn::Sub(m, hn::Set(d, 1.0)), k);
}

/// log(1 + x) for 0 ≤ x < 2^1000.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V log1p_positive(D d, V x) {
  const hn::RebindToUnsigned<D> du;
  const auto one = hn::Set(d, 1.0);
  const auto bits = hn::BitCast(du, hn::Add(x, one));
  const auto e = hn::ShiftRight<52>(hn::Sub(bits, hn::Set(du, std::uint64_t{0x3FE6A09E667F3BCD})));
  const auto k =
      hn::Sub(hn::BitCast(d, hn::Or(e, hn::Set(du, std::uint64_t{0x4330000000000000}))), hn::Set(d, 0x1p52));
  const auto m = hn::BitCast(d, hn::Sub(bits, hn::ShiftLeft<52>(e)));
  // Below √2 the sum with 1 would round x away.
  const auto f = hn::IfThenElse(hn::Eq(k, hn::Zero(d)), x, hn::Sub(m, one));
  return log_near_one_lanes(d, f, k);
}

}  // namespace firesteel::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
