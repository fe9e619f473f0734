// SPDX-License-Identifier: Apache-2.0
#include "firesteel/core/parallel.hpp"

#include <omp.h>

#include <atomic>
#include <cfenv>
#include <exception>
#include <limits>
#include <mutex>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace firesteel {

#if defined(__x86_64__)
namespace {
constexpr unsigned kDefaultControlWord = 0x1F80;  // all exceptions masked, nearest, no FTZ, no DAZ
}
FloatEnvironment::FloatEnvironment() : saved_(_mm_getcsr()) { _mm_setcsr(kDefaultControlWord); }
FloatEnvironment::~FloatEnvironment() { _mm_setcsr(saved_); }
#else
FloatEnvironment::FloatEnvironment() : saved_(static_cast<unsigned>(std::fegetround())) {
  std::fesetround(FE_TONEAREST);
}
FloatEnvironment::~FloatEnvironment() { std::fesetround(static_cast<int>(saved_)); }
#endif

namespace {

/// Keeps the exception of the smallest failed item.
class FirstFailure {
 public:
  void record(Index item) {
    const std::lock_guard lock(mutex_);
    if (item >= item_.load(std::memory_order_relaxed)) return;
    exception_ = std::current_exception();
    item_.store(item, std::memory_order_relaxed);
  }
  /// Items past a failed one need not run; those before it must, or the error would depend on who was first.
  bool outranks(Index item) const { return item > item_.load(std::memory_order_relaxed); }
  void rethrow() const {
    if (exception_) std::rethrow_exception(exception_);
  }

 private:
  std::mutex mutex_;
  std::exception_ptr exception_;
  std::atomic<Index> item_{std::numeric_limits<Index>::max()};
};

}  // namespace

void parallel_for(int threads, Index items, FunctionRef<void(Index item, int thread)> body) {
  if (threads <= 1 || items <= 1) {
    const FloatEnvironment environment;
    for (Index item = 0; item < items; ++item) body(item, 0);
    return;
  }
  FirstFailure failure;
#pragma omp parallel num_threads(threads) default(none) shared(items, body, failure)
  {
    const FloatEnvironment environment;
    const int thread = omp_get_thread_num();
// Ascending, as passes over blocks in scratch need it: LLVM's runtime would have each thread begin elsewhere.
#pragma omp for schedule(monotonic : dynamic, 1)
    for (Index item = 0; item < items; ++item) {
      if (failure.outranks(item)) continue;
      try {
        body(item, thread);
      } catch (...) {
        failure.record(item);
      }
    }
  }
  failure.rethrow();
}

}  // namespace firesteel
