// SPDX-License-Identifier: Apache-2.0
#include "firesteel/linalg/optimizer.hpp"

#include <cmath>
#include <utility>

#include "firesteel/linalg/line_search.hpp"

namespace firesteel {

namespace {
constexpr std::size_t kWindow = 10;
constexpr int kTrialsInNoise = 8;
}  // namespace

void OptimizerState::describe(StateVisitor& visitor, const VectorSpace& space) {
  space.describe(visitor, "point", point);
  space.describe(visitor, "gradient", gradient);
  visitor.replicated("value", value);
  visitor.replicated("initial_value", initial_value);
  visitor.history("recent_values", recent_values, 1, static_cast<Index>(kWindow) + 1);
  visitor.replicated("pairs", pairs);
  for (std::size_t i = 0; i < steps.size(); ++i) {
    space.describe_if_present(visitor, "step_" + std::to_string(i), steps[i]);
    space.describe_if_present(visitor, "change_" + std::to_string(i), gradient_changes[i]);
  }
  visitor.replicated("curvatures", curvatures);
  visitor.replicated("initial_scale", initial_scale);
}

double Optimizer::absolute_part(std::span<const double> point) const {
  if (!absolute_) return 0;
  return objective_.space().sum([&](std::size_t begin, std::size_t end) {
    double sum = 0;
    for (std::size_t j = begin; j < end; ++j) sum += l1_[j] * std::abs(point[j]);
    return sum;
  });
}

std::vector<double> Optimizer::take_vector(std::size_t size) const {
  std::vector<double> result;
  if (!spare_->empty()) {
    result.swap(spare_->back());
    spare_->pop_back();
  }
  result.resize(size);
  return result;
}

/// The subgradient of least norm. −0.0 is 0: comparisons do not tell them apart.
std::vector<double> Optimizer::pseudo_gradient(const OptimizerState& state) const {
  std::vector<double> result = take_vector(state.gradient.size());
  std::copy(state.gradient.begin(), state.gradient.end(), result.begin());
  for (std::size_t j = 0; j < l1_.size(); ++j) {
    const double x = state.point[j];
    const double g = state.gradient[j];
    if (x > 0 || (x == 0 && g + l1_[j] < 0))
      result[j] = g + l1_[j];
    else if (x < 0 || (x == 0 && g - l1_[j] > 0))
      result[j] = g - l1_[j];
    else
      result[j] = 0;
  }
  return result;
}

double Optimizer::gradient_norm(const OptimizerState& state) const {
  const VectorSpace& space = objective_.space();
  if (!absolute_) return space.norm(state.gradient);
  auto pseudo = pseudo_gradient(state);
  const double norm = space.norm(pseudo);
  give_back(std::move(pseudo));
  return norm;
}

OptimizerState Optimizer::start(std::vector<double> point, std::optional<double> initial_value) {
  OptimizerState state;
  state.point = std::move(point);
  state.gradient.resize(state.point.size());
  objective_.expect_line(expects_line(state));
  state.value = objective_.evaluate(state.point, state.gradient) + absolute_part(state.point);
  objective_.accept();
  state.initial_value = initial_value.value_or(state.value);
  prepare(state);
  state.recent_values.reserve(kWindow + 2);
  state.recent_values.push_back(state.value);
  return state;
}

void Optimizer::go_on_from(const OptimizerState& state) {
  objective_.collectively([&] { check_restored(state); });
  std::vector<double> gradient(state.point.size());
  objective_.expect_line(expects_line(state));
  objective_.evaluate(state.point, gradient);
  objective_.accept();
}

bool Optimizer::is_accepted(const OptimizerState& state, double value, double decrease) const {
  return std::isfinite(value) && (value <= state.value + kSufficientDecrease * decrease ||
                                  value <= state.value + objective_.value_noise() * std::abs(state.value));
}

bool Optimizer::lost_in_noise(double decrease, double value) const {
  const double noise = objective_.value_noise();
  return noise > kDoubleNoise && decrease <= noise * std::abs(value);
}

Step Optimizer::step(OptimizerState& state) {
  Step result;
  result.objective = state.value;
  result.gradient_norm = gradient_norm(state);
  // Only a start can be here already converged: later iterations are judged when they end.
  if (state.recent_values.size() == 1 && *result.gradient_norm <= tol_ * state.value) {
    result.converged = true;
    result.stop_reason = "gradient";
    result.counts = false;
    return result;
  }
  objective_.expect_line(expects_line(state));
  Trial trial = advance(state);
  const bool promised_nothing = lost_in_noise(trial.predicted, state.value);
  if (!trial.found) {
    result.converged = promised_nothing;
    result.stop = true;
    result.stop_reason = promised_nothing ? "precision" : "line_search";
    result.counts = false;
    return result;
  }
  objective_.accept();
  remember(state, trial);
  state.point.swap(trial.point);
  state.gradient.swap(trial.gradient);
  give_back(std::move(trial.point));
  give_back(std::move(trial.gradient));
  state.value = trial.value;
  state.recent_values.push_back(state.value);
  if (state.recent_values.size() > kWindow + 1) state.recent_values.erase(state.recent_values.begin());

  result.objective = state.value;
  result.gradient_norm = gradient_norm(state);
  const bool whole_window = state.recent_values.size() == kWindow + 1;
  const double progress = state.recent_values.front() - state.value;
  const bool no_progress = whole_window && progress <= tol_ * std::abs(state.value);
  if (*result.gradient_norm <= tol_ * state.value) {
    result.converged = true;
    result.stop_reason = "gradient";
  } else if (no_progress || state.value <= tol_ * state.initial_value) {
    result.converged = true;
    result.stop_reason = "objective";
  } else if ((whole_window && lost_in_noise(progress, state.value)) || (trial.by_model && promised_nothing)) {
    result.converged = true;
    result.stop_reason = "precision";
  }
  return result;
}

Optimizer::Trial Optimizer::search_line(const OptimizerState& state, std::span<const double> direction,
                                        double slope_ratio) {
  const VectorSpace& space = objective_.space();
  Trial trial;
  const LinePoint start{state.value, space.dot(state.gradient, direction)};
  if (!(start.slope < 0)) return trial;
  trial.predicted = -0.5 * start.slope;
  Wolfe wolfe{slope_ratio, objective_.value_noise()};
  // Where noise may be all that there is, the line is not worth more looks than a step a hundred million
  // times too short or too long needs.
  if (lost_in_noise(trial.predicted, state.value)) wolfe.trials = kTrialsInNoise;
  trial.point = take_vector(state.point.size());
  trial.gradient = take_vector(state.gradient.size());
  const auto evaluate = [&](double t) {
    std::copy(state.point.begin(), state.point.end(), trial.point.begin());
    space.add_scaled(t, direction, trial.point);
    trial.value = objective_.evaluate(trial.point, trial.gradient);
    return LinePoint{trial.value, space.dot(trial.gradient, direction)};
  };
  const LinePoint first = evaluate(1.0);
  trial.found = satisfies_wolfe(start, 1.0, first, wolfe);
  if (trial.found) return trial;
  const double t = wolfe_step(start, first, wolfe, [&](double s) { return objective_.along(s); });
  if (t == 0) return trial;
  // The margins of the line served the search; value and gradient are computed afresh where it led.
  const LinePoint found = evaluate(t);
  trial.found =
      std::isfinite(found.value) && found.value <= state.value + wolfe.noise * std::abs(state.value);
  return trial;
}

}  // namespace firesteel
