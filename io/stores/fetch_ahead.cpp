// SPDX-License-Identifier: Apache-2.0
#include "firesteel/io/stores/fetch_ahead.hpp"

#include <condition_variable>
#include <deque>
#include <mutex>
#include <system_error>
#include <utility>

#include "firesteel/core/background_thread.hpp"

namespace firesteel {

namespace {

constexpr std::size_t kThreads = 4;

/// Never destroyed: a process may end while a transfer waits for its server.
struct Pool {
  std::mutex mutex;
  std::condition_variable more;
  std::condition_variable done;
  std::deque<std::function<void()>> tasks;
  std::size_t threads = 0;
  std::size_t busy = 0;

  void work() {
    for (;;) {
      std::function<void()> task;
      {
        std::unique_lock lock(mutex);
        more.wait(lock, [&] { return !tasks.empty(); });
        task = std::move(tasks.front());
        tasks.pop_front();
        ++busy;
      }
      try {
        task();
      } catch (...) {
      }
      task = nullptr;  // what it held goes before it counts as done
      const std::lock_guard lock(mutex);
      --busy;
      done.notify_all();
    }
  }
};

Pool& pool() {
  static auto* const all = new Pool;
  return *all;
}

}  // namespace

void fetch_ahead_of_reading(std::function<void()> task) {
  Pool& all = pool();
  const std::lock_guard lock(all.mutex);
  if (all.threads < kThreads && all.threads < all.busy + all.tasks.size() + 1) {
    try {
      start_background_thread([&all] { all.work(); }).detach();
      ++all.threads;
    } catch (const std::system_error&) {
      if (all.threads == 0) return;  // readers fetch for themselves
    }
  }
  all.tasks.push_back(std::move(task));
  all.more.notify_one();
}

void forget_tasks() {
  Pool& all = pool();
  std::unique_lock lock(all.mutex);
  all.tasks.clear();
  all.done.wait(lock, [&] { return all.busy == 0; });
}

}  // namespace firesteel
