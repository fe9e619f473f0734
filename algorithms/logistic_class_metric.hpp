// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <vector>

#include "firesteel/core/index.hpp"

namespace firesteel {

/// A metric near the Hessian of the loss of K classes, for coefficients of standardised columns:
///
///   M = A + λI + γ11ᵀ on the classes, the same for every column,   A = Σ_i w_i (diag(p_i) − p_i p_iᵀ) / W,
///
/// p_i the probabilities at the current point, λ the mean L2 weight, γ = tr(A)/K² along the vector of ones,
/// in which the loss does not change. It is the Hessian where columns are uncorrelated and probabilities do
/// not depend on them: what makes steps of rare classes as long as those of frequent ones. M, K x K, is
/// inverted once a point.
class LogisticClassMetric {
 public:
  /// Whether its sums are little beside those of a gradient.
  static bool suits(Index outputs, Index columns);

  /// l2: K x d weights. Local.
  LogisticClassMetric(Index outputs, std::span<const double> l2, double weight_sum);

  /// As block_class_moments(), of all rows: K(K + 1)/2 + K values.
  Index sums() const { return outputs_ * (outputs_ + 1) / 2 + outputs_; }
  /// Makes the metric that of a point. Local; K³ flops.
  void set(std::span<const double> sums);
  /// v ← M⁻¹·v: K x d coefficients, then K intercepts or none. Local; 2·K²·d flops.
  void solve(std::span<double> v, Index columns);

 private:
  Index outputs_;
  double l2_ = 0;
  double weight_sum_;
  std::vector<double> factor_;
  std::vector<double> inverse_;  ///< K x K
  std::vector<double> copy_;
};

}  // namespace firesteel
