// SPDX-License-Identifier: Apache-2.0
#include "firesteel/core/memory.hpp"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <limits>

#include "firesteel/core/context.hpp"
#include "firesteel/core/error.hpp"

namespace firesteel {
namespace {

/// A directory that stands for the root of the file system; each rank has its own.
class Memory : public ::testing::Test {
 protected:
  Memory()
      : root((std::filesystem::temp_directory_path() / ("firesteel_memory_" + std::to_string(::getpid())))
                 .string()) {}
  ~Memory() override { std::filesystem::remove_all(root); }

  void write(const std::string& path, const std::string& text) const {
    const std::filesystem::path file = root + path;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << text;
  }

  std::string root;
};

TEST_F(Memory, is_what_the_kernel_calls_available) {
  EXPECT_EQ(available_memory(root), std::numeric_limits<Index>::max());
  write("/proc/meminfo", "MemTotal:  999 kB\nMemFree:  1 kB\nMemAvailable:    500 kB\n");
  EXPECT_EQ(available_memory(root), 512000);
}

TEST_F(Memory, is_limited_by_the_cgroup_and_those_around_it) {
  write("/proc/meminfo", "MemAvailable:    500 kB\n");
  write("/proc/self/cgroup", "0::/job/step\n");
  write("/sys/fs/cgroup/job/step/memory.max", "max\n");
  write("/sys/fs/cgroup/job/step/memory.current", "7\n");
  EXPECT_EQ(available_memory(root), 512000);
  write("/sys/fs/cgroup/job/memory.max", "100000\n");
  write("/sys/fs/cgroup/job/memory.current", "90000\n");
  write("/sys/fs/cgroup/job/memory.stat", "anon 60000\ninactive_file 20000\nactive_file 10000\n");
  EXPECT_EQ(available_memory(root), 40000);  // page cache counts as free
  write("/sys/fs/cgroup/job/step/memory.max", "5000\n");
  EXPECT_EQ(available_memory(root), 4993);
  write("/sys/fs/cgroup/job/step/memory.current", "6000\n");
  EXPECT_EQ(available_memory(root), 0);
}

TEST_F(Memory, is_limited_by_cgroups_of_the_first_version) {
  write("/proc/meminfo", "MemAvailable:    500 kB\n");
  write("/proc/self/cgroup", "5:devices:/\n4:cpu,memory:/docker/abc\n0::/\n");
  // In a container the group's own directory is the root of what is mounted.
  write("/sys/fs/cgroup/memory/memory.limit_in_bytes", "200000\n");
  write("/sys/fs/cgroup/memory/memory.usage_in_bytes", "50000\n");
  write("/sys/fs/cgroup/memory/memory.stat",
        "inactive_file 1\ntotal_inactive_file 10000\ntotal_active_file 2000\n");
  EXPECT_EQ(available_memory(root), 162000);
  write("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  EXPECT_EQ(available_memory(root), 512000);
}

TEST(ProcessMemory, kilobytes_are_found_at_the_beginning_of_a_line) {
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

TEST(ProcessMemory, memory_that_is_touched_counts_and_the_peak_stays) {
  constexpr std::size_t kBytes = std::size_t{96} << 20;
  constexpr Index kSlack = Index{8} << 20;  // what else comes and goes, and counters that lag
  const ProcessMemory before = process_memory();
  ASSERT_GT(before.current, 0);
  // From the system itself: an allocator may keep what was given back.
  void* pages = ::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(pages, MAP_FAILED);
  for (std::size_t i = 0; i < kBytes; i += 4096) static_cast<volatile char*>(pages)[i] = 1;
  EXPECT_GT(process_memory().current, before.current + static_cast<Index>(kBytes) - kSlack);
  ASSERT_EQ(::munmap(pages, kBytes), 0);
  const ProcessMemory after = process_memory();
  EXPECT_LT(after.current, before.current + static_cast<Index>(kBytes) - kSlack);
  EXPECT_GT(after.peak, before.current + static_cast<Index>(kBytes) - kSlack);
}

TEST(ProcessMemory, room_is_below_its_limit) {
  const MemoryRoom room = process_memory_room();
  EXPECT_FALSE(room.source.empty());
  EXPECT_GT(room.available, 0);
  EXPECT_LE(room.available, room.limit);
}

TEST(RequireMemory, names_both_numbers) {
  EXPECT_NO_THROW(require_memory(2, 500, 1000, "centres"));
  try {
    require_memory(2, 501, 1000, "3 centres");
    ADD_FAILURE() << "expected an error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::out_of_memory);
    EXPECT_EQ(std::string(error.what())
                  .find("out of memory: 3 centres need at least 501 bytes for each of 2 ranks, but this host "
                        "has 1000"),
              0U)
        << error.what();
  }
}

TEST(RequireMemory, looks_at_this_host) {
  const Context context;
  const Communicator& comm = context.comm();
  EXPECT_GT(available_memory(), 0);
  EXPECT_NO_THROW(require_memory(comm, 1 << 20, "a little"));
  EXPECT_THROW(require_memory(comm, 1e18, "an exabyte"), Error);
}

}  // namespace
}  // namespace firesteel
