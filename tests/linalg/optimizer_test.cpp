// SPDX-License-Identifier: Apache-2.0
#include "firesteel/linalg/optimizer.hpp"

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace firesteel
