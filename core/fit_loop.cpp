// SPDX-License-Identifier: Apache-2.0
#include "firesteel/core/fit_loop.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstring>

#include "firesteel/core/parallel.hpp"

namespace firesteel {

namespace {

double now_s() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// One allreduce that compares the state of the ranks and spreads a request to stop. Returns that request.
bool agree_on_state(const Context& context, std::uint64_t hash) {
  Communicator& comm = context.comm();
  const auto word = static_cast<std::int64_t>(hash >> 1);
  std::array<std::int64_t, 3> words{word, -word, context.monitor().stop_requested() ? 1 : 0};
  comm.allreduce_max(words);
  if (words[0] != -words[1]) {
    const auto all = comm.allgather(word);
    const auto odd =
        std::find_if(all.begin(), all.end(), [&](std::int64_t other) { return other != all.front(); });
    throw Error(ErrorCode::internal,
                "rank " + std::to_string(odd - all.begin()) +
                    " computed another model than rank 0: its hardware or libraries differ in arithmetic",
                {}, true);
  }
  return words[2] != 0;
}

}  // namespace

std::uint64_t hash_bytes(std::uint64_t hash, const void* bytes, std::size_t count) {
  const auto* byte = static_cast<const unsigned char*>(bytes);
  while (count >= 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, byte, 8);
    hash = (hash ^ word) * 0x9E3779B97F4A7C15;
    hash ^= hash >> 32;
    byte += 8;
    count -= 8;
  }
  for (; count > 0; --count, ++byte) hash = (hash ^ *byte) * 0x100000001b3;
  return hash;
}

FitSummary run_fit_loop_erased(const Context& context, std::string_view learner, Index max_iterations,
                               double initial_objective, FunctionRef<std::uint64_t()> state_hash,
                               FunctionRef<Step(Index iteration)> step) {
  const FloatEnvironment environment;  // the caller's program may flush denormals
  FitSummary summary;
  summary.converged = false;
  summary.stop_reason = "max_iter";
  summary.objective = initial_objective;
  summary.objective_history.push_back(initial_objective);
  while (summary.iterations < max_iterations) {
    const double start_s = now_s();
    const Index bytes_before = context.comm().bytes_sent();
    const Step result = step(summary.iterations + 1);
    if (!std::isfinite(result.objective))
      throw Error(ErrorCode::bad_input,
                  std::string(learner) + ": the objective is not finite after iteration " +
                      std::to_string(summary.iterations + 1) +
                      ": scale the features or use fewer extreme values",
                  {}, true);
    summary.gradient_norm = result.gradient_norm;
    if (result.counts) {
      ++summary.iterations;
      summary.objective = result.objective;
      summary.objective_history.push_back(result.objective);
      context.monitor().iteration({learner, summary.iterations, max_iterations, result.objective,
                                   result.gradient_norm, now_s() - start_s,
                                   context.comm().bytes_sent() - bytes_before});
    }
    const bool stop_requested = agree_on_state(context, state_hash());
    if (result.converged || result.stop) {
      summary.converged = result.converged;
      summary.stop_reason = result.stop_reason;
      break;
    }
    if (stop_requested)
      throw Error(ErrorCode::stopped,
                  "stopped by request after iteration " + std::to_string(summary.iterations), {}, true);
  }
  return summary;
}

void summary_to_record(const FitSummary& summary, Record& record) {
  record.set("summary/iterations", summary.iterations);
  if (summary.converged) record.set("summary/converged", *summary.converged);
  record.set("summary/stop_reason", summary.stop_reason);
  record.set("summary/objective", summary.objective);
  if (summary.gradient_norm) record.set("summary/gradient_norm", *summary.gradient_norm);
  record.set("summary/rows", summary.rows);
  record.set("summary/features", summary.features);
  record.set_vector("summary/objective_history", summary.objective_history);
}

FitSummary summary_from_record(const Record& record) {
  FitSummary summary;
  summary.iterations = record.get<std::int64_t>("summary/iterations");
  if (record.contains("summary/converged")) summary.converged = record.get<bool>("summary/converged");
  summary.stop_reason = record.get<std::string>("summary/stop_reason");
  summary.objective = record.get<double>("summary/objective");
  if (record.contains("summary/gradient_norm"))
    summary.gradient_norm = record.get<double>("summary/gradient_norm");
  summary.rows = record.get<std::int64_t>("summary/rows");
  summary.features = record.get<std::int64_t>("summary/features");
  summary.objective_history = record.vector("summary/objective_history", -1).values;
  return summary;
}

}  // namespace firesteel
