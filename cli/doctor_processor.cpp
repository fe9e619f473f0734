// SPDX-License-Identifier: Apache-2.0
// CPUs and memory: who may use how much of them.
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <set>

#include "firesteel/cli/doctor.hpp"
#include "firesteel/cli/launch.hpp"
#include "firesteel/core/memory.hpp"
#include "firesteel/core/placement.hpp"
#include "firesteel/linalg/simd.hpp"

namespace firesteel::cli {

namespace {

std::string count_text(int count, const std::string& noun) {
  return std::to_string(count) + " " + noun + (count == 1 ? "" : "s");
}

int online_cpus() { return static_cast<int>(std::max<long>(1, sysconf(_SC_NPROCESSORS_ONLN))); }

/// The CPUs this process is bound to, and the cores they are of: mpirun counts a slot a core.
struct Affinity {
  int cpus = 0;
  int cores = 0;
};
Affinity affinity() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) != 0) return {online_cpus(), online_cpus()};
  std::set<std::string> cores;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(static_cast<std::size_t>(cpu), &set)) continue;
    std::ifstream file("/sys/devices/system/cpu/cpu" + std::to_string(cpu) +
                       "/topology/thread_siblings_list");
    std::string siblings;
    if (!std::getline(file, siblings)) siblings = "cpu " + std::to_string(cpu);
    cores.insert(siblings);
  }
  return {std::max(1, CPU_COUNT(&set)), std::max<int>(1, static_cast<int>(cores.size()))};
}

std::string quota_text() {
  const int quota = cgroup_cpu_quota();
  return quota == std::numeric_limits<int>::max() ? "no cgroup quota"
                                                  : "a cgroup quota of " + count_text(quota, "CPU");
}

}  // namespace

Check check_slots(const Placement& placement) {
  const int cores = affinity().cores;
  const int quota = cgroup_cpu_quota();
  const std::string finding =
      "mpirun -n takes " + count_text(cores, "rank") + " here, one a core; " + quota_text();
  if (!launcher().mpirun && placement.ranks == 1 && quota < cores)
    return {
        "slots", Health::warning, finding,
        "start no more than " + count_text(quota, "rank") + ": firesteel --ranks " + std::to_string(quota)};
  return {"slots", Health::ok, finding + "; firesteel --ranks N and --oversubscribe take any number", ""};
}

Check check_binding(const Placement& placement) {
  const int bound = affinity().cpus;
  const std::string finding =
      "this rank may run on " + std::to_string(bound) + " of " + count_text(online_cpus(), "CPU");
  if (placement.threads > bound)
    return {"binding", Health::warning, finding + " and has " + count_text(placement.threads, "thread"),
            launcher().mpirun ? "mpirun --bind-to none, or --threads " + std::to_string(bound)
                              : "--threads " + std::to_string(bound)};
  if (launcher().mpirun && placement.node_cpus < std::min(online_cpus(), cgroup_cpu_quota()))
    return {"binding", Health::warning, finding + ", and other ranks of the node use no more",
            "mpirun --bind-to none gives each rank all of them"};
  return {"binding", Health::ok, finding, ""};
}

Check check_threads(const Placement& placement) {
  const std::string finding = placement.describe() + ", " + quota_text();
  if (placement.node_threads > placement.node_cpus)
    return {"threads", Health::warning, finding + ": oversubscribed",
            "fewer ranks" + placement.fewer_threads(", or --threads ")};
  if (placement.node_threads < placement.node_cpus)
    return {"threads", Health::warning,
            finding + ": " + count_text(placement.node_cpus - placement.node_threads, "CPU") + " idle",
            "raise --threads or the number of ranks"};
  return {"threads", Health::ok, finding, ""};
}

Check check_memory(int ranks_of_node) {
  constexpr Index kLeast = Index{64} << 20;
  constexpr Index kLittle = Index{512} << 20;
  const MemoryRoom room = process_memory_room();
  if (room.source.empty()) return {"memory", Health::ok, "the system does not say", ""};
  const Index share = room.source == "ulimit -v" ? room.available : room.available / ranks_of_node;
  const std::string finding = bytes_text(room.available) + " free of " + bytes_text(room.limit) +
                              ", limited by the " + (room.source == "ulimit -v" ? "limit " : "") +
                              room.source + "; " + bytes_text(share) + " a rank";
  const std::string remedy = room.source == "machine"
                                 ? "end other programs, use fewer ranks or more hosts"
                                 : "raise the limit (" + room.source + "), or use more hosts";
  if (share < kLittle) return {"memory", share < kLeast ? Health::failed : Health::warning, finding, remedy};
  return {"memory", Health::ok, finding, ""};
}

Check check_simd() {
  const char* asked = std::getenv("FIRESTEEL_SIMD");
  const bool chosen = asked != nullptr && *asked != '\0';
  try {
    return {"simd", Health::ok,
            simd_name() + " with fused multiply-add" + (chosen ? ", as FIRESTEEL_SIMD asks" : ""), ""};
  } catch (const Error& error) {
    return {"simd", Health::failed, error.what(),
            chosen ? "unset FIRESTEEL_SIMD" : "use a machine with AVX2 (Intel since 2013, AMD since 2015)"};
  }
}

Check check_huge_pages() {
  std::string setting;
  std::ifstream file("/sys/kernel/mm/transparent_hugepage/enabled");
  if (!std::getline(file, setting)) return {"huge_pages", Health::ok, "this kernel says nothing of them", ""};
  const auto begin = setting.find('[');
  const auto end = setting.find(']');
  if (begin != std::string::npos && end != std::string::npos)
    setting = setting.substr(begin + 1, end - begin - 1);
  if (setting == "never")
    return {"huge_pages", Health::warning, "transparent huge pages are off: large arrays are read slower",
            "as root: echo madvise > /sys/kernel/mm/transparent_hugepage/enabled"};
  return {"huge_pages", Health::ok, "transparent huge pages: " + setting, ""};
}

}  // namespace firesteel::cli
