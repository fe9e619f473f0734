// SPDX-License-Identifier: Apache-2.0
#include "firesteel/linalg/cholesky.hpp"

#include <Eigen/Cholesky>
#include <algorithm>
#include <vector>

namespace firesteel {

namespace {

using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Factor = Eigen::LLT<Eigen::Ref<Matrix>, Eigen::Lower>;

/// Eigen cuts matrices into blocks by the caches it finds, and so rounds differently from machine to machine.
void fix_block_sizes() {
  static const bool fixed = [] {
    Eigen::setCpuCacheSizes(32 << 10, 256 << 10, 2 << 20);
    return true;
  }();
  static_cast<void>(fixed);
}

}  // namespace

bool cholesky_factor(std::span<double> matrix, Index n) {
  constexpr double kSmallestPivot = 1e-13;
  fix_block_sizes();
  Eigen::Map<Matrix> entries(matrix.data(), n, n);
  const Eigen::VectorXd diagonal = entries.diagonal();
  const Factor factor(entries);  // in place
  if (factor.info() != Eigen::Success) return false;
  for (Index i = 0; i < n; ++i)
    if (!(entries(i, i) * entries(i, i) > kSmallestPivot * diagonal[i])) return false;
  return true;
}

void factor_with_ridge(std::span<double> matrix, Index n) {
  const std::vector<double> whole(matrix.begin(), matrix.end());
  const auto size = static_cast<std::size_t>(n);
  double largest = 0;
  for (std::size_t j = 0; j < size; ++j) largest = std::max(largest, whole[j * (size + 1)]);
  double ridge = 0;
  do {
    std::copy(whole.begin(), whole.end(), matrix.begin());
    for (std::size_t j = 0; j < size; ++j) matrix[j * (size + 1)] += ridge * largest;
    ridge = ridge == 0 ? 1e-12 : 10 * ridge;
  } while (ridge < 1e3 && !cholesky_factor(matrix, n));
}

void cholesky_solve(std::span<const double> factor, Index n, std::span<double> x) {
  fix_block_sizes();
  const Eigen::Map<const Matrix> lower(factor.data(), n, n);
  Eigen::Map<Eigen::VectorXd> solution(x.data(), n);
  lower.triangularView<Eigen::Lower>().solveInPlace(solution);
  lower.transpose().triangularView<Eigen::Upper>().solveInPlace(solution);
}

}  // namespace firesteel
