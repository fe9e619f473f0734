// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>
#include <vector>

#include "firesteel/core/index.hpp"

namespace firesteel {

/// What decides which rank reads which share of the input. Pure functions, for near_blocks().

/// share_bytes[s][h]: bytes of share s that host h has on its disks. Replicated.
using ShareBytes = std::vector<std::vector<Index>>;

/// The share of each rank: a permutation in which rank 0 has share 0 and the sum over all ranks of
/// share_bytes[share][host_of_rank[rank]] is as large as it can be; of equal ones one that leaves most ranks
/// with the share of their own number. As many shares as ranks; the sum of all bytes times the number of
/// ranks is below 2^61. Cost: at most P³ steps for P ranks, the assignment problem by shortest augmenting
/// paths (Jonker and Volgenant 1987, doi:10.1007/BF02278710); above 1024 ranks the largest bytes first, which
/// may be less than the most.
std::vector<int> assign_shares(const ShareBytes& share_bytes, const std::vector<int>& host_of_rank);

/// Bytes that ranks have on their own host under an assignment.
Index local_bytes(const ShareBytes& share_bytes, const std::vector<int>& host_of_rank,
                  const std::vector<int>& share_of_rank);

/// True where two names or addresses mean one machine: they are equal but for small and capital letters, or
/// one is the other's first word ("node7" and "node7.example.org").
bool is_same_host(std::string_view a, std::string_view b);

}  // namespace firesteel
