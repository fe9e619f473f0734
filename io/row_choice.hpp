// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "firesteel/core/context.hpp"

namespace firesteel {

/// How many rows are chosen: a share of each group, to the nearest whole number (halves up), or a number of
/// all rows.
struct RowShare {
  double fraction = 0;
  std::optional<Index> rows;  ///< where given, instead of the fraction; at most as many as there are
};

/// Chooses rows at random, as many as `share` says exactly: each row draws 64 bits by `seed` and its global
/// number alone (Philox), and those with the smallest draws are taken, of equal draws the earlier rows. So
/// the choice is the same on any ranks, and of a smaller share from the same seed it is a part. `groups`: of
/// each local row, the text of its group, each of which is shared out for itself; empty: all rows are one.
/// Returns 1 for each local row that is chosen. Memory: 17 bytes a row, from the pool. Collective; throws 65
/// where there are more than kMostGroups groups.
inline constexpr Index kMostGroups = 10'000;
std::vector<std::uint8_t> choose_rows(const Context& context, Index local_rows, const RowShare& share,
                                      std::uint64_t seed, std::span<const std::string> groups = {});

}  // namespace firesteel
