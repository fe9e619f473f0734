// SPDX-License-Identifier: Apache-2.0
// Masks of registers as bits. Include after <hwy/highway.h> inside a translation unit driven by
// foreach_target; guarded per target.
#if defined(FIRESTEEL_LINALG_SIMD_MASKS_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef FIRESTEEL_LINALG_SIMD_MASKS_INL
#undef FIRESTEEL_LINALG_SIMD_MASKS_INL
#else
#define FIRESTEEL_LINALG_SIMD_MASKS_INL
#endif

#include <hwy/highway.h>

#include <cstdint>
#include <cstring>

HWY_BEFORE_NAMESPACE();
namespace firesteel::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// A bit a lane, from bit 0.
template <class D, class Mask>
HWY_INLINE std::uint32_t mask_bits(D d, Mask mask) {
  std::uint8_t bytes[8] = {};
  hn::StoreMaskBits(d, mask, bytes);
  std::uint32_t bits = 0;
  std::memcpy(&bits, bytes, sizeof bits);
  return bits & static_cast<std::uint32_t>((std::uint64_t{1} << hn::Lanes(d)) - 1);
}

}  // namespace firesteel::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
