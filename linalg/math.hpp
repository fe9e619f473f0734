// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

/// Elementary functions made of IEEE operations and fused multiply-add alone, so that they return the same
/// bits with every C library and on every machine (libm's do not: glibc chooses by CPU). Within 1.5 ulp of
/// the exact value over the whole range. Everything that reaches a model or a prediction uses these; the
/// vector kernels (simd_math-inl.hpp) compute the same bits lane by lane.
namespace firesteel::math {

inline constexpr double kLog2E = 0x1.71547652b82fep+0;
inline constexpr double kLn2High = 0x1.62e42fefa39efp-1;
inline constexpr double kLn2Low = 0x1.abc9e3b39803fp-56;
/// Adding and subtracting 1.5·2⁵² rounds to a whole number, which then stands in the low bits.
inline constexpr double kRoundingShift = 0x1.8p52;

/// 1/2!, 1/3!, … 1/13!: the series of (exp(r) − 1 − r)/r², |r| ≤ ln 2/2, is exact to 2⁻⁵⁶ with these.
inline constexpr double kExpSeries[] = {1.0 / 2,       1.0 / 6,        1.0 / 24,        1.0 / 120,
                                        1.0 / 720,     1.0 / 5040,     1.0 / 40320,     1.0 / 362880,
                                        1.0 / 3628800, 1.0 / 39916800, 1.0 / 479001600, 1.0 / 6227020800};
/// 2/3, 2/5, … 2/23: log((1 + s)/(1 − s)) = 2s + s·Σ cₖ s²ᵏ, |s| ≤ 0.1716.
inline constexpr double kLogSeries[] = {2.0 / 3,  2.0 / 5,  2.0 / 7,  2.0 / 9,  2.0 / 11, 2.0 / 13,
                                        2.0 / 15, 2.0 / 17, 2.0 / 19, 2.0 / 21, 2.0 / 23};

/// 2ᵉ for e in [−1022, 1023].
inline double power_of_two(std::int64_t e) {
  return std::bit_cast<double>(static_cast<std::uint64_t>(e + 1023) << 52);
}

/// eˣ; 0 and inf beyond the range.
inline double exp(double x) {
  if (x > 709.782712893384) return std::isnan(x) ? x : std::numeric_limits<double>::infinity();
  if (x < -745.1332191019412) return 0.0;
  if (std::isnan(x)) return x;
  // x = n·ln 2 + r
  const double n = std::fma(x, kLog2E, kRoundingShift) - kRoundingShift;
  const double r = std::fma(-n, kLn2Low, std::fma(-n, kLn2High, x));
  double p = kExpSeries[11];
  for (int k = 10; k >= 0; --k) p = std::fma(p, r, kExpSeries[k]);
  p = std::fma(p, r * r, r) + 1.0;
  // Two factors, so that results below the normal range are rounded once.
  const auto e = static_cast<std::int64_t>(n);
  const std::int64_t half = e / 2;
  return p * power_of_two(half) * power_of_two(e - half);
}

/// log(1 + f) + k·ln 2 + low, for 1 + f in [√½, √2].
inline double log_near_one(double f, double k, double low) {
  const double s = f / (2.0 + f);
  const double z = s * s;
  double p = kLogSeries[10];
  for (int i = 9; i >= 0; --i) p = std::fma(p, z, kLogSeries[i]);
  const double half_square = 0.5 * f * f;
  // log(1 + f) = f − (f²/2 − s·(f²/2 + z·p))
  const double tail = std::fma(s, std::fma(z, p, half_square), std::fma(k, kLn2Low, low));
  return std::fma(k, kLn2High, f - (half_square - tail));
}

/// Splits a positive normal number into m·2ᵏ with m in [√½, √2).
inline double split_exponent(double x, double& k) {
  const auto bits = std::bit_cast<std::uint64_t>(x);
  constexpr std::uint64_t kSqrtHalfBits = 0x3FE6A09E667F3BCD;
  const std::uint64_t e = (bits - kSqrtHalfBits) >> 52;  // wraps to a negative exponent
  const auto exponent = static_cast<std::int64_t>((bits - kSqrtHalfBits)) >> 52;
  k = static_cast<double>(exponent);
  return std::bit_cast<double>(bits - (e << 52));
}

/// Natural logarithm; −inf at 0, NaN below.
inline double log(double x) {
  if (!(x > 0.0)) {
    return x == 0.0 ? -std::numeric_limits<double>::infinity() : std::numeric_limits<double>::quiet_NaN();
  }
  if (x == std::numeric_limits<double>::infinity()) return x;
  double shift = 0.0;
  if (x < 0x1p-1022) {
    x *= 0x1p54;
    shift = -54.0;
  }
  double k = 0.0;
  const double m = split_exponent(x, k);
  return log_near_one(m - 1.0, k + shift, 0.0);
}

/// log(1 + x) without loss for small x; −inf at −1, NaN below.
inline double log1p(double x) {
  if (x >= -0.2928932188134524 && x <= 0.41421356237309503) return log_near_one(x, 0.0, 0.0);
  if (!(x > -1.0) || x == std::numeric_limits<double>::infinity()) return log(1.0 + x);
  const double u = 1.0 + x;
  // What the sum has rounded away.
  const double lost = x >= 1.0 ? 1.0 - (u - x) : x - (u - 1.0);
  double k = 0.0;
  const double m = split_exponent(u, k);
  return log_near_one(m - 1.0, k, lost / u);
}

/// 1/(1 + e⁻ˣ), accurate in both tails.
inline double sigmoid(double x) {
  const double e = exp(-std::abs(x));
  return (x >= 0.0 ? 1.0 : e) / (1.0 + e);
}

/// log(1 + eˣ) without overflow: the loss −log(sigmoid(−x)).
inline double softplus(double x) { return (x > 0.0 ? x : 0.0) + log1p(exp(-std::abs(x))); }

}  // namespace firesteel::math
