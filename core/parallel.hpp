// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "firesteel/core/function_ref.hpp"
#include "firesteel/core/index.hpp"

namespace firesteel {

/// Sets round-to-nearest and clears flush-to-zero and denormals-are-zero for the current thread; restores on
/// destruction. Results must not depend on what the caller's program did to its floating-point control word.
class FloatEnvironment {
 public:
  FloatEnvironment();
  ~FloatEnvironment();
  FloatEnvironment(const FloatEnvironment&) = delete;
  FloatEnvironment& operator=(const FloatEnvironment&) = delete;

 private:
  unsigned saved_;
};

/// Calls body(item, thread) for every item in [0, items), items handed out dynamically, in ascending order,
/// to `threads` OpenMP threads. Which thread gets which item is not defined: a body's result may depend on
/// `item` only. An exception ends the loop early; the one of the smallest item that fails is rethrown in the
/// calling thread, whatever the timing: items before a failed one still run. Local, not collective.
void parallel_for(int threads, Index items, FunctionRef<void(Index item, int thread)> body);

}  // namespace firesteel
