// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <vector>

#include "firesteel/core/canonical_sum.hpp"
#include "firesteel/core/row_blocks.hpp"
#include "firesteel/linalg/logistic_kernels.hpp"
#include "firesteel/linalg/objective.hpp"

namespace firesteel {

/// Logistic loss as a sum over rows, whatever becomes of the features: margins at the current and at the
/// trial point. Memory a row: 8·(2K + 2) bytes.
class LogisticLoss : public Objective {
 public:
  /// `targets` one a local row (binary ±1, else the class). Collective.
  LogisticLoss(const RowBlocks& data, LogisticTargets targets, Index outputs, double weight_sum);

  void collectively(FunctionRef<void()> local) override;
  LinePoint along(double t) override;
  /// Smallest margin by which a row of positive weight is on its class's side at the current point; positive:
  /// the classes are separated. Collective.
  virtual double smallest_margin();
  /// Coefficients (K x d, row-major) and intercepts (K) on the original scale, replicated. Collective.
  virtual LinearOutputs on_original_scale(std::span<const double> x, std::vector<double>& coefficients,
                                          std::vector<double>& offsets) const = 0;

 protected:
  /// Value and slope of the penalty at point + t·(trial − point).
  virtual LinePoint penalty_along(double t) = 0;

  /// Margins have room from here on. Collective.
  void make_room_for_margins();

  const RowBlocks& data_;
  LogisticTargets targets_;
  Index outputs_;
  double weight_sum_;
  AlignedVector<double> margins_;  ///< at the current point
  AlignedVector<double> trial_margins_;

 private:
  CanonicalSum line_sum_;
  bool margins_made_ = false;
};

}  // namespace firesteel
