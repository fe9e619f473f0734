// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "firesteel/core/function_ref.hpp"
#include "firesteel/linalg/objective.hpp"

namespace firesteel {

inline constexpr double kSufficientDecrease = 1e-4;
inline constexpr double kSlopeRatio = 0.9;

/// What a line search asks of a step: the strong Wolfe conditions, with a rise of the value within `noise` of
/// it (Hager & Zhang 2005, doi:10.1137/030601880) counting as a decrease.
struct Wolfe {
  double slope_ratio = kSlopeRatio;
  double noise = kDoubleNoise;
  int trials = 40;  ///< at most
};

/// True where a step t satisfies the conditions.
bool satisfies_wolfe(LinePoint start, double t, LinePoint at, Wolfe wolfe);

/// A step t > 0 that satisfies the conditions along a convex line with start.slope < 0, found by
/// bracketing the zero of the slope and interpolating between slopes; `first` is the point at t = 1; 0 where
/// none was found. Source: Nocedal & Wright 2006, chapter 3.
double wolfe_step(LinePoint start, LinePoint first, Wolfe wolfe, FunctionRef<LinePoint(double)> at);

}  // namespace firesteel
