// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bit>
#include <cstdint>
#include <span>
#include <vector>

#include "firesteel/core/communicator.hpp"
#include "firesteel/core/index.hpp"

namespace firesteel {

/// Keys that ascend as doubles do; −0 and 0 are alike, NaN has no place.
inline std::uint64_t ordered_key(double value) {
  const auto bits = std::bit_cast<std::uint64_t>(value == 0 ? 0.0 : value);
  return (bits >> 63) != 0 ? ~bits : bits | (std::uint64_t{1} << 63);
}
inline double number_of_key(std::uint64_t key) {
  return std::bit_cast<double>((key >> 63) != 0 ? key & ~(std::uint64_t{1} << 63) : ~key);
}

/// The element number `k`, from 0, of the keys of all ranks together, of one of several groups.
struct KthTarget {
  std::size_t group = 0;
  Index k = 0;  ///< below the number of keys of the group
};

/// Exact selection by digits, without moving a key: eight rounds of one sum of 256 counts a target. `sorted`:
/// this rank's keys of each group, ascending; as many groups, and the same targets, on every rank.
/// Collective.
std::vector<std::uint64_t> kth_smallest(Communicator& comm,
                                        std::span<const std::vector<std::uint64_t>> sorted,
                                        std::span<const KthTarget> targets);

}  // namespace firesteel
