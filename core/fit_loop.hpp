// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "firesteel/core/context.hpp"
#include "firesteel/core/function_ref.hpp"
#include "firesteel/core/record.hpp"

namespace firesteel {

/// How a fit went; stored in the model.
struct FitSummary {
  Index iterations = 0;                   ///< updates of the model
  std::optional<bool> converged;          ///< unset where the method has no such test (ALS)
  std::string stop_reason;                ///< "gradient", "max_iter", …: documented by each learner
  double objective = 0;                   ///< at the model returned, penalty included
  std::optional<double> gradient_norm;    ///< Euclidean, at the model returned, where there is a gradient
  std::vector<double> objective_history;  ///< [0] at the start, then after each iteration
  Index rows = 0;                         ///< used
  Index features = 0;
  /// Learner's own figures for `--json`, in order: k, training_cost, num_users …
  std::vector<std::pair<std::string, RecordValue>> extra;
};
void summary_to_record(const FitSummary& summary, Record& record);
FitSummary summary_from_record(const Record& record);

/// Lists the parts of a learner's state between two iterations: everything that later arithmetic or stopping
/// depends on. Replicated parts must be the same bytes on all ranks: the fit loop checks that after every
/// iteration.
class StateVisitor {
 public:
  virtual ~StateVisitor() = default;
  virtual void replicated(std::string_view name, std::vector<double>& values) = 0;
  virtual void replicated(std::string_view name, double& value) = 0;
  virtual void replicated(std::string_view name, Index& value) = 0;
  /// One value (or `width` values) for each global row / entity of a partition; this rank's part.
  virtual void partitioned(std::string_view name, std::vector<double>& values, Index width) = 0;
  virtual void partitioned(std::string_view name, std::vector<std::int32_t>& values, Index width) = 0;
};

/// What one step of a learner says.
struct Step {
  double objective = 0;
  std::optional<double> gradient_norm;
  bool converged = false;
  bool stop = false;             ///< ends the fit even though not converged (a line search that cannot go on)
  std::string_view stop_reason;  ///< where converged or stop
  bool counts = true;            ///< false: the model was not updated, do not count an iteration
};

/// The loop of every iterative learner. It owns the count of iterations, stopping, logging, timing, the stop
/// signal and the agreement of ranks; learners provide the state and one step. Collective.
///
/// After each step the ranks compare a hash of the replicated state (one allreduce of 24 bytes): a difference
/// is an internal error that names the rank, because a node with other arithmetic would otherwise diverge in
/// silence. Throws stopped (75) after a requested stop, and bad_input if the objective is not finite.
template <class State, class StepFunction>
FitSummary run_fit_loop(const Context& context, std::string_view learner, Index max_iterations,
                        double initial_objective, State& state, StepFunction&& step);

std::uint64_t hash_bytes(std::uint64_t hash, const void* bytes, std::size_t count);

// Implementation.
class StateHasher final : public StateVisitor {
 public:
  std::uint64_t hash = 0xcbf29ce484222325;
  void replicated(std::string_view, std::vector<double>& values) override {
    hash = hash_bytes(hash, values.data(), values.size() * sizeof(double));
  }
  void replicated(std::string_view, double& value) override { hash = hash_bytes(hash, &value, sizeof value); }
  void replicated(std::string_view, Index& value) override { hash = hash_bytes(hash, &value, sizeof value); }
  void partitioned(std::string_view, std::vector<double>&, Index) override {}
  void partitioned(std::string_view, std::vector<std::int32_t>&, Index) override {}
};

FitSummary run_fit_loop_erased(const Context& context, std::string_view learner, Index max_iterations,
                               double initial_objective, FunctionRef<std::uint64_t()> state_hash,
                               FunctionRef<Step(Index iteration)> step);

template <class State, class StepFunction>
FitSummary run_fit_loop(const Context& context, std::string_view learner, Index max_iterations,
                        double initial_objective, State& state, StepFunction&& step) {
  return run_fit_loop_erased(
      context, learner, max_iterations, initial_objective,
      [&] {
        StateHasher hasher;
        state.describe(hasher);
        return hasher.hash;
      },
      [&](Index iteration) { return step(state, iteration); });
}

}  // namespace firesteel
