// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <span>

namespace firesteel {

/// y ← alpha·x + y, element by element with fused multiply-add: the same bits on every instruction set.
/// Local.
void add_scaled(double alpha, std::span<const double> x, std::span<double> y);

/// Coordinates that dot() sums at a time.
inline constexpr std::size_t kDotChunk = 4096;

/// Σ x_i·y_i. Order: chunks of kDotChunk coordinates, each in 8 lanes folded at its end; chunk sums one after
/// another. A function of the vectors alone. Local.
double dot(std::span<const double> x, std::span<const double> y);

/// The largest |x_i| that is finite; 0 where there is none. Local.
double largest_finite(std::span<const double> x);

/// rounded[i] = x_i·scale, for each of x. Local.
void round_scaled(std::span<const double> x, double scale, float* rounded);

/// √(x·x).
double norm(std::span<const double> x);

}  // namespace firesteel
