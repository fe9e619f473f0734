// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "firesteel/core/communicator.hpp"

namespace firesteel {

/// Bytes that this host can still give without swapping: the least of MemAvailable and, for each memory
/// cgroup (v1 or v2) that this process is in, limit − usage + page cache that can be dropped. The largest
/// Index where neither is known. `root` stands before every path that is read, for tests. Local.
Index available_memory(const std::string& root = "");

/// Throws out_of_memory (71), with both numbers of bytes, where `bytes` for each rank of this host are more
/// than `available`, so that a fit that cannot succeed ends before it pages. `what` begins the message and is
/// followed by "need". Callers name the least that they hold at once: a guess too high would refuse what
/// works. Nothing below 64 MiB is looked at. Local.
void require_memory(const Communicator& comm, double bytes, const std::string& what);
void require_memory(int ranks_of_host, double bytes, Index available, const std::string& what);

}  // namespace firesteel
