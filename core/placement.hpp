// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "firesteel/core/communicator.hpp"

namespace firesteel {

/// Where the ranks of a job run and how many threads each has.
struct Placement {
  int ranks = 1;
  int nodes = 1;
  int threads = 1;        ///< of this rank
  int total_threads = 1;  ///< of all ranks
  int allowed_cpus = 1;   ///< this rank's affinity mask, limited by the cgroup's CPU quota
  int node_cpus = 1;      ///< distinct CPUs that the ranks of this node may use, limited by the quota
  int node_threads = 1;   ///< threads of the ranks of this node

  /// "2 ranks x 1 thread on 2 CPUs".
  std::string describe() const;
  /// A warning where cores idle or are oversubscribed; empty where neither.
  std::string warning() const;
  /// `option` and the threads of this rank with which those of the node would fit its CPUs; empty where it
  /// has no more than that already. For nodes with more threads than CPUs.
  std::string fewer_threads(const std::string& option) const;
};

/// Decides the threads of each rank: `requested` where positive, else (affinity ∩ cgroup quota) ÷ the ranks
/// of this node that share those CPUs, at least 1. Collective.
Placement place(Communicator& comm, int requested_threads);

/// CPUs that the cgroup's quota allows (v1 or v2), rounded up; a large number where there is no quota. Local.
int cgroup_cpu_quota();

/// CPUs that this process may use now: its affinity mask, limited by the cgroup's quota. Local.
int available_cpus();

}  // namespace firesteel
