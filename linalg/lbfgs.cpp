// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "firesteel/linalg/cholesky.hpp"
#include "firesteel/linalg/line_search.hpp"
#include "firesteel/linalg/optimizer.hpp"

namespace firesteel {

namespace {

constexpr std::size_t kMemory = 10;
/// The first direction knows no curvature, or classes' alone: its length is settled by a nearly exact search,
/// whose trials cost no pass.
constexpr double kFirstSlopeRatio = 0.1;
constexpr int kMaxOrthantTrials = 30;

std::size_t stored(const OptimizerState& state) {
  return std::min(kMemory, static_cast<std::size_t>(state.pairs));
}
/// Where pair i of the stored ones is, 0 the oldest.
std::size_t place(const OptimizerState& state, std::size_t i) {
  return (static_cast<std::size_t>(state.pairs) - stored(state) + i) % kMemory;
}

}  // namespace

void LbfgsOptimizer::prepare(OptimizerState& state) const {
  state.steps.resize(kMemory);
  state.gradient_changes.resize(kMemory);
  state.curvatures.assign(kMemory, 0.0);
  // The memory of all pairs, untouched until they are there.
  for (auto* vectors : {&state.steps, &state.gradient_changes})
    for (auto& vector : *vectors) vector.reserve(state.point.size());
  // Sliced parts of a state have their lengths from the start: a checkpoint is read into them.
  if (!objective_.space().sliced()) return;
  for (auto* vectors : {&state.steps, &state.gradient_changes})
    for (auto& vector : *vectors) vector.resize(state.point.size());
}

void LbfgsOptimizer::check_restored(const OptimizerState& state) const {
  bool whole = state.pairs >= 0;
  for (std::size_t i = 0; whole && i < stored(state); ++i) {
    const std::size_t at = place(state, i);
    whole = state.steps[at].size() == state.point.size() &&
            state.gradient_changes[at].size() == state.point.size() && state.curvatures[at] > 0;
  }
  if (!whole) throw bad_input("the checkpoint's pairs of steps and gradient changes do not fit together");
}

/// The initial scale of the recursion where the objective has a metric: as initial_scale, in that metric.
double LbfgsOptimizer::scale_in_metric(const OptimizerState& state) const {
  const std::size_t newest = place(state, stored(state) - 1);
  const auto& change = state.gradient_changes[newest];
  std::vector<double> solved = take_vector(change.size());
  std::copy(change.begin(), change.end(), solved.begin());
  objective_.solve_metric(solved);
  const double scale = state.curvatures[newest] / objective_.space().dot(change, solved);
  give_back(std::move(solved));
  return scale;
}

/// The two-loop recursion: −H·gradient, from M⁻¹ or the scaled identity on.
std::vector<double> LbfgsOptimizer::direction(const OptimizerState& state,
                                              std::span<const double> gradient) const {
  const VectorSpace& space = objective_.space();
  std::vector<double> result = take_vector(gradient.size());
  for (std::size_t j = 0; j < result.size(); ++j) result[j] = -gradient[j];
  const std::size_t pairs = stored(state);
  if (pairs == 0) {
    if (!metric_factor_.empty())
      cholesky_solve(metric_factor_, static_cast<Index>(result.size()), result);
    else if (uses_metric())
      objective_.solve_metric(result);
    return result;
  }
  const auto at = [&](std::size_t i) { return place(state, i); };
  std::array<double, kMemory> alpha{};
  double along_step = space.dot(state.steps[at(pairs - 1)], result);
  for (std::size_t i = pairs; i-- > 0;) {
    alpha[i] = along_step / state.curvatures[at(i)];
    if (i > 0)
      along_step =
          space.add_scaled_dot(-alpha[i], state.gradient_changes[at(i)], result, state.steps[at(i - 1)]);
    else
      space.add_scaled(-alpha[i], state.gradient_changes[at(i)], result);
  }
  if (!metric_factor_.empty()) {
    cholesky_solve(metric_factor_, static_cast<Index>(result.size()), result);
  } else {
    const double scale = uses_metric() ? scale_in_metric(state) : state.initial_scale;
    if (uses_metric()) objective_.solve_metric(result);
    for (double& value : result) value *= scale;
  }
  double along_change = space.dot(state.gradient_changes[at(0)], result);
  for (std::size_t i = 0; i < pairs; ++i) {
    const double factor = alpha[i] - along_change / state.curvatures[at(i)];
    if (i + 1 < pairs)
      along_change =
          space.add_scaled_dot(factor, state.steps[at(i)], result, state.gradient_changes[at(i + 1)]);
    else
      space.add_scaled(factor, state.steps[at(i)], result);
  }
  return result;
}

Optimizer::Trial LbfgsOptimizer::advance(const OptimizerState& state) {
  const bool first = state.pairs == 0 && metric_factor_.empty();
  std::vector<double> pseudo;
  if (absolute_) pseudo = pseudo_gradient(state);
  const std::span<const double> gradient = absolute_ ? pseudo : state.gradient;
  std::vector<double> step = direction(state, gradient);
  const double first_step =
      first && !uses_metric() ? std::min(1.0, 1.0 / objective_.space().norm(gradient)) : 1.0;
  Trial trial;
  if (absolute_) {
    trial = search_orthant(state, gradient, step, first_step);
    give_back(std::move(pseudo));
  } else {
    if (first)
      for (double& value : step) value *= first_step;
    trial = search_line(state, step, first ? kFirstSlopeRatio : kSlopeRatio);
  }
  give_back(std::move(step));
  return trial;
}

/// Backtracks along the direction, kept to the orthant of the point (or of the descent, where a coordinate is
/// 0). Each trial is a pass: the projection bends the line.
Optimizer::Trial LbfgsOptimizer::search_orthant(const OptimizerState& state, std::span<const double> pseudo,
                                                std::span<double> step, double first_step) {
  const VectorSpace& space = objective_.space();
  for (std::size_t j = 0; j < step.size(); ++j)
    if (l1_[j] > 0 && !(step[j] * pseudo[j] < 0)) step[j] = 0;
  Trial trial;
  trial.point = take_vector(step.size());
  trial.gradient = take_vector(step.size());
  double t = first_step;
  for (int i = 0; i < kMaxOrthantTrials; ++i, t *= 0.5) {
    std::copy(state.point.begin(), state.point.end(), trial.point.begin());
    space.add_scaled(t, step, trial.point);
    const double decrease = space.sum([&](std::size_t begin, std::size_t end) {
      double sum = 0;
      for (std::size_t j = begin; j < end; ++j) {
        const double orthant = state.point[j] != 0 ? state.point[j] : -pseudo[j];
        if (l1_[j] > 0 && !(trial.point[j] * orthant > 0)) trial.point[j] = 0;
        sum += pseudo[j] * (trial.point[j] - state.point[j]);
      }
      return sum;
    });
    if (!(decrease < 0)) return trial;
    trial.predicted = std::max(trial.predicted, -0.5 * decrease);
    trial.value = objective_.evaluate(trial.point, trial.gradient) + absolute_part(trial.point);
    trial.found = is_accepted(state, trial.value, decrease);
    if (trial.found) return trial;
  }
  return trial;
}

/// The new pair takes the place of the oldest.
void LbfgsOptimizer::remember(OptimizerState& state, const Trial& trial) {
  const VectorSpace& space = objective_.space();
  const std::size_t size = state.point.size();
  auto s = take_vector(size);
  auto y = take_vector(size);
  for (std::size_t j = 0; j < size; ++j) {
    s[j] = trial.point[j] - state.point[j];
    y[j] = trial.gradient[j] - state.gradient[j];
  }
  const double curvature = space.dot(s, y);
  const double square = space.dot(y, y);
  // A pair without curvature (rounding near the optimum) would spoil the metric.
  if (curvature > 1e-16 * square) {
    const std::size_t slot = static_cast<std::size_t>(state.pairs) % kMemory;
    state.steps[slot].swap(s);
    state.gradient_changes[slot].swap(y);
    state.curvatures[slot] = curvature;
    state.initial_scale = curvature / square;
    ++state.pairs;
  }
  give_back(std::move(s));
  give_back(std::move(y));
}

}  // namespace firesteel
