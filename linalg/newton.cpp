// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>

#include "firesteel/linalg/cholesky.hpp"
#include "firesteel/linalg/line_search.hpp"
#include "firesteel/linalg/optimizer.hpp"
#include "firesteel/linalg/vector_kernels.hpp"

namespace firesteel {

namespace {

constexpr int kMaxBacktracks = 40;
constexpr int kMaxSweeps = 1000;
constexpr double kSweepTolerance = 1e-12;

/// −H⁻¹·gradient, the factor in H's place. Where H is singular (collinear columns, separable data) a hair is
/// added.
std::vector<double> newton_direction(std::vector<double>& hessian, std::span<const double> gradient) {
  const std::size_t n = gradient.size();
  factor_with_ridge(hessian, static_cast<Index>(n));
  std::vector<double> direction(n);
  for (std::size_t j = 0; j < n; ++j) direction[j] = -gradient[j];
  cholesky_solve(hessian, static_cast<Index>(n), direction);
  return direction;
}

double soft_threshold(double value, double threshold) {
  if (value > threshold) return value - threshold;
  if (value < -threshold) return value + threshold;
  return 0;
}

/// Minimises g·p + ½ pᵀHp + Σ l1·|x + p| by cyclic coordinate descent.
std::vector<double> proximal_direction(const std::vector<double>& hessian, const OptimizerState& state,
                                       std::span<const double> l1) {
  const std::size_t n = state.point.size();
  std::vector<double> direction(n, 0.0);
  std::vector<double> model_gradient = state.gradient;  // g + H·p
  double largest = 0;
  for (std::size_t j = 0; j < n; ++j) largest = std::max(largest, hessian[j * n + j]);
  for (int sweep = 0; sweep < kMaxSweeps; ++sweep) {
    double largest_change = 0;
    double largest_value = 0;
    for (std::size_t j = 0; j < n; ++j) {
      // A hair of curvature keeps a flat coordinate in place.
      const double curvature = hessian[j * n + j] + 1e-12 * largest;
      if (!(curvature > 0)) continue;
      const double old = state.point[j] + direction[j];
      const double value = soft_threshold(old - model_gradient[j] / curvature, l1[j] / curvature);
      const double change = value - old;
      largest_value = std::max(largest_value, std::abs(value));
      if (change == 0) continue;
      direction[j] = value - state.point[j];
      add_scaled(change, std::span(hessian).subspan(j * n, n), model_gradient);
      largest_change = std::max(largest_change, std::abs(change));
    }
    if (largest_change <= kSweepTolerance * std::max(largest_value, 1e-6)) break;
  }
  return direction;
}

}  // namespace

Optimizer::Trial NewtonOptimizer::advance(const OptimizerState& state) {
  // Matrices of size², which a rank may have no memory for.
  const std::size_t n = state.point.size();
  objective_.collectively([&] { matrix_.resize(n * n); });
  objective_.hessian(matrix_);
  std::vector<double> direction;
  objective_.collectively([&] {
    direction =
        absolute_ ? proximal_direction(matrix_, state, l1_) : newton_direction(matrix_, state.gradient);
  });
  Trial trial = absolute_ ? backtrack(state, direction) : search_line(state, direction, kSlopeRatio);
  trial.by_model = true;
  return trial;
}

Optimizer::Trial NewtonOptimizer::backtrack(const OptimizerState& state, std::span<const double> direction) {
  Trial trial;
  trial.gradient.resize(state.gradient.size());
  double t = 1;
  for (int i = 0; i < kMaxBacktracks; ++i, t *= 0.5) {
    trial.point = state.point;
    add_scaled(t, direction, trial.point);
    // x + (v − x) misses v by a rounding: a coordinate that should be 0 is made so.
    if (t == 1)
      for (std::size_t j = 0; j < l1_.size(); ++j)
        if (l1_[j] > 0 && direction[j] == -state.point[j]) trial.point[j] = 0;
    // Coordinate by coordinate: near the optimum the slope cancels against the absolute value.
    double decrease = 0;
    for (std::size_t j = 0; j < l1_.size(); ++j)
      decrease += state.gradient[j] * (trial.point[j] - state.point[j]) +
                  l1_[j] * (std::abs(trial.point[j]) - std::abs(state.point[j]));
    if (!(decrease < 0)) return trial;
    trial.predicted = std::max(trial.predicted, -0.5 * decrease);
    trial.value = objective_.evaluate(trial.point, trial.gradient) + absolute_part(trial.point);
    trial.found = is_accepted(state, trial.value, decrease);
    if (trial.found) return trial;
  }
  return trial;
}

bool LbfgsNewtonOptimizer::past_lbfgs(const OptimizerState& state) { return state.pairs >= kLbfgsPairs; }

Optimizer::Trial LbfgsNewtonOptimizer::advance(const OptimizerState& state) {
  if (!past_lbfgs(state))
    if (auto trial = lbfgs_.advance(state); trial.found) return trial;
  return newton_.advance(state);
}

void LbfgsNewtonOptimizer::remember(OptimizerState& state, const Trial& trial) {
  if (!past_lbfgs(state)) lbfgs_.remember(state, trial);
}

}  // namespace firesteel
