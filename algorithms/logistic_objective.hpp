// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "firesteel/algorithms/logistic_class_metric.hpp"
#include "firesteel/algorithms/logistic_loss.hpp"
#include "firesteel/algorithms/logistic_single_form.hpp"
#include "firesteel/linalg/column_moments.hpp"

namespace firesteel {

/// The smooth part of penalised logistic loss, on standardised coefficients:
///
///   f(θ, b) = 1/W Σ_i w_i ℓ(y_i, z_i) + ½ Σ l2_kj θ_kj²,   z_ik = b_k + Σ_j θ_kj (x_ij − μ_j)/σ_j
///
/// ℓ: binary logistic loss (K = 1) or softmax cross-entropy (K classes). Centring is folded into the offset:
/// the data stay as they are, sparse stays sparse. A column with σ = 0 does not take part. Parameters: θ
/// (K x d, row-major), then b (K) where there is an intercept; without one μ = 0.
///
/// Margins of dense rows are kept where a line or a Hessian is expected, and where rows have many columns;
/// where one comes unexpected another pass makes them.
///
/// One evaluation reads the features once and costs one CanonicalSum of 1 + K + K·d doubles, with the metric
/// of classes K(K + 1)/2 + K more. Vectors are replicated; WideLogisticObjective slices them. Features in
/// single precision: see LogisticSingleForm.
class LogisticObjective final : public LogisticLoss {
 public:
  struct Options {
    Index outputs = 1;
    bool fit_intercept = true;
    std::vector<double> l2;     ///< K x d
    bool class_metric = false;  ///< has_metric(), where LogisticClassMetric suits
  };
  /// `targets` one a local row (binary ±1, else the class). Collective.
  LogisticObjective(const RowBlocks& data, const ColumnMoments& moments, LogisticTargets targets,
                    Options options);

  const VectorSpace& space() const override { return space_; }
  double evaluate(std::span<const double> x, std::span<double> gradient) override;
  /// Σ loss, Σ residual and Σ residual·x of a model, as the kernels of rows in double give them, that the
  /// next evaluation may be of: where it is, and margins are not kept, it makes no pass.
  struct ModelSums {
    std::vector<double> coefficients;  ///< on the original scale, K x d
    std::vector<double> offsets;
    std::vector<double> sums;
  };
  void know(ModelSums known) { known_ = std::move(known); }

  void expect_line(bool expected) override { keep_ = expected; }
  LinePoint along(double t) override;
  double smallest_margin() override;
  void accept() override;
  void hessian(std::span<double> matrix) override;
  bool has_metric() const override { return metric_.has_value(); }
  void solve_metric(std::span<double> v) override { metric_->solve(v, data_.columns()); }
  double value_noise() const override { return single_ ? single_->noise() : kDoubleNoise; }

  LinearOutputs on_original_scale(std::span<const double> x, std::vector<double>& coefficients,
                                  std::vector<double>& offsets) const override;

 protected:
  LinePoint penalty_along(double t) override;

 private:
  Index gradient_sums() const { return 1 + options_.outputs + coefficients(); }
  Index all_sums() const { return gradient_sums() + (metric_ ? metric_->sums() : 0); }
  Index coefficients() const { return options_.outputs * data_.columns(); }
  void sum_rows(std::span<const double> x, double* margins);
  template <class Model>
  void sum_by_tree(const Model& model, double* margins);
  bool keeps_margins() const;
  void know_margins();
  void scale_gradient(std::span<const double> x, std::span<double> gradient) const;
  void hessian_of_pair(Index a, Index b, std::span<double> matrix);
  void roots_of_pair(Index a, Index b, TileRange range);
  void gram_of_block(TileRange range, std::span<double> gram);
  void single_gram_of_block(TileRange range, std::span<double> gram);
  void add_gauge(std::span<double> matrix) const;

  const ColumnMoments& moments_;
  Options options_;
  VectorSpace space_;
  std::vector<double> inverse_deviation_;  ///< 0 for a constant column
  std::vector<double> centre_;             ///< μ, or 0 without an intercept
  std::optional<LogisticClassMetric> metric_;
  CanonicalSum sum_;
  std::unique_ptr<CanonicalSum> hessian_sum_;
  std::optional<ModelSums> known_;
  /// Of the last evaluation: Σ loss, Σ residual, Σ residual·x, moments of the classes.
  std::vector<double> statistic_;
  std::optional<LogisticSingleForm> single_;
  AlignedVector<double> residuals_;  ///< Hessian only
  std::vector<double> roots_;        ///< Hessian only
  AlignedVector<float> single_roots_;
  std::vector<float> single_scale_;  ///< Hessian only: 1/σ, and (c − μ)/σ below
  std::vector<float> single_shift_;
  std::vector<double> point_;
  std::vector<double> trial_;
  std::vector<double> coefficients_;  ///< of the last evaluation, on the original scale
  std::vector<double> offsets_;
  bool keep_ = true;  ///< margins of what is evaluated; sparse rows always
  bool margins_known_ = false;
  bool trial_margins_known_ = false;
};

}  // namespace firesteel
