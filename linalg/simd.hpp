// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace firesteel {

/// Settles, once a process, which instruction set the kernels use: the best of AVX-512 and AVX2 that this
/// machine has, or what FIRESTEEL_SIMD (avx2, avx512) asks for. Both give the same bits. Throws Error (70)
/// with the reason where the machine has neither (fused multiply-add is required), and bad_parameter where
/// FIRESTEEL_SIMD cannot be had. Local.
void select_simd();

/// "avx2", "avx512", "neon": what the kernels use. Calls select_simd().
std::string simd_name();

}  // namespace firesteel
