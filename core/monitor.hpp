// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "firesteel/core/index.hpp"
#include "firesteel/core/memory.hpp"

namespace firesteel {

/// What one iteration of a learner did.
struct IterationReport {
  std::string_view learner;
  Index iteration = 0;  ///< 1-based
  Index max_iterations = 0;
  double objective = 0;
  std::optional<double> gradient_norm;
  double seconds = 0;    ///< of this iteration
  Index bytes_sent = 0;  ///< by this rank in this iteration
};

/// Hears what a job is doing. The library is silent by default; the command line shows it on stderr. All
/// members are called on every rank, outside threads; an implementation decides which rank speaks.
class Monitor {
 public:
  virtual ~Monitor() = default;
  virtual void warning(std::string_view /*text*/) {}
  /// What a user should know without asking: "goes on from iteration 7".
  virtual void message(std::string_view /*text*/) {}
  /// Detail that only --verbose shows.
  virtual void note(std::string_view /*text*/) {}
  /// `done` of `total` (bytes, rows, …) of a long phase such as "reading". Called often: an implementation
  /// throttles.
  virtual void progress(std::string_view /*phase*/, Index /*done*/, Index /*total*/) {}
  virtual void iteration(const IterationReport& /*report*/) {}
  /// True once the user asked the job to end after the present iteration (a signal); the fit loop makes ranks
  /// agree.
  virtual bool stop_requested() { return false; }
  /// True, on any rank, where the memory of all ranks is wanted now; the fit loop asks after each iteration
  /// and has the ranks exchange it.
  virtual bool memory_wanted() { return false; }
  /// The memory of all ranks, in rank order, where it was wanted.
  virtual void memory(std::span<const ProcessMemory> /*ranks*/) {}
};

}  // namespace firesteel
