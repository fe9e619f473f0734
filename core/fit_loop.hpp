// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "firesteel/core/checkpoint.hpp"
#include "firesteel/core/context.hpp"
#include "firesteel/core/fingerprint.hpp"
#include "firesteel/core/function_ref.hpp"
#include "firesteel/core/record.hpp"
#include "firesteel/core/row_blocks.hpp"
#include "firesteel/core/state_visitor.hpp"

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
  Index features = 0;                     ///< columns; 0 for ratings
  std::string precision = "double";       ///< double, single: of stored features, of sums in a row or tile
  Index block_rows = 0;                   ///< rows a block (see choose_block_rows); 0 for ratings
  /// Learner's own figures for `--json`, in order: k, training_cost, num_users …
  std::vector<std::pair<std::string, RecordValue>> extra;
};
void summary_to_record(const FitSummary& summary, Record& record);
FitSummary summary_from_record(const Record& record);

/// What one step of a learner says.
struct Step {
  double objective = 0;
  std::optional<double> gradient_norm;
  bool converged = false;
  bool stop = false;             ///< ends the fit even though not converged (a line search that cannot go on)
  std::string_view stop_reason;  ///< where converged or stop
  bool counts = true;            ///< false: the model was not updated, do not count an iteration
};

/// The loop of every iterative learner. It owns the count of iterations, stopping, logging, timing,
/// checkpoints, resuming, the stop signal, the agreement of ranks and what the summary says of the data;
/// learners provide the state and one step. `learner` is the learner struct (its parameters, max_iter among
/// them), `data` what it fits. Collective.
///
/// After each step the ranks compare a hash of the replicated state (one allreduce of 48 bytes): a difference
/// is an internal error that names the rank, because a node with other arithmetic would otherwise diverge in
/// silence. Throws stopped (75) after a requested stop, and bad_input if the objective is not finite.
///
/// Checkpoints, where the data's context asks for them, hold the state as describe() lists it: so `step` may
/// depend on nothing else that changes. On resuming, the state is set up as for a fresh fit and then
/// overwritten; a State with a member restored() has it called (collective), to compute again what follows
/// from the parts.
template <class Data, class Learner, class State, class StepFunction>
FitSummary run_fit_loop(const Data& data, std::string_view name, const Learner& learner,
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

/// A fit as the loop sees it, without its types.
struct FitSteps {
  FunctionRef<Step(Index iteration)> step;
  FunctionRef<std::uint64_t()> hash;
  FunctionRef<std::vector<StatePart>(std::vector<StatePart> buffers)> copy;
  FunctionRef<void(const std::vector<StatePart>&)> restore;
  FunctionRef<void()> restored;
  FunctionRef<CheckpointIdentity()> identity;
};
/// The part of a summary that follows from the data alone: rows, features, precision, block_rows. Local.
FitSummary summary_of_data(const RowBlocks& data);
FitSummary summary_of_data(const Ratings& data);
FitSummary run_fit_steps(const Context& context, std::string_view name, Index max_iterations,
                         double initial_objective, FitSummary summary, const FitSteps& steps);

template <class Data, class Learner, class State, class StepFunction>
FitSummary run_fit_loop(const Data& data, std::string_view name, const Learner& learner,
                        double initial_objective, State& state, StepFunction&& step) {
  const auto hash = [&] {
    StateHasher hasher;
    state.describe(hasher);
    return hasher.hash;
  };
  const auto identity = [&]() -> CheckpointIdentity {
    Learner parameters = learner;
    parameters.max_iter = 0;
    Record record;
    parameters_to_record(parameters, record);
    return {std::string(name), record.sha256(), data_fingerprint(data),
            parameter_texts(parameters_of(parameters))};
  };
  const auto restored = [&] {
    if constexpr (requires { state.restored(); }) state.restored();
  };
  return run_fit_steps(
      data.context, name, learner.max_iter, initial_objective, summary_of_data(data),
      {[&](Index iteration) { return step(state, iteration); }, hash,
       [&](std::vector<StatePart> buffers) { return copy_state(state, std::move(buffers)); },
       [&](const std::vector<StatePart>& parts) { restore_state(state, parts); }, restored, identity});
}

}  // namespace firesteel
