// SPDX-License-Identifier: Apache-2.0
#include "firesteel/core/parallel.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <cfenv>
#include <chrono>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace firesteel {
namespace {

TEST(ParallelFor, runs_every_item_once_with_threads_in_range) {
  for (const int threads : {-1, 0, 1, 2, 7}) {
    for (const Index items : {0, 1, 2, 1000}) {
      std::vector<std::atomic<int>> runs(static_cast<std::size_t>(items));
      parallel_for(threads, items, [&](Index item, int thread) {
        ++runs[static_cast<std::size_t>(item)];
        EXPECT_GE(thread, 0);
        EXPECT_LT(thread, std::max(1, threads));
      });
      for (const auto& count : runs) EXPECT_EQ(count.load(), 1);
    }
  }
}

TEST(ParallelFor, rethrows_the_exception_of_the_smallest_item_whatever_the_timing) {
  for (int repeat = 0; repeat < 20; ++repeat) {
    try {
      parallel_for(4, 64, [&](Index item, int) {
        if (item == 10) std::this_thread::sleep_for(std::chrono::milliseconds(2));  // fails last
        if (item >= 10 && item <= 13) throw std::runtime_error(std::to_string(item));
      });
      ADD_FAILURE() << "did not throw";
    } catch (const std::runtime_error& error) {
      EXPECT_STREQ(error.what(), "10");
    }
  }
}

TEST(ParallelFor, skips_items_past_a_failed_one) {
  std::atomic<int> ran{0};
  EXPECT_THROW(parallel_for(2, 100000,
                            [&](Index, int) {
                              ++ran;
                              throw std::runtime_error("all fail");
                            }),
               std::runtime_error);
  EXPECT_LT(ran.load(), 100);
}

TEST(ParallelFor, rounds_to_nearest_in_every_thread_and_restores) {
  const volatile double one = 1.0;
  const volatile double three = 3.0;
  const double nearest = one / three;
  std::fesetround(FE_UPWARD);
  const double upward = one / three;
  std::atomic<int> wrong{0};
  for (const int threads : {1, 2})
    parallel_for(threads, 64, [&](Index, int) { wrong += (one / three != nearest) ? 1 : 0; });
  const int after = std::fegetround();
  std::fesetround(FE_TONEAREST);
  EXPECT_NE(upward, nearest);
  EXPECT_EQ(wrong.load(), 0);
  EXPECT_EQ(after, FE_UPWARD);
}

}  // namespace
}  // namespace firesteel
