// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "firesteel/core/index.hpp"

namespace firesteel {

/// Bit r of changed[t] is 1 if labels 32·t + r of the two differ, for `tiles` tiles. Local.
void compare_labels(const std::int32_t* found, const std::int32_t* before, Index tiles,
                    std::uint32_t* changed);

/// Bit r is 0 if slack[r] > spent[labels[r]], for the 32 rows of a tile: slack not a number counts as none.
/// `least` becomes the smallest slack[r] − spent[labels[r]] of those rows, rounded down (infinite where there
/// are none). Labels are below `clusters` and may be −1; spent[−1 … max(clusters, kSpentRoom) − 1] must be
/// readable. Local.
std::uint32_t stale_rows(const float* slack, const std::int32_t* labels, const float* spent, Index clusters,
                         float* least);
inline constexpr Index kSpentRoom = 16;

/// slack[r] = gaps[r] + spent[labels[r]], rounded down, for the rows of `rows`; returns the smallest of their
/// gaps and `least`, −∞ where a gap is not a number. Labels ≥ 0. Local.
float renew_slack(const float* gaps, const std::int32_t* labels, const float* spent, Index clusters,
                  std::uint32_t rows, float least, float* slack);

/// Copies the rows of a tile (32 rows, column by column) whose bits are set in `rows` to
/// packed[j·stride + 0, 1, …], in order; up to 16 values beyond them in each column are overwritten. Returns
/// their number. Local.
template <class Scalar>
Index pack_rows(const Scalar* tile, Index columns, std::uint32_t rows, Scalar* packed, Index stride);

/// rows[i·stride + j] = column j of row i of the eight rows that begin at `first` (a multiple of 8) of a
/// tile, as doubles; stride ≥ columns. Local.
template <class Scalar>
void copy_eight_rows(const Scalar* tile, Index columns, Index first, double* rows, Index stride);

}  // namespace firesteel
