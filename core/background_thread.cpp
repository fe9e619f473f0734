// SPDX-License-Identifier: Apache-2.0
#include "firesteel/core/background_thread.hpp"

#include <pthread.h>

#include <csignal>
#include <utility>

namespace firesteel {

std::thread start_background_thread(std::function<void()> body) {
  // A new thread inherits the mask of the one that starts it.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  try {
    std::thread thread(std::move(body));
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    return thread;
  } catch (...) {
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    throw;
  }
}

PeriodicThread::PeriodicThread(std::chrono::duration<double> interval, std::function<void()> body)
    : interval_(interval), body_(std::move(body)), thread_(start_background_thread([this] { run(); })) {}

PeriodicThread::~PeriodicThread() {
  {
    const std::scoped_lock lock(mutex_);
    ending_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

void PeriodicThread::run() {
  std::unique_lock lock(mutex_);
  while (!wake_.wait_for(lock, interval_, [&] { return ending_; })) {
    lock.unlock();
    body_();
    lock.lock();
  }
}

}  // namespace firesteel
