// SPDX-License-Identifier: Apache-2.0
#include "firesteel/core/placement.hpp"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <limits>
#include <sstream>

namespace firesteel {

namespace {

constexpr int kUnlimited = std::numeric_limits<int>::max();

/// A rank's host and the CPUs it may run on.
struct RankSeat {
  char host[256] = {};
  cpu_set_t cpus;
  int quota = kUnlimited;
};

RankSeat own_seat() {
  RankSeat seat;
  gethostname(seat.host, sizeof seat.host - 1);
  CPU_ZERO(&seat.cpus);
  if (sched_getaffinity(0, sizeof seat.cpus, &seat.cpus) != 0 || CPU_COUNT(&seat.cpus) == 0) {
    // A machine with more CPUs than the mask holds, or a kernel that does not say: count those online.
    const long online = std::clamp<long>(sysconf(_SC_NPROCESSORS_ONLN), 1, CPU_SETSIZE);
    for (long cpu = 0; cpu < online; ++cpu) CPU_SET(static_cast<std::size_t>(cpu), &seat.cpus);
  }
  seat.quota = cgroup_cpu_quota();
  return seat;
}

bool same_host(const RankSeat& a, const RankSeat& b) { return std::strcmp(a.host, b.host) == 0; }

bool overlap(const RankSeat& a, const RankSeat& b) {
  cpu_set_t common;
  CPU_AND(&common, &a.cpus, &b.cpus);
  return CPU_COUNT(&common) > 0;
}

int quota_from(double quota_us, double period_us) {
  if (quota_us <= 0 || period_us <= 0) return kUnlimited;
  return std::max(1, static_cast<int>(std::ceil(quota_us / period_us)));
}

int default_threads(const std::vector<RankSeat>& seats, const RankSeat& mine) {
  int sharing = 0;
  int on_host = 0;
  for (const auto& seat : seats) {
    if (!same_host(seat, mine)) continue;
    ++on_host;
    if (overlap(seat, mine)) ++sharing;
  }
  const int by_affinity = CPU_COUNT(&mine.cpus) / std::max(1, sharing);
  const int by_quota = mine.quota == kUnlimited ? kUnlimited : mine.quota / std::max(1, on_host);
  return std::max(1, std::min(by_affinity, by_quota));
}

std::string plural(int count, const std::string& noun) {
  return std::to_string(count) + " " + noun + (count == 1 ? "" : "s");
}

}  // namespace

int cgroup_cpu_quota() {
  std::string quota;
  double period = 0;
  if (std::ifstream v2("/sys/fs/cgroup/cpu.max"); v2 >> quota >> period && quota != "max")
    return quota_from(std::strtod(quota.c_str(), nullptr), period);
  double quota_us = 0;
  std::ifstream v1_quota("/sys/fs/cgroup/cpu/cpu.cfs_quota_us");
  std::ifstream v1_period("/sys/fs/cgroup/cpu/cpu.cfs_period_us");
  if (v1_quota >> quota_us && v1_period >> period) return quota_from(quota_us, period);
  return kUnlimited;
}

int available_cpus() {
  const RankSeat seat = own_seat();
  return std::max(1, std::min(CPU_COUNT(&seat.cpus), seat.quota));
}

Placement place(Communicator& comm, int requested_threads) {
  const RankSeat mine = own_seat();
  const auto seats = comm.allgather(mine);
  Placement placement;
  placement.ranks = comm.size();
  placement.threads = requested_threads > 0 ? requested_threads : default_threads(seats, mine);
  placement.allowed_cpus = std::min(CPU_COUNT(&mine.cpus), mine.quota);
  const auto threads = comm.allgather(placement.threads);
  cpu_set_t node_cpus;
  CPU_ZERO(&node_cpus);
  placement.total_threads = 0;
  placement.node_threads = 0;
  placement.nodes = 0;
  for (std::size_t i = 0; i < seats.size(); ++i) {
    placement.total_threads += threads[i];
    const bool first_on_host = std::none_of(seats.begin(), seats.begin() + static_cast<std::ptrdiff_t>(i),
                                            [&](const RankSeat& seat) { return same_host(seat, seats[i]); });
    if (first_on_host) ++placement.nodes;
    if (!same_host(seats[i], mine)) continue;
    CPU_OR(&node_cpus, &node_cpus, &seats[i].cpus);
    placement.node_threads += threads[i];
  }
  placement.node_cpus = std::min(CPU_COUNT(&node_cpus), mine.quota);
  return placement;
}

std::string Placement::describe() const {
  std::ostringstream text;
  text << plural(ranks, "rank") << " x " << plural(threads, "thread") << " on " << plural(node_cpus, "CPU");
  if (nodes > 1) text << " a node, " << nodes << " nodes";
  return text.str();
}

std::string Placement::fewer_threads(const std::string& option) const {
  const int fitting = std::max(1, node_cpus * threads / node_threads);
  return fitting < threads ? option + std::to_string(fitting) : "";
}

std::string Placement::warning() const {
  const int online = static_cast<int>(std::min<long>(sysconf(_SC_NPROCESSORS_ONLN), cgroup_cpu_quota()));
  if (node_threads > node_cpus)
    return plural(node_threads, "thread") + " share " + plural(node_cpus, "CPU") +
           ": oversubscribed; use fewer ranks" + fewer_threads(" or --threads ");
  if (node_threads < node_cpus)
    return plural(node_cpus - node_threads, "CPU") + " idle: raise --threads or the number of ranks";
  if (node_cpus < online)
    return "ranks are bound to " + std::to_string(node_cpus) + " of " + plural(online, "CPU") +
           ": mpirun --bind-to none gives each rank all of them";
  return {};
}

}  // namespace firesteel
