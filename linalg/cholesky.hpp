// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "firesteel/core/index.hpp"

namespace firesteel {

/// Factors a symmetric positive definite matrix (n x n, row-major, lower triangle read) as L·Lᵀ, L in the
/// lower triangle. False, with the matrix spoilt, where a pivot falls below 1e−13 of its diagonal entry: the
/// matrix is singular to working precision. Eigen's LLT, scalar and with fixed block sizes: the same bits
/// everywhere (docs/decisions/0016). Local; n³/3 flops.
bool cholesky_factor(std::span<double> matrix, Index n);

/// As cholesky_factor, of the matrix plus, where it is singular, as small a multiple of its largest diagonal
/// entry on the diagonal as makes it positive definite (powers of ten from 1e-12). Local.
void factor_with_ridge(std::span<double> matrix, Index n);

/// Solves L·Lᵀ·x = b in place.
void cholesky_solve(std::span<const double> factor, Index n, std::span<double> x);

}  // namespace firesteel
