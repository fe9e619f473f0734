// SPDX-License-Identifier: Apache-2.0
#include "firesteel/algorithms/logistic_class_metric.hpp"

#include <algorithm>

#include "firesteel/linalg/cholesky.hpp"
#include "firesteel/linalg/vector_kernels.hpp"

namespace firesteel {

namespace {

constexpr Index kMostClasses = 64;
/// Of the trace: curvature of classes that no row has a probability of.
constexpr double kLeast = 1e-10;

std::size_t size_of(Index i) { return static_cast<std::size_t>(i); }

}  // namespace

bool LogisticClassMetric::suits(Index outputs, Index columns) {
  return outputs > 2 && outputs <= std::min(kMostClasses, columns);
}

LogisticClassMetric::LogisticClassMetric(Index outputs, std::span<const double> l2, double weight_sum)
    : outputs_(outputs),
      weight_sum_(weight_sum),
      factor_(size_of(outputs * outputs)),
      inverse_(factor_.size()) {
  for (const double weight : l2) l2_ += weight;
  if (!l2.empty()) l2_ /= static_cast<double>(l2.size());
  copy_.reserve(l2.size() + size_of(outputs));
}

void LogisticClassMetric::set(std::span<const double> sums) {
  const std::size_t outputs = size_of(outputs_);
  const std::span<const double> own = sums.subspan(outputs * (outputs + 1) / 2);
  double trace = 0;
  for (std::size_t a = 0; a < outputs; ++a)
    for (std::size_t b = 0; b <= a; ++b) {
      const double both = sums[a * (a + 1) / 2 + b];
      factor_[a * outputs + b] = (a == b ? own[a] - both : -both) / weight_sum_;
      if (a == b) trace += factor_[a * outputs + a];
    }
  const double gauge = trace / static_cast<double>(outputs * outputs);
  for (std::size_t a = 0; a < outputs; ++a) {
    for (std::size_t b = 0; b <= a; ++b) factor_[a * outputs + b] += gauge;
    factor_[a * (outputs + 1)] += l2_ + kLeast * trace;
  }
  const bool definite = cholesky_factor(factor_, outputs_);
  std::fill(inverse_.begin(), inverse_.end(), 0.0);
  for (std::size_t a = 0; a < outputs; ++a) {
    inverse_[a * (outputs + 1)] = 1;
    if (definite) cholesky_solve(factor_, outputs_, std::span(inverse_).subspan(a * outputs, outputs));
  }
}

void LogisticClassMetric::solve(std::span<double> v, Index columns) {
  const std::size_t outputs = size_of(outputs_);
  const std::size_t d = size_of(columns);
  copy_.assign(v.begin(), v.end());
  std::fill(v.begin(), v.end(), 0.0);
  const std::span<const double> from(copy_);
  for (std::size_t a = 0; a < outputs; ++a)
    for (std::size_t b = 0; b < outputs; ++b)
      add_scaled(inverse_[a * outputs + b], from.subspan(b * d, d), v.subspan(a * d, d));
  if (v.size() == outputs * d) return;
  for (std::size_t a = 0; a < outputs; ++a)
    for (std::size_t b = 0; b < outputs; ++b)
      v[outputs * d + a] += inverse_[a * outputs + b] * from[outputs * d + b];
}

}  // namespace firesteel
