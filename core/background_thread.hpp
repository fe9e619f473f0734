// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

namespace firesteel {

/// A thread that takes no signals: they are for the threads that work, which may have to be woken. Throws
/// std::system_error where the system gives no thread. Local.
std::thread start_background_thread(std::function<void()> body);

/// Calls a function again and again, with so long between two calls, in a background thread. Local.
class PeriodicThread {
 public:
  /// The first call comes after one interval; `body` may not throw. Throws as start_background_thread does.
  PeriodicThread(std::chrono::duration<double> interval, std::function<void()> body);
  PeriodicThread(const PeriodicThread&) = delete;
  PeriodicThread& operator=(const PeriodicThread&) = delete;
  /// Waits for a call that is being made; there is none afterwards.
  ~PeriodicThread();

 private:
  void run();

  std::chrono::duration<double> interval_;
  std::function<void()> body_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool ending_ = false;
  std::thread thread_;
};

}  // namespace firesteel
