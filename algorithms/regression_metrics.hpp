// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <vector>

#include "firesteel/algorithms/learner.hpp"
#include "firesteel/core/function_ref.hpp"

namespace firesteel {

/// Numbers to compare, one for each of this rank's rows; the ranks' rows, in rank order, are the global rows.
struct RegressionRows {
  std::span<const double> truth;
  std::span<const double> prediction;
  std::span<const double> weights = {};  ///< empty on all ranks: all 1. A row of weight 0 is left out.
};

/// Figures of merit of predicted numbers, weighted:
///
///   rmse  √mse
///   mse   Σ w (y − ŷ)² / Σ w
///   mae   Σ w |y − ŷ| / Σ w
///   r2    1 − Σ w (y − ŷ)² / Σ w (y − ȳ)², ȳ = Σ w y / Σ w
///
/// NaN where undefined: no row of positive weight, a NaN among the counted rows; r2 also where the truth is
/// constant. All ranks return the same bits however rows are dealt to ranks. Collective; moves 24 bytes a row
/// at most. Throws internal_error where lengths contradict.
Metrics regression_metrics(const Context& context, const RegressionRows& rows);

/// The same of rows that come piece by piece, `count` of them here: next(truth, prediction) fills in the next
/// piece, and says whether there was one. They lie in scratch where the context has no room. Collective.
Metrics regression_metrics(
    const Context& context, Index count,
    FunctionRef<bool(std::vector<double>& truth, std::vector<double>& prediction)> next);

}  // namespace firesteel
