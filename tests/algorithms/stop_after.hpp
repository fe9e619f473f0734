// SPDX-License-Identifier: Apache-2.0
// A monitor that ends a fit early, as a signal would.
#pragma once

#include "firesteel/core/monitor.hpp"

namespace firesteel {

/// Asks to stop after an iteration.
class StopAfter : public Monitor {
 public:
  explicit StopAfter(Index iteration) : last_(iteration) {}
  void iteration(const IterationReport& report) override { reached_ = report.iteration >= last_; }
  bool stop_requested() override { return reached_; }

 private:
  Index last_;
  bool reached_ = false;
};

}  // namespace firesteel
