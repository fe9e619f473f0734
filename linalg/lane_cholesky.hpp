// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "firesteel/core/index.hpp"

namespace firesteel {

/// Systems solved side by side, one a vector lane.
inline constexpr Index kSystemLanes = 8;

/// Entries of a packed lower triangle.
inline constexpr Index packed_size(Index rank) { return rank * (rank + 1) / 2; }

/// Solves kSystemLanes symmetric positive definite systems A_l x_l = b_l at once by Cholesky. Lane l of entry
/// (i, j), j ≤ i, stands in matrices[(i(i + 1)/2 + j)·kSystemLanes + l], of b_l[i] in rhs[i·kSystemLanes +
/// l]; both 64-byte aligned; the matrices are overwritten, rhs becomes the solutions. pivots[l] (kSystemLanes
/// of them) is set to the smallest ratio of a pivot to its diagonal entry: at or near 0 the matrix is
/// singular and the lane's solution worthless. Lanes do not touch each other: a solution does not depend on
/// its batch mates. Cost: rank³/3 flops a lane. Local.
void solve_lanes(std::span<double> matrices, std::span<double> rhs, Index rank, std::span<double> pivots);

}  // namespace firesteel
