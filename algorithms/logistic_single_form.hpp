// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "firesteel/core/aligned_vector.hpp"
#include "firesteel/core/row_blocks.hpp"
#include "firesteel/linalg/column_moments.hpp"
#include "firesteel/linalg/logistic_single.hpp"

namespace firesteel {

/// What logistic regression in single precision knows beside its double form: the centre c of dense columns
/// (their means, as floats), the scales that keep residuals and Hessian rows in range, and the coefficients
/// of an evaluation, rounded to float once. The offsets put right what the rounding moves in the mean: a
/// margin is off by Σ_j (rounded w_j − w_j)(x_j − μ_j) and the rounding of its own sum.
class LogisticSingleForm {
 public:
  /// None where the data are double, or where a column's mean or unit is so large or small (2^±60; sparse
  /// columns: a mean of more than 2^10 units) that float would lose it: then everything is computed in
  /// double. `moments` and `centre` (μ, or 0 without an intercept): of all columns; no `weights`: all 1.
  /// Collective.
  static std::optional<LogisticSingleForm> make(const RowBlocks& data, const ColumnMoments& moments,
                                                std::span<const double> centre,
                                                std::span<const double> weights);

  /// coefficients K x d on the original scale, intercepts K (empty: 0): what the kernels need to evaluate.
  /// Valid until the next call. Local.
  SingleOutputs round(std::span<const double> coefficients, std::span<const double> intercepts,
                      Index outputs);
  /// c_j, 0 for sparse rows.
  std::span<const float> centre() const { return centre_; }
  /// (c_j − μ_j): what margins and gradients owe to the intercept's centre.
  std::span<const double> distance() const { return distance_; }
  /// Power of two that brings the root of the largest weight to at most 1.
  double root_scale() const { return root_scale_; }
  double noise() const { return noise_; }

 private:
  std::vector<float> centre_;
  std::vector<double> distance_;
  std::vector<double> mean_;
  double root_scale_ = 1;
  double noise_ = 0;
  std::vector<float> coefficients_;
  std::vector<double> offsets_;
};

/// As Objective::value_noise(): values of single precision are off by about the rounding of one margin, which
/// the sum over rows does not make larger.
inline constexpr double kSingleNoise = 0x1p-23;

/// As LogisticSingleForm::make for sparse columns, of all or of the own slice: the noise of values in single
/// precision, none where the data are to be computed in double. Collective.
std::optional<double> sparse_single_noise(const RowBlocks& data, const ColumnMoments& moments);

}  // namespace firesteel
