// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>

#include "firesteel/core/index.hpp"
#include "firesteel/core/row_blocks.hpp"

namespace firesteel {

/// Queries that score_above() takes at a time.
inline constexpr Index kFilterQueries = 12;

/// Single-precision scores of kFilterQueries queries for a tile of 32 candidates, less the queries'
/// thresholds: of query q and candidate i one chain that begins with −thresholds[q],
///   score = Σ_j queries[j·kFilterQueries + q]·tile[j·32 + i],  j ascending, fused.
/// True where some are above 0; then above[q] has bit i set where that one is. tile is 64-byte aligned. The
/// same on every instruction set. Local.
bool score_above(const float* queries, const float* tile, Index rank, const float* thresholds,
                 std::uint32_t* above);

/// most[q·32 + i] ← the larger of itself and the score of query q and candidate i, without a threshold. tile
/// and most are 64-byte aligned. Local.
void raise_most(const float* queries, const float* tile, Index rank, float* most);

/// Bound of |single-precision score − double-precision score|, as fraction of the product of both norms, for
/// factors scaled by powers of two so that the largest is at most 1 and at least 1/2 on either side: `rank` +
/// 3 roundings of 2⁻²⁴, the roundings of the double chain, and what underflows.
double score_error(Index rank);

/// scores[p] = Σ_j query[j]·rows[positions[p]·rank + j], j ascending, one fused chain each. Local.
void exact_scores(const double* query, const double* rows, Index rank,
                  std::span<const std::int32_t> positions, double* scores);

}  // namespace firesteel
