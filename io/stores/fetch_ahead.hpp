// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>

namespace firesteel {

/// Runs a task by one of four threads of this process, in the order of the calls. What a task throws is lost:
/// it keeps its own failures. Where the system gives no thread the task is dropped.
void fetch_ahead_of_reading(std::function<void()> task);
/// Drops tasks that have not begun and waits for those that have.
void forget_tasks();

}  // namespace firesteel
