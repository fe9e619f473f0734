// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <vector>

#include "firesteel/core/index.hpp"

namespace firesteel {

/// Eigenvalues of a symmetric matrix, largest first, and their vectors, of unit length.
struct SymmetricEigen {
  std::vector<double> values;   ///< n
  std::vector<double> vectors;  ///< n x n, row-major: column i belongs to values[i]
};

/// Of a matrix n x n, row-major, whose lower triangle is read. Empty where the iteration does not end.
/// Eigen's SelfAdjointEigenSolver, scalar (docs/decisions/0016). Local; about 9·n³ flops.
SymmetricEigen symmetric_eigen(std::span<const double> matrix, Index n);

}  // namespace firesteel
