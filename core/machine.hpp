// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "firesteel/core/index.hpp"

namespace firesteel {

/// Resident memory of this process in bytes; 0 where the system does not say (/proc/self/status).
struct ProcessMemory {
  Index current = 0;  ///< VmRSS
  Index peak = 0;     ///< VmHWM: the highest since the process began
};
/// Reads one small file of /proc. Local.
ProcessMemory process_memory() noexcept;

/// How much memory a process may still take, and which limit is the first to be met.
struct MemoryRoom {
  Index limit = 0;      ///< bytes: of the machine, the cgroup or the process
  Index available = 0;  ///< bytes still to be had below that limit
  std::string source;   ///< "machine", "cgroup" or "ulimit -v"; empty where nothing is known
};
/// The tightest of MemAvailable, the memory limits of this process's cgroup and of those above it (v1 or v2)
/// and the limit of its address space. What is absent does not limit. Local.
MemoryRoom memory_room();

/// The number of kB behind `key` ("VmRSS:") in a text like /proc/self/status or /proc/meminfo, in bytes; -1
/// where there is none. Local.
Index kilobytes_behind(std::string_view text, std::string_view key) noexcept;

}  // namespace firesteel
