// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <optional>
#include <span>
#include <vector>

#include "firesteel/algorithms/logistic_loss.hpp"
#include "firesteel/linalg/wide_columns.hpp"

namespace firesteel {

/// LogisticObjective for sparse data with very many columns: the same function, with vectors sliced over the
/// ranks by columns, so that no rank holds all parameters. Order of parameters: θ column by column (θ_1j …
/// θ_Kj), then b where there is an intercept; the slices are those of `columns`.
///
/// One evaluation reads the rank's non-zeros twice, once by row and once by column, and costs two
/// CanonicalSums of 1 + K doubles, and for each column that occurs in a rank's rows 8·K bytes from its owner
/// and 16·K bytes to it. Memory a row: 8·(3K + 2) bytes.
class WideLogisticObjective final : public LogisticLoss {
 public:
  struct Options {
    bool fit_intercept = true;
    std::vector<double> l2;  ///< of this rank's slice, K for each column
  };
  /// moments: of the own slice; `columns` made with the extra column where there is an intercept. Collective.
  WideLogisticObjective(const RowBlocks& data, WideColumns& columns, const ColumnMoments& moments,
                        LogisticTargets targets, Index outputs, Options options);

  const VectorSpace& space() const override { return space_; }
  double evaluate(std::span<const double> x, std::span<double> gradient) override;
  void accept() override;
  void hessian(std::span<double> matrix) override;
  double value_noise() const override { return noise_; }
  LinearOutputs on_original_scale(std::span<const double> x, std::vector<double>& coefficients,
                                  std::vector<double>& offsets) const override;

 protected:
  LinePoint penalty_along(double t) override;

 private:
  /// Coefficients of the slice on the original scale (`rounded`: to float), into `coefficients`; offsets and,
  /// last, Σ l2·x².
  std::span<const double> to_original_scale(std::span<const double> x, std::vector<double>& coefficients,
                                            bool rounded) const;
  std::span<const double> sum_rows(std::span<const double> offsets);

  WideColumns& columns_;
  Options options_;
  VectorSpace space_;
  std::size_t slice_columns_;  ///< without the intercept
  bool single_ = false;
  double noise_ = kDoubleNoise;
  std::vector<double> inverse_deviation_;
  std::vector<double> centre_;
  std::vector<double> mean_;  ///< single precision only
  mutable CanonicalSum slice_sum_;
  CanonicalSum row_sum_;
  AlignedVector<double> residuals_;
  std::vector<double> coefficients_;
  std::vector<double> point_;
  std::vector<double> trial_;
  /// Σ l2·p², Σ l2·p·δ and Σ l2·δ² with p the point and δ = trial − p: none until a line is searched.
  std::optional<std::array<double, 3>> penalty_terms_;
};

}  // namespace firesteel
