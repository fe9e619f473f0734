// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "firesteel/core/context.hpp"

namespace firesteel {

/// A row as a ranking sees it.
struct ScoredRow {
  double score = 0;   ///< higher: more likely positive
  double weight = 0;  ///< positive
  Index row = 0;      ///< global number, distinct
  bool positive = false;
};

/// Areas under the curves of a ranking; NaN where undefined.
struct RankingAreas {
  double roc = 0;               ///< undefined without a positive or without a negative row
  double precision_recall = 0;  ///< undefined without a positive row
};

/// Exact areas under the ROC and the precision-recall curve: one point for each distinct score, rows of equal
/// score taken together, trapezoids between the points. ROC starts at (0, 0); precision-recall starts at
/// (0, precision of the first point), as MLlib's does. A score that is NaN makes both undefined.
///
/// `rows` are this rank's, in any order, and are consumed. Rows are sorted over all ranks by (score
/// descending, row), so that the result is the same bits for any dealing of rows to ranks; with weights of 1
/// and up to 2²⁶ rows the ROC area is rounded once. Collective.
///
/// Cost: a sample sort, two exchanges of 32 bytes a row, and one gather of 48 bytes for every 8192 rows.
RankingAreas ranking_areas(const Context& context, std::vector<ScoredRow> rows);

}  // namespace firesteel
