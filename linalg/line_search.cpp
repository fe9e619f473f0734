// SPDX-License-Identifier: Apache-2.0
#include "firesteel/linalg/line_search.hpp"

#include <algorithm>
#include <cmath>

namespace firesteel {

namespace {

constexpr double kGrowth = 10;

bool decreases(LinePoint start, double t, LinePoint at, double noise) {
  return at.value <= start.value + kSufficientDecrease * t * start.slope ||
         at.value <= start.value + noise * std::abs(start.value);
}

}  // namespace

bool satisfies_wolfe(LinePoint start, double t, LinePoint at, Wolfe wolfe) {
  return std::isfinite(at.value) && decreases(start, t, at, wolfe.noise) &&
         std::abs(at.slope) <= wolfe.slope_ratio * std::abs(start.slope);
}

double wolfe_step(LinePoint start, LinePoint first, Wolfe wolfe, FunctionRef<LinePoint(double)> at) {
  double low = 0;  // slope still negative
  LinePoint at_low = start;
  double high = 0;  // slope positive or value too large; 0: not found yet
  LinePoint at_high;
  double t = 1;
  LinePoint here = first;
  for (int trial = 0; trial < wolfe.trials; ++trial) {
    if (satisfies_wolfe(start, t, here, wolfe)) return t;
    const bool sound = std::isfinite(here.value) && std::isfinite(here.slope);
    if (sound && here.slope < 0 && decreases(start, t, here, wolfe.noise)) {
      low = t;
      at_low = here;
    } else {
      high = t;
      at_high = here;
    }
    if (high == 0) {
      // The slope's zero by the secant through 0 and t, at least twice as far and at most ten times.
      const double rise = here.slope - start.slope;
      const double zero = rise > 0 ? -start.slope * t / rise : kGrowth * t;
      t = std::clamp(zero, 2 * t, kGrowth * t);
    } else {
      const double width = high - low;
      double next = low + 0.5 * width;
      if (std::isfinite(at_high.slope) && at_high.slope > at_low.slope)
        next = low - at_low.slope * width / (at_high.slope - at_low.slope);
      t = std::clamp(next, low + 0.05 * width, high - 0.05 * width);
      if (t <= low || t >= high) return 0;
    }
    here = at(t);
  }
  return 0;
}

}  // namespace firesteel
