// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <vector>

#include "firesteel/algorithms/learner.hpp"
#include "firesteel/core/function_ref.hpp"

namespace firesteel {

/// Figures of merit of a classifier, weighted by the row weights; dropped rows and rows of weight 0 are left
/// out.
///
///   accuracy            Σ w [ŷ = y] / Σ w
///   log_loss            −Σ w log(p_y) / Σ w, p clipped to [1e−15, 1 − 1e−15]
///   area_under_roc      exact, ties by trapezoid; two classes only (see ranking_areas)
///   area_under_pr       the same for precision and recall
///   f1                  F1 of each class, averaged with the classes' weights (MLlib's f1)
///   weighted_precision  precision of each class, averaged so; 0 for a class that is never predicted
///   weighted_recall     recall of each class, averaged so
///   f1_positive         F1 of class 1; two classes only
///
/// Undefined figures (no rows, one class only, more than two classes) are NaN. All ranks return the same
/// bits, for any number of ranks and threads.
///
/// Arguments, one value for each of this rank's rows of `data` (padding left out): true_class and
/// predicted_class in [0, classes), probabilities row-major, local rows x classes. Collective. Throws
/// internal_error where lengths contradict.
Metrics classification_metrics(const RowBlocks& data, std::span<const Index> true_class,
                               std::span<const double> probabilities, std::span<const Index> predicted_class,
                               Index classes);

/// Writes the probabilities of a block's rows, row-major, and their predicted classes. Called by any thread.
using BlockPredictor =
    FunctionRef<void(Index block, std::span<double> probabilities, std::vector<Index>& predicted)>;

/// The same, predicting block by block while the rows are looked at: of all rows only scores are kept, and
/// those of two classes alone. `true_class` is consumed.
Metrics classification_metrics(const RowBlocks& data, std::vector<Index> true_class, Index classes,
                               BlockPredictor predict);

}  // namespace firesteel
