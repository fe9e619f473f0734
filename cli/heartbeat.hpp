// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "firesteel/core/background_thread.hpp"
#include "firesteel/core/error.hpp"
#include "firesteel/core/memory.hpp"
#include "firesteel/core/monitor.hpp"
#include "firesteel/core/stall.hpp"

namespace firesteel::cli {

/// A file that says, once a second, how a job is: one JSON object, replaced as a whole by a thread of rank
/// 0's process, also while an iteration takes long. A file that cannot be written does not disturb the job.
/// Members may be called from several threads.
class Heartbeat {
 public:
  struct Subject {
    std::string path;
    std::string command;
    std::string learner;
    int ranks = 1;
    int threads = 1;
    std::function<std::optional<Stall>()> stall;  ///< the stall there is now; called from any thread
  };

  /// Writes the first state. Throws cannot_create (73) or io_failed (74) where it cannot.
  explicit Heartbeat(Subject subject);
  Heartbeat(const Heartbeat&) = delete;
  Heartbeat& operator=(const Heartbeat&) = delete;

  /// "reading", "fitting", "evaluating", "writing".
  void phase(std::string_view name);
  void rows(Index rows);
  /// Share of the present phase that is done.
  void progress(double fraction);
  void iteration(const IterationReport& report);
  /// True about once a second: it is time to ask all ranks for their memory.
  bool memory_due();
  void memory(std::span<const ProcessMemory> ranks);

  /// The last state: "done" where there is no error, "stopped" for one that can be resumed, else "failed",
  /// with the message. False where the file could not be written.
  bool finish(const Error* error);

 private:
  using Clock = std::chrono::steady_clock;

  void beat();
  bool write(const std::string& text) const;
  std::string text() const;
  std::optional<double> seconds_an_iteration() const;

  Subject subject_;
  Clock::time_point start_ = Clock::now();
  Clock::time_point memory_asked_;
  std::string phase_ = "starting";
  std::optional<double> fraction_;
  Index rows_ = 0;
  Index iteration_ = 0;
  Index max_iterations_ = 0;
  std::optional<double> objective_;
  std::deque<double> latest_seconds_;
  std::vector<ProcessMemory> memory_;
  std::string error_;
  int exit_code_ = -1;  ///< -1: goes on

  mutable std::mutex mutex_;              ///< guards what stands above
  std::optional<PeriodicThread> thread_;  ///< last: it ends before the others do
};

}  // namespace firesteel::cli
