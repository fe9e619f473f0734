// SPDX-License-Identifier: Apache-2.0
#include "firesteel/core/machine.hpp"

#include <gtest/gtest.h>

#include <memory>

using namespace firesteel;

TEST(Machine, kilobytes_are_found_at_the_beginning_of_a_line) {
  constexpr std::string_view kText = "Name:\tVmRSS: 7 kB\nVmRSS:\t    1024 kB\nVmHWM: 2 kB\nLast:";
  EXPECT_EQ(kilobytes_behind(kText, "VmRSS:"), 1024 * 1024);
  EXPECT_EQ(kilobytes_behind(kText, "VmHWM:"), 2048);
  EXPECT_EQ(kilobytes_behind(kText, "VmSize:"), -1);
  EXPECT_EQ(kilobytes_behind(kText, "Last:"), -1);
  EXPECT_EQ(kilobytes_behind("Name:\tx kB\n", "Name:"), -1);
  EXPECT_EQ(kilobytes_behind("A: 99999999999999999999 kB", "A:"), -1);
  EXPECT_EQ(kilobytes_behind("A: 9999999999999999 kB", "A:"), -1);  // more than an Index holds, in bytes
  EXPECT_EQ(kilobytes_behind("A: -5 kB", "A:"), -1);
  EXPECT_EQ(kilobytes_behind("", "A:"), -1);
}

TEST(Machine, memory_that_is_touched_counts_and_the_peak_stays) {
  constexpr std::size_t kBytes = std::size_t{96} << 20;
  constexpr Index kSlack = Index{8} << 20;  // what else comes and goes, and counters that lag
  const ProcessMemory before = process_memory();
  ASSERT_GT(before.current, 0);
  {
    const auto touched = std::make_unique<char[]>(kBytes);
    volatile char* pages = touched.get();
    for (std::size_t i = 0; i < kBytes; i += 4096) pages[i] = 1;
    EXPECT_GT(process_memory().current, before.current + static_cast<Index>(kBytes) - kSlack);
  }
  const ProcessMemory after = process_memory();
  EXPECT_LT(after.current, before.current + static_cast<Index>(kBytes) - kSlack);
  EXPECT_GT(after.peak, before.current + static_cast<Index>(kBytes) - kSlack);
}

TEST(Machine, room_is_below_its_limit) {
  const MemoryRoom room = memory_room();
  EXPECT_FALSE(room.source.empty());
  EXPECT_GT(room.available, 0);
  EXPECT_LE(room.available, room.limit);
}
