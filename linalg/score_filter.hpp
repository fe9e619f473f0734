// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>

#include "firesteel/core/index.hpp"
#include "firesteel/core/row_blocks.hpp"

namespace firesteel {

/// Queries that score_above() takes at a time.
inline constexpr Index kFilterQueries = 12;

/// Single-precision scores of kFilterQueries queries for a tile of 32 candidates:
///   scores[q·32 + i] = Σ_j queries[j·kFilterQueries + q]·tile[j·32 + i],  j ascending, fused;
/// above[q] has bit i set where that score is above thresholds[q]. Scores of a query without any are not
/// written. tile and scores are 64-byte aligned. Which scores are above is the same on every instruction set.
/// Local.
void score_above(const float* queries, const float* tile, Index rank, const float* thresholds, float* scores,
                 std::uint32_t* above);

/// Bound of |single-precision score − double-precision score|, as fraction of the product of both norms, for
/// factors scaled by powers of two so that the largest is at most 1 and at least 1/2 on either side: `rank` +
/// 3 roundings of 2⁻²⁴, the roundings of the double chain, and what underflows.
double score_error(Index rank);

/// scores[p] = Σ_j query[j]·rows[positions[p]·rank + j], j ascending, one fused chain each. Local.
void exact_scores(const double* query, const double* rows, Index rank,
                  std::span<const std::int32_t> positions, double* scores);

}  // namespace firesteel
