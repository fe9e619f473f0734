// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <cstddef>
#include <limits>
#include <vector>

/// k-means in plain loops on one thread, to compare with.
namespace firesteel::reference {

inline double squared_distance(const double* a, const double* b, std::size_t columns) {
  double sum = 0;
  for (std::size_t j = 0; j < columns; ++j) sum += (a[j] - b[j]) * (a[j] - b[j]);
  return sum;
}

inline std::size_t nearest(const double* row, const std::vector<double>& centres, std::size_t columns) {
  std::size_t best = 0;
  for (std::size_t c = 1; c < centres.size() / columns; ++c)
    if (squared_distance(row, &centres[c * columns], columns) <
        squared_distance(row, &centres[best * columns], columns))
      best = c;
  return best;
}

/// Lloyd until no centre moves or `iterations` are done; clusters without weight keep their centres.
inline std::vector<double> lloyd(const std::vector<double>& x, const std::vector<double>& weights,
                                 std::vector<double> centres, std::size_t columns, int iterations) {
  const std::size_t rows = x.size() / columns;
  for (int iteration = 0; iteration < iterations; ++iteration) {
    std::vector<long double> sums(centres.size(), 0);
    std::vector<long double> totals(centres.size() / columns, 0);
    for (std::size_t r = 0; r < rows; ++r) {
      const std::size_t c = nearest(&x[r * columns], centres, columns);
      const long double weight = weights.empty() ? 1 : weights[r];
      totals[c] += weight;
      for (std::size_t j = 0; j < columns; ++j) sums[c * columns + j] += weight * x[r * columns + j];
    }
    const auto before = centres;
    for (std::size_t i = 0; i < centres.size(); ++i)
      if (totals[i / columns] > 0) centres[i] = static_cast<double>(sums[i] / totals[i / columns]);
    if (centres == before) break;
  }
  return centres;
}

inline double cost(const std::vector<double>& x, const std::vector<double>& weights,
                   const std::vector<double>& centres, std::size_t columns) {
  long double sum = 0;
  for (std::size_t r = 0; r < x.size() / columns; ++r) {
    const std::size_t c = nearest(&x[r * columns], centres, columns);
    sum += (weights.empty() ? 1 : weights[r]) *
           squared_distance(&x[r * columns], &centres[c * columns], columns);
  }
  return static_cast<double>(sum);
}

/// The silhouette by its definition: mean squared distances to all rows of each cluster.
inline double silhouette(const std::vector<double>& x, const std::vector<double>& weights,
                         const std::vector<double>& centres, std::size_t columns) {
  const std::size_t rows = x.size() / columns;
  double score = 0;
  double total = 0;
  for (std::size_t i = 0; i < rows; ++i) {
    std::vector<double> sums(centres.size() / columns, 0);
    std::vector<double> sizes(sums.size(), 0);
    for (std::size_t r = 0; r < rows; ++r) {
      const std::size_t c = nearest(&x[r * columns], centres, columns);
      sums[c] += weights[r] * squared_distance(&x[i * columns], &x[r * columns], columns);
      sizes[c] += weights[r];
    }
    const std::size_t own = nearest(&x[i * columns], centres, columns);
    double other = std::numeric_limits<double>::infinity();
    for (std::size_t c = 0; c < sums.size(); ++c)
      if (c != own && sizes[c] > 0) other = std::fmin(other, sums[c] / sizes[c]);
    total += weights[i];
    if (sizes[own] == weights[i]) continue;
    const double inside = sums[own] / (sizes[own] - weights[i]);
    score += weights[i] * (other - inside) / std::fmax(other, inside);
  }
  return score / total;
}

}  // namespace firesteel::reference
