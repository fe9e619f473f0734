// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "firesteel/core/function_ref.hpp"
#include "firesteel/linalg/objective.hpp"

namespace firesteel {

inline constexpr double kSufficientDecrease = 1e-4;
inline constexpr double kSlopeRatio = 0.9;
/// Relative noise of an objective summed in double: a rise below it says nothing, near the optimum only
/// gradients tell points apart.
inline constexpr double kValueNoise = 1e-12;

/// True where a step t satisfies the strong Wolfe conditions with `slope_ratio`. A rise within kValueNoise of
/// the value (Hager & Zhang 2005, doi:10.1137/030601880) counts as a decrease.
bool satisfies_wolfe(LinePoint start, double t, LinePoint at, double slope_ratio);

/// A step t > 0 that satisfies the strong Wolfe conditions along a convex line with start.slope < 0, found by
/// bracketing the zero of the slope and interpolating between slopes; `first` is the point at t = 1. At most
/// 40 trials; 0 where none was found. Source: Nocedal & Wright 2006, chapter 3.
double wolfe_step(LinePoint start, LinePoint first, double slope_ratio, FunctionRef<LinePoint(double)> at);

}  // namespace firesteel
