// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "firesteel/algorithms/class_labels.hpp"
#include "firesteel/algorithms/logistic_regression.hpp"
#include "firesteel/core/memory.hpp"
#include "firesteel/linalg/column_moments.hpp"
#include "firesteel/linalg/logistic_kernels.hpp"
#include "firesteel/linalg/wide_columns.hpp"

namespace firesteel::detail {

inline constexpr const char* kLbfgsNewton = "lbfgs-newton";

/// What a fit of logistic regression is about, before its first iteration. The optimiser works on
/// θ_kj = coefficient_kj·unit_j, with an intercept on θ_k·(x − centre)/unit.
struct LogisticProblem {
  ClassLabels classes;
  LogisticTargets targets;
  std::string solver;
  std::optional<WideColumns> wide;    ///< columns are many: vectors over them are sliced
  std::vector<double> deviation;      ///< σ of all columns, or of the own slice of wide ones
  ColumnMoments units;                ///< mean: the centre, deviation: the unit; 0 for a constant column
  std::vector<double> class_weights;  ///< Σ w of each class
  Index outputs = 1;
  std::vector<MemoryReservation> reserved;  ///< for what is kept of each row and column

  /// Parameters of this rank that are coefficients; what follows them are intercepts.
  std::size_t local_coefficients() const { return deviation.size() * static_cast<std::size_t>(outputs); }
  /// The column (of those in deviation) of a coefficient.
  std::size_t column_of(std::size_t i) const {
    return wide ? i / static_cast<std::size_t>(outputs) : i % deviation.size();
  }
};

/// Classes, targets, and the solver that will be used; neither moments nor units. Throws bad_input where
/// there is nothing to learn, bad_parameter where the solver or thresholds do not suit. Collective.
LogisticProblem prepare_problem(const LogisticRegression& learner, const RowBlocks& data);

/// Throws bad_input where a column's mean or deviation is beyond double precision. Collective.
void check_moments(const RowBlocks& data, const LogisticProblem& problem, const ColumnMoments& moments);

/// `moments` with the optimiser's units in place of deviations. With --standardization a unit is the standard
/// deviation σ; without, where L2 bears on the coefficients themselves, √(σ² + λ/c), c the curvature of the
/// loss at equal probabilities: it makes the Hessian's diagonal alike for columns that are rarely other than
/// 0 too, whose σ alone would blow the penalty up and slow L-BFGS down.
ColumnMoments units_of(const LogisticRegression& learner, Index classes, ColumnMoments moments);

/// Coefficients 0, intercepts those of the best model without features.
std::vector<double> start_point(const LogisticProblem& problem, std::size_t local_size);
/// The objective there; log K without an intercept.
double value_without_features(const LogisticRegression& learner, const LogisticProblem& problem);

/// The L2 penalty is ½ Σ weight_i·θ_i², the L1 penalty Σ weight_i·|θ_i|: their weights, one a local
/// coefficient. Throws bad_input where a column cannot be penalised in its unit. Collective.
std::vector<double> l2_weights(const LogisticRegression& learner, const RowBlocks& data,
                               const LogisticProblem& problem);
std::vector<double> l1_weights(const LogisticRegression& learner, const RowBlocks& data,
                               const LogisticProblem& problem);

inline bool has_l1(const LogisticRegression& learner) {
  return learner.reg_param * learner.elastic_net_param > 0;
}

}  // namespace firesteel::detail
