// SPDX-License-Identifier: Apache-2.0
// The two halves of a register of floats as registers of doubles. Include after <hwy/highway.h> inside a
// translation unit driven by foreach_target; guarded per target.
#if defined(FIRESTEEL_LINALG_SIMD_HALVES_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef FIRESTEEL_LINALG_SIMD_HALVES_INL
#undef FIRESTEEL_LINALG_SIMD_HALVES_INL
#else
#define FIRESTEEL_LINALG_SIMD_HALVES_INL
#endif

#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace firesteel::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using SingleTag = hn::CappedTag<float, 16>;
using SingleVector = hn::Vec<SingleTag>;
using SingleHalf = hn::Half<SingleTag>;
using SinglePart = hn::Rebind<double, SingleHalf>;

HWY_INLINE hn::Vec<SingleHalf> lower_half(SingleVector v) { return hn::LowerHalf(SingleHalf(), v); }
HWY_INLINE hn::Vec<SingleHalf> upper_half(SingleVector v) {
#if HWY_TARGET == HWY_SCALAR  // Highway compiles this target too; select_simd() never chooses it
  return v;
#else
  return hn::UpperHalf(SingleHalf(), v);
#endif
}

HWY_INLINE hn::Vec<SinglePart> promote_lower(SingleVector v) {
  return hn::PromoteTo(SinglePart(), lower_half(v));
}
HWY_INLINE hn::Vec<SinglePart> promote_upper(SingleVector v) {
  return hn::PromoteTo(SinglePart(), upper_half(v));
}

/// out[0 … lanes) += unit · sum in double.
HWY_INLINE void add_promoted(SingleVector sum, double unit, double* out) {
  const SinglePart d;
  const std::size_t width = hn::Lanes(d);
  const auto scale = hn::Set(d, unit);
  hn::Store(hn::MulAdd(scale, promote_lower(sum), hn::Load(d, out)), d, out);
  hn::Store(hn::MulAdd(scale, promote_upper(sum), hn::Load(d, out + width)), d, out + width);
}

}  // namespace firesteel::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
