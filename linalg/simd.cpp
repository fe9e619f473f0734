// SPDX-License-Identifier: Apache-2.0
#include "firesteel/linalg/simd.hpp"

#include <hwy/targets.h>

#include <cstdint>
#include <cstdlib>

#include "firesteel/core/error.hpp"

namespace firesteel {

namespace {

/// The instruction sets whose kernels are compiled in, best first.
struct SimdTarget {
  const char* name;
  std::int64_t target;
};
#if defined(__x86_64__)
constexpr SimdTarget kTargets[] = {{"avx512", HWY_AVX3}, {"avx2", HWY_AVX2}};
#else
constexpr SimdTarget kTargets[] = {{"neon", HWY_NEON}};
#endif

const char* choose_simd() {
  const char* wanted = std::getenv("FIRESTEEL_SIMD");
  const bool any = wanted == nullptr || *wanted == '\0';
  const auto supported = static_cast<std::int64_t>(hwy::SupportedTargets());
  for (const auto& candidate : kTargets) {
    if ((supported & candidate.target) == 0 || (!any && std::string(wanted) != candidate.name)) continue;
    std::int64_t disabled = 0;
    for (const auto& other : kTargets)
      if (other.target != candidate.target) disabled |= other.target;
    hwy::DisableTargets(disabled);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
    return candidate.name;
  }
  if (!any)
    throw bad_parameter("FIRESTEEL_SIMD: expected avx2 or avx512 as this machine has it, got '" +
                        std::string(wanted) + "'");
  throw internal_error(
      "this processor has no fused multiply-add (AVX2 or AVX-512): Firesteel needs it for its results to be "
      "the same everywhere");
}

const char* chosen_simd() {
  static const char* const name = choose_simd();
  return name;
}

}  // namespace

void select_simd() { chosen_simd(); }
std::string simd_name() { return chosen_simd(); }

}  // namespace firesteel
