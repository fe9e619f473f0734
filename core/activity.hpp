// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>

#include "firesteel/core/index.hpp"

namespace firesteel {

/// What a rank is doing, for another thread to look at (see watchdog.hpp). Written by the thread that calls
/// the Communicator, by the fit loop and by readers; a few relaxed stores a collective.
struct Activity {
  /// Grows with every operation begun or ended, and with every piece of a text that was read.
  std::atomic<std::int64_t> ticks{0};
  std::atomic<const char*> operation{nullptr};  ///< the operation this rank is in; null: it computes
  std::atomic<const char*> phase{nullptr};  ///< "reading", "fitting"…: a text in the program; null: none
  std::atomic<Index> iteration{0};          ///< of the fit, 0 outside

  void tick() { ticks.fetch_add(1, std::memory_order_relaxed); }
};

/// For its lifetime this rank is in an operation on the other ranks; `name` must outlive all readers (a text
/// in the program).
class InOperation {
 public:
  InOperation(Activity& activity, const char* name) : activity_(activity) {
    activity_.operation.store(name, std::memory_order_relaxed);
    activity_.tick();
  }
  InOperation(const InOperation&) = delete;
  InOperation& operator=(const InOperation&) = delete;
  ~InOperation() {
    activity_.operation.store(nullptr, std::memory_order_relaxed);
    activity_.tick();
  }

 private:
  Activity& activity_;
};

}  // namespace firesteel
