// SPDX-License-Identifier: Apache-2.0
#include "firesteel/linalg/symmetric_eigen.hpp"

#include <Eigen/Eigenvalues>

namespace firesteel {

SymmetricEigen symmetric_eigen(std::span<const double> matrix, Index n) {
  using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  const Eigen::Map<const Matrix> entries(matrix.data(), n, n);
  const Eigen::SelfAdjointEigenSolver<Matrix> solver(entries);  // ascending
  if (solver.info() != Eigen::Success) return {};
  SymmetricEigen result;
  for (Index i = n; i-- > 0;) result.values.push_back(solver.eigenvalues()[i]);
  for (Index row = 0; row < n; ++row)
    for (Index i = n; i-- > 0;) result.vectors.push_back(solver.eigenvectors()(row, i));
  return result;
}

}  // namespace firesteel
