// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <cmath>

#include "firesteel/linalg/line_search.hpp"
#include "firesteel/linalg/optimizer.hpp"
#include "firesteel/linalg/vector_kernels.hpp"

namespace firesteel {

namespace {

constexpr std::size_t kMemory = 10;
/// The first direction knows no curvature: its length is settled by a nearly exact search, whose trials cost
/// no pass.
constexpr double kFirstSlopeRatio = 0.1;
constexpr int kMaxOrthantTrials = 30;

std::span<const double> pair_of(const std::vector<double>& pairs, std::size_t i, std::size_t size) {
  return std::span(pairs).subspan(i * size, size);
}

}  // namespace

/// The two-loop recursion: −H·gradient.
std::vector<double> LbfgsOptimizer::direction(const OptimizerState& state,
                                              std::span<const double> gradient) const {
  const std::size_t size = gradient.size();
  std::vector<double> result(size);
  for (std::size_t j = 0; j < size; ++j) result[j] = -gradient[j];
  const std::size_t pairs = size == 0 ? 0 : state.steps.size() / size;
  std::array<double, kMemory> alpha{};
  std::array<double, kMemory> curvature{};
  for (std::size_t i = pairs; i-- > 0;) {
    const auto s = pair_of(state.steps, i, size);
    const auto y = pair_of(state.gradient_changes, i, size);
    curvature[i] = dot(s, y);
    alpha[i] = dot(s, result) / curvature[i];
    add_scaled(-alpha[i], y, result);
  }
  if (pairs > 0) {
    const auto y = pair_of(state.gradient_changes, pairs - 1, size);
    const double scale = curvature[pairs - 1] / dot(y, y);
    for (double& value : result) value *= scale;
  }
  for (std::size_t i = 0; i < pairs; ++i) {
    const double beta = dot(pair_of(state.gradient_changes, i, size), result) / curvature[i];
    add_scaled(alpha[i] - beta, pair_of(state.steps, i, size), result);
  }
  return result;
}

Optimizer::Trial LbfgsOptimizer::advance(const OptimizerState& state) {
  const std::vector<double> gradient = pseudo_gradient(state);
  std::vector<double> step = direction(state, gradient);
  const bool first = state.steps.empty();
  const double first_step = first ? std::min(1.0, 1.0 / norm(gradient)) : 1.0;
  if (!l1_.empty()) return search_orthant(state, gradient, step, first_step);
  for (double& value : step) value *= first_step;
  return search_line(state, step, first ? kFirstSlopeRatio : kSlopeRatio);
}

/// Backtracks along the direction, kept to the orthant of the point (or of the descent, where a coordinate is
/// 0). Each trial is a pass: the projection bends the line.
Optimizer::Trial LbfgsOptimizer::search_orthant(const OptimizerState& state, std::span<const double> pseudo,
                                                std::span<const double> direction, double first_step) {
  const std::size_t size = direction.size();
  std::vector<double> step(direction.begin(), direction.end());
  for (std::size_t j = 0; j < size; ++j)
    if (l1_[j] > 0 && !(step[j] * pseudo[j] < 0)) step[j] = 0;
  Trial trial;
  trial.gradient.resize(size);
  double t = first_step;
  for (int i = 0; i < kMaxOrthantTrials; ++i, t *= 0.5) {
    trial.point = state.point;
    add_scaled(t, step, trial.point);
    double decrease = 0;
    for (std::size_t j = 0; j < size; ++j) {
      const double orthant = state.point[j] != 0 ? state.point[j] : -pseudo[j];
      if (l1_[j] > 0 && !(trial.point[j] * orthant > 0)) trial.point[j] = 0;
      decrease += pseudo[j] * (trial.point[j] - state.point[j]);
    }
    if (!(decrease < 0)) return trial;
    trial.value = objective_.evaluate(trial.point, trial.gradient) + absolute_part(trial.point);
    trial.found =
        std::isfinite(trial.value) && (trial.value <= state.value + kSufficientDecrease * decrease ||
                                       trial.value <= state.value + kValueNoise * std::abs(state.value));
    if (trial.found) return trial;
  }
  return trial;
}

void LbfgsOptimizer::remember(OptimizerState& state, const Trial& trial) {
  const std::size_t size = state.point.size();
  std::vector<double> s(size);
  std::vector<double> y(size);
  for (std::size_t j = 0; j < size; ++j) {
    s[j] = trial.point[j] - state.point[j];
    y[j] = trial.gradient[j] - state.gradient[j];
  }
  // A pair without curvature (rounding near the optimum) would spoil the metric.
  if (!(dot(s, y) > 1e-16 * dot(y, y))) return;
  if (state.steps.size() == kMemory * size) {
    state.steps.erase(state.steps.begin(), state.steps.begin() + static_cast<std::ptrdiff_t>(size));
    state.gradient_changes.erase(state.gradient_changes.begin(),
                                 state.gradient_changes.begin() + static_cast<std::ptrdiff_t>(size));
  }
  state.steps.insert(state.steps.end(), s.begin(), s.end());
  state.gradient_changes.insert(state.gradient_changes.end(), y.begin(), y.end());
}

}  // namespace firesteel
