// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "firesteel/core/index.hpp"

namespace firesteel {

/// The x ≥ 0 that minimises ½ xᵀA x − bᵀx, A positive definite, rank x rank, row-major (column ≤ row is
/// read). x holds the unconstrained minimiser on entry: its positive coordinates are the first guess of the
/// solution's support. Active set: the coordinate with the largest positive −gradient enters (ties to the
/// lowest index), coordinates that would turn negative leave. Exact up to rounding; a function of its
/// arguments alone. Source: Lawson & Hanson 1974, ch. 23; Bro & de Jong 1997,
/// doi:10.1002/(SICI)1099-128X(199709/10)11:5<393::AID-CEM483>3.0.CO;2-L. Local.
void solve_nonnegative(std::span<const double> a, std::span<const double> b, Index rank, std::span<double> x);

}  // namespace firesteel
