// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <memory>
#include <utility>

#include "firesteel/core/context.hpp"

namespace firesteel {

/// A count that functions of a chain add to while an action runs: bad lines, rows of a kind. Copies share it,
/// so that a function may hold it by value. Whole numbers only: their sum depends on no order. What an action
/// computes again is counted again; persist() what shall be counted once.
///
///   const Accumulator bad(context);
///   lines.filter([bad](const std::string& line) { if (line.empty()) bad.add(1); return !line.empty();
///   }).count(); bad.value();
class Accumulator {
 public:
  /// Local.
  explicit Accumulator(Context context) : context_(std::move(context)) {}

  /// By any thread.
  void add(Index amount) const { own_->fetch_add(amount, std::memory_order_relaxed); }
  /// Of all ranks. Collective, outside of actions.
  Index value() const { return context_.comm().sum(own_->load()); }
  /// Back to 0 on this rank. Local.
  void reset() const { *own_ = 0; }

 private:
  Context context_;
  std::shared_ptr<std::atomic<Index>> own_ = std::make_shared<std::atomic<Index>>(0);
};

}  // namespace firesteel
