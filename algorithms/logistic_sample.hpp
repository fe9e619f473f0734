// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <utility>
#include <vector>

#include "firesteel/algorithms/logistic_objective.hpp"
#include "firesteel/core/memory.hpp"

namespace firesteel {

/// Where a fit begins that first fits a sample of its rows, and the metric of its steps.
struct SampleStart {
  std::vector<double> point;         ///< the sample's optimum, nearly
  std::vector<double> factor;        ///< Cholesky factor of the sample's Hessian near it, size x size
  std::vector<double> coefficients;  ///< what the point is on the original scale, K x d
  std::vector<double> offsets;       ///< likewise, K
};

struct LogisticSampleRows {
  RowBlocks rows;
  LogisticTargets targets;
  std::optional<MemoryReservation> reserved;
};

/// A sample of the rows of a fit. With p parameters it has 1000·p to 2000·p rows, a 64th of all where that
/// lies between: then its optimum is off by about √(p/rows), 3 %, of the coefficients' size, and steps in its
/// metric shrink what is left to about that share each. Pieces of at most 256 consecutive rows, evenly spaced
/// by global row number, so that the sample is the same on any ranks. Memory: the sample. Source: Erdogdu,
/// Bayati & Dicker 2016, arXiv:1611.06675, and Byrd et al. 2011, doi:10.1137/10079923X, on subsampled
/// curvature.
class LogisticSample {
 public:
  /// None where the rows are fewer than ten such samples, or a feature of the sample is not finite.
  /// Collective.
  static std::optional<LogisticSample> take(const RowBlocks& data, const LogisticTargets& targets,
                                            Index outputs, Index parameters);

  /// Of the sample's rows.
  const ColumnMoments& moments() const { return moments_; }

  /// Newton's method from `start` on an eighth of the sample, from there on all of it. `units`: as
  /// LogisticObjective takes moments. Replicated result; none where the optimum is not finite. Collective.
  std::optional<SampleStart> fit(const ColumnMoments& units, const LogisticObjective::Options& options,
                                 const std::vector<double>& start) const;

 private:
  explicit LogisticSample(LogisticSampleRows rows) : rows_(std::move(rows)) {}

  LogisticSampleRows rows_;
  ColumnMoments moments_;
};

}  // namespace firesteel
