// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "firesteel/core/index.hpp"

namespace firesteel {

class Communicator;

/// Resident memory of this process in bytes; 0 where the system does not say (/proc/self/status).
struct ProcessMemory {
  Index current = 0;  ///< VmRSS
  Index peak = 0;     ///< VmHWM: the highest since the process began
};
/// Reads one small file of /proc; allocates nothing. Local.
ProcessMemory process_memory() noexcept;

/// How much memory may still be taken, and which limit is the first to be met.
struct MemoryRoom {
  Index limit = 0;      ///< bytes: of the machine, the cgroup or the process
  Index available = 0;  ///< bytes still to be had below that limit
  std::string source;   ///< "machine", "cgroup" or "ulimit -v"; empty where nothing is known
};
/// What this host can still give without swapping: the tightest of MemAvailable and, for each memory cgroup
/// (v1 or v2) that this process is in and those around it, limit − usage + page cache that can be dropped.
/// What is absent does not limit. `root` stands before every path that is read, for tests. Local.
MemoryRoom host_memory_room(const std::string& root = "");
/// The same, and the limit of this process's address space. Local.
MemoryRoom process_memory_room();

/// The bytes that host_memory_room() has left; the largest Index where nothing is known. Local.
Index available_memory(const std::string& root = "");

/// Throws out_of_memory (71), with both numbers of bytes, where `bytes` for each rank of this host are more
/// than `available`, so that a fit that cannot succeed ends before it pages. `what` begins the message and is
/// followed by "need". Callers name the least that they hold at once: a guess too high would refuse what
/// works. Nothing below 64 MiB is looked at. Local.
void require_memory(const Communicator& comm, double bytes, const std::string& what);
void require_memory(int ranks_of_host, double bytes, Index available, const std::string& what);

/// The number of kB behind `key` ("VmRSS:") at the beginning of a line of a text like /proc/self/status or
/// /proc/meminfo, in bytes; -1 where there is none. Local.
Index kilobytes_behind(std::string_view text, std::string_view key) noexcept;

}  // namespace firesteel
