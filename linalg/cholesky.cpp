// SPDX-License-Identifier: Apache-2.0
#include "firesteel/linalg/cholesky.hpp"

#include <cmath>

#include "firesteel/linalg/vector_kernels.hpp"

namespace firesteel {

bool cholesky_factor(std::span<double> matrix, Index n) {
  constexpr double kSmallestPivot = 1e-13;
  const auto size = static_cast<std::size_t>(n);
  for (std::size_t i = 0; i < size; ++i) {
    const auto row = matrix.subspan(i * size, size);
    for (std::size_t j = 0; j < i; ++j)
      row[j] = (row[j] - dot(row.first(j), matrix.subspan(j * size, j))) / matrix[j * size + j];
    const double pivot = row[i] - dot(row.first(i), row.first(i));
    if (!(pivot > kSmallestPivot * row[i]) || !(row[i] > 0)) return false;
    row[i] = std::sqrt(pivot);
  }
  return true;
}

void cholesky_solve(std::span<const double> factor, Index n, std::span<double> x) {
  const auto size = static_cast<std::size_t>(n);
  for (std::size_t i = 0; i < size; ++i)
    x[i] = (x[i] - dot(factor.subspan(i * size, i), x.first(i))) / factor[i * size + i];
  for (std::size_t i = size; i-- > 0;) {
    x[i] /= factor[i * size + i];
    add_scaled(-x[i], factor.subspan(i * size, i), x.first(i));
  }
}

}  // namespace firesteel
