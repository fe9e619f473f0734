// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "firesteel/core/background_thread.hpp"
#include "firesteel/core/stall.hpp"
#include "firesteel/core/watchdog.hpp"

namespace firesteel::cli {

/// "nothing has moved for 60 s: 2 ranks wait for rank 1 on host h7 (fitting, iteration 8; at work by itself,
/// last heard of 0.4 s ago)".
std::string stall_text(const Stall& stall);
/// What is said once it is over: "rank 1 on host h7 goes on after 75 s".
std::string stall_over_text(const Stall& stall);

/// Looks, by a thread of its own that calls no MPI, whether ranks wait for others in vain, and says so: after
/// `stall_s`, again each time that twice as long has passed, and once more when the job goes on. Works on
/// rank 0, and on rank 1 for the silence of rank 0; on others, and without an active watchdog, it is idle.
class StallDetector {
 public:
  /// Says a line; the thread calls it. `warns` is false for the line that the job goes on.
  using Say = std::function<void(const std::string& line, bool warns)>;

  StallDetector(std::shared_ptr<Watchdog> watchdog, int rank, double stall_s, Say say);
  StallDetector(const StallDetector&) = delete;
  StallDetector& operator=(const StallDetector&) = delete;
  /// Looks once more: a job may end as soon as it goes on.
  ~StallDetector();

  /// The stall there is. From any thread.
  std::optional<Stall> now() const;

 private:
  void look();

  std::shared_ptr<Watchdog> watchdog_;
  StallFinder finder_;
  Say say_;
  double stall_s_;
  double next_warning_s_;
  mutable std::mutex mutex_;  ///< guards the next
  std::optional<Stall> stall_;
  std::optional<PeriodicThread> thread_;  ///< last: it ends before the others do
};

}  // namespace firesteel::cli
