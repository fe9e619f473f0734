// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>

#include "firesteel/cli/heartbeat.hpp"
#include "firesteel/cli/stall_detector.hpp"
#include "firesteel/core/context.hpp"
#include "firesteel/core/monitor.hpp"

namespace firesteel::cli {

/// Shows on stderr what a job does: a bar on a terminal, a line now and then elsewhere, every iteration where
/// verbose, nothing where quiet. Only rank 0 speaks.
class TerminalMonitor final : public Monitor {
 public:
  TerminalMonitor(bool quiet, bool verbose);
  ~TerminalMonitor() override;

  /// Silent until told which rank this is.
  void set_rank(int rank) { speaks_ = rank == 0; }

  void warning(std::string_view text) override;
  void message(std::string_view text) override { say(text); }
  void note(std::string_view text) override;
  void progress(std::string_view phase, Index done, Index total) override;
  void iteration(const IterationReport& report) override;
  bool stop_requested() override;
  bool memory_wanted() override { return heartbeat_ && heartbeat_->memory_due(); }
  void memory(std::span<const ProcessMemory> ranks) override;

  /// From now on it is said where ranks wait in vain, also by rank 1 where rank 0 is silent.
  void watch_for_stalls(const Context& context, double stall_s);
  /// Neither for stalls nor for the file of the heartbeat any more, until told again. Takes the bar away.
  void stop_watching();
  /// From now on what is heard goes into the file, too. On rank 0 alone; throws as Heartbeat does.
  void start_heartbeat(Heartbeat::Subject subject);
  /// Null where there is none.
  Heartbeat* heartbeat() { return heartbeat_.get(); }
  /// Writes the last state of the file; nothing where there is none.
  void finish_heartbeat(const Error* error);

  /// One line that is shown unless quiet.
  void say(std::string_view text);
  /// Takes the bar away.
  void clear_bar();
  /// Where verbose: what communication cost this rank, by operation.
  void report_traffic(const Communicator& comm);

 private:
  using Clock = std::chrono::steady_clock;

  /// True where it is time for the next sign of life.
  bool due();
  void show(std::string_view phase, double fraction, std::string_view detail);
  void draw_bar(std::string_view phase, double fraction, std::string_view detail);

  bool quiet_;
  bool verbose_;
  bool terminal_;
  bool speaks_ = false;
  bool bar_shown_ = false;
  Clock::time_point last_;
  std::unique_ptr<StallDetector> stalls_;
  std::unique_ptr<Heartbeat> heartbeat_;  ///< after stalls_, which it asks
};

}  // namespace firesteel::cli
