// SPDX-License-Identifier: Apache-2.0
#include "firesteel/linalg/optimizer.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "firesteel/core/error.hpp"

namespace firesteel {
namespace {

/// Half the squared distance from (1, 2).
class Distance final : public Objective {
 public:
  const VectorSpace& space() const override { return space_; }
  double evaluate(std::span<const double> x, std::span<double> gradient) override {
    gradient[0] = x[0] - 1;
    gradient[1] = x[1] - 2;
    return (gradient[0] * gradient[0] + gradient[1] * gradient[1]) / 2;
  }
  void accept() override {}
  LinePoint along(double) override { return {}; }
  void collectively(FunctionRef<void()> local) override { local(); }
  void hessian(std::span<double>) override {}

 private:
  VectorSpace space_{2};
};

/// Parts of a state as one and as the other object name them.
struct DescribedState {
  OptimizerState& state;
  const VectorSpace& space;
  void describe(StateVisitor& visitor) { state.describe(visitor, space); }
};

/// A fresh state of `optimizer` after it was overwritten from a checkpoint of a state that `change` made.
template <class Change>
OptimizerState restored(Distance& objective, LbfgsOptimizer& optimizer, const Change& change) {
  OptimizerState written = optimizer.start({3, 4});
  change(written);
  OptimizerState read = optimizer.start({3, 4});
  DescribedState from{written, objective.space()};
  DescribedState into{read, objective.space()};
  restore_state(into, copy_state(from));
  return read;
}

TEST(Optimizer, goes_on_only_from_a_state_whose_lists_fit_together) {
  Distance objective;
  LbfgsOptimizer optimizer(objective, {}, 1e-6);
  const auto one_pair = [](OptimizerState& state) {
    state.pairs = 1;
    state.steps[0] = {1, 1};
    state.gradient_changes[0] = {1, 2};
    state.curvatures[0] = 3;
  };
  EXPECT_NO_THROW(optimizer.go_on_from(restored(objective, optimizer, one_pair)));
  const auto refuse = [&](const auto& change, const char* what) {
    SCOPED_TRACE(what);
    EXPECT_THROW(optimizer.go_on_from(restored(objective, optimizer,
                                               [&](OptimizerState& state) {
                                                 one_pair(state);
                                                 change(state);
                                               })),
                 Error);
  };
  refuse([](OptimizerState& s) { s.gradient_changes[0] = {}; }, "half a pair");
  refuse([](OptimizerState& s) { s.steps[0] = {1}; }, "half a vector");
  refuse([](OptimizerState& s) { s.steps[0] = {1, 2, 3, 4}; }, "a longer vector");
  refuse([](OptimizerState& s) { s.pairs = 2; }, "more pairs than there are");
  refuse([](OptimizerState& s) { s.pairs = -1; }, "a negative number of pairs");
  refuse([](OptimizerState& s) { s.curvatures[0] = 0; }, "a pair without curvature");
  refuse([](OptimizerState& s) { s.curvatures.push_back(1); }, "more curvatures than pairs");
  refuse([](OptimizerState& s) { s.recent_values.assign(12, 1.0); }, "more values than are kept");
}

/// 1 + Σ c_j (x_j − j)²/2 with values and gradients that are rounded, as sums in single precision are.
class Rounded final : public Objective {
 public:
  Rounded(double noise, double declared) : noise_(noise), declared_(declared) {}
  const VectorSpace& space() const override { return space_; }
  double evaluate(std::span<const double> x, std::span<double> gradient) override {
    trial_.assign(x.begin(), x.end());
    for (std::size_t j = 0; j < 4; ++j)
      gradient[j] = static_cast<double>(static_cast<float>(kCurvature[j] * (x[j] - static_cast<double>(j))));
    ++evaluations;
    return value_at(trial_);
  }
  void accept() override { point_ = trial_; }
  LinePoint along(double t) override {
    std::vector<double> x(4);
    LinePoint result;
    for (std::size_t j = 0; j < 4; ++j) {
      x[j] = point_[j] + t * (trial_[j] - point_[j]);
      result.slope += kCurvature[j] * (x[j] - static_cast<double>(j)) * (trial_[j] - point_[j]);
    }
    result.value = value_at(x);
    return result;
  }
  void collectively(FunctionRef<void()> local) override { local(); }
  void hessian(std::span<double> matrix) override {
    std::fill(matrix.begin(), matrix.end(), 0.0);
    for (std::size_t j = 0; j < 4; ++j) matrix[j * 5] = kCurvature[j];
  }
  double value_noise() const override { return declared_; }

  int evaluations = 0;

 private:
  static constexpr double kCurvature[] = {1, 0.1, 7, 0.013};
  double value_at(std::span<const double> x) const {
    double value = 1;
    for (std::size_t j = 0; j < 4; ++j)
      value += 0.5 * kCurvature[j] * (x[j] - static_cast<double>(j)) * (x[j] - static_cast<double>(j));
    // A number of about ±noise that follows from the point, but not smoothly.
    return value + noise_ * std::sin(1e12 * (x[0] + x[1] + x[2] + x[3]));
  }
  VectorSpace space_{4};
  std::vector<double> point_;
  std::vector<double> trial_;
  double noise_;
  double declared_;
};

template <class Method>
Step last_step(Rounded& objective, Method& optimizer, OptimizerState& state) {
  Step step;
  for (int i = 0; i < 200 && !step.converged && !step.stop; ++i) step = optimizer.step(state);
  EXPECT_LT(objective.evaluations, 200);
  return step;
}

TEST(Optimizer, ends_converged_where_values_are_lost_in_the_noise_they_declare) {
  const std::vector<double> start{5, -3, 2, 40};
  for (const double tol : {0.0, 1e-10}) {
    Rounded objective(2e-8, 1e-7);
    NewtonOptimizer newton(objective, {}, tol);
    auto state = newton.start(start);
    Step step = last_step(objective, newton, state);
    EXPECT_TRUE(step.converged) << step.stop_reason;
    if (tol == 0) {
      EXPECT_TRUE(step.stop_reason == "precision" || step.stop_reason == "gradient") << step.stop_reason;
    }
    LbfgsOptimizer lbfgs(objective, {}, tol);
    state = lbfgs.start(start);
    step = last_step(objective, lbfgs, state);
    EXPECT_TRUE(step.converged) << step.stop_reason;
    EXPECT_NEAR(state.value, 1, 4e-7);
    std::vector<double> l1(4, 0.01);
    LbfgsOptimizer orthant(objective, l1, tol);
    state = orthant.start(start);
    step = last_step(objective, orthant, state);
    EXPECT_TRUE(step.converged) << step.stop_reason;
  }
}

TEST(Optimizer, takes_values_of_double_precision_at_their_word) {
  Rounded objective(2e-8, kDoubleNoise);
  LbfgsOptimizer lbfgs(objective, {}, 0);
  auto state = lbfgs.start({5, -3, 2, 40});
  const Step step = last_step(objective, lbfgs, state);
  EXPECT_NE(step.stop_reason, "precision");
}

}  // namespace
}  // namespace firesteel
