// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "firesteel/core/canonical_sum.hpp"
#include "firesteel/core/row_blocks.hpp"
#include "firesteel/linalg/column_moments.hpp"
#include "firesteel/linalg/logistic_kernels.hpp"
#include "firesteel/linalg/objective.hpp"

namespace firesteel {

/// The smooth part of penalised logistic loss, on standardised coefficients:
///
///   f(θ, b) = 1/W Σ_i w_i ℓ(y_i, z_i) + ½ Σ l2_kj θ_kj²,   z_ik = b_k + Σ_j θ_kj (x_ij − μ_j)/σ_j
///
/// ℓ: binary logistic loss (K = 1) or softmax cross-entropy (K classes). Centring is folded into the offset:
/// the data stay as they are, sparse stays sparse. A column with σ = 0 does not take part. Parameters: θ
/// (K x d, row-major), then b (K) where there is an intercept; without one μ = 0.
///
/// One evaluation reads the features once and costs one CanonicalSum of 1 + K + K·d doubles (sparse with many
/// columns: one of 1 + K, and one allreduce of K·d integers). Memory a row: 8·(2K + 2) bytes, sparse and wide
/// 8·(3K + 2).
class LogisticObjective final : public Objective {
 public:
  struct Options {
    Index outputs = 1;
    bool fit_intercept = true;
    std::vector<double> l2;  ///< K x d
  };
  /// `targets` one a local row (binary ±1, else the class). Local.
  LogisticObjective(const RowBlocks& data, const ColumnMoments& moments, LogisticTargets targets,
                    Options options);

  Index size() const override;
  double evaluate(std::span<const double> x, std::span<double> gradient) override;
  void accept() override;
  LinePoint along(double t) override;
  void collectively(FunctionRef<void()> local) override;
  void hessian(std::span<double> matrix) override;

  /// Smallest margin by which a row of positive weight is on its class's side at the current point; positive:
  /// the classes are separated. Collective.
  double smallest_margin() const;
  /// Coefficients (K x d) and intercepts (K) on the original scale.
  LinearOutputs on_original_scale(std::span<const double> x, std::vector<double>& coefficients,
                                  std::vector<double>& offsets) const;

 private:
  Index coefficients() const { return options_.outputs * data_.columns(); }
  void sum_by_tree(std::span<const double> coefficients, std::span<const double> offsets);
  void sum_in_fixed_point(std::span<const double> coefficients, std::span<const double> offsets);
  void scale_gradient(std::span<const double> x, std::span<double> gradient) const;
  void hessian_of_pair(Index a, Index b, std::span<double> matrix);
  void roots_of_pair(Index a, Index b, TileRange range);
  void add_gauge(std::span<double> matrix) const;

  const RowBlocks& data_;
  const ColumnMoments& moments_;
  LogisticTargets targets_;
  Options options_;
  std::vector<double> inverse_deviation_;  ///< 0 for a constant column
  std::vector<double> centre_;             ///< μ, or 0 without an intercept
  bool fixed_point_;
  std::vector<double> fixed_scales_;
  CanonicalSum sum_;
  CanonicalSum line_sum_;
  std::unique_ptr<CanonicalSum> hessian_sum_;
  std::vector<double> statistic_;  ///< of the last evaluation: Σ loss, Σ residual, Σ residual·x
  AlignedVector<double> margins_;  ///< at the current point
  AlignedVector<double> trial_margins_;
  AlignedVector<double> residuals_;  ///< fixed point and Hessian only
  std::vector<double> roots_;        ///< Hessian only
  std::vector<double> point_;
  std::vector<double> trial_;
};

}  // namespace firesteel
