// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <vector>

#include "firesteel/algorithms/logistic_objective.hpp"

namespace firesteel {

/// Where a fit begins that first fits a sample of its rows, and the metric of its steps.
struct SampleStart {
  std::vector<double> point;   ///< the sample's optimum, nearly
  std::vector<double> factor;  ///< Cholesky factor of the sample's Hessian there, size x size
};

/// Fits a sample by Newton's method from `start`. With p parameters it has 1000·p to 2000·p rows, a 64th of
/// all where that lies between: then its optimum is off by about √(p/rows), 3 %, of the coefficients' size,
/// and steps in its metric shrink what is left to about that share each. Pieces of at most 256 consecutive
/// rows, evenly spaced by global row number, so that the sample is the same on any ranks. Replicated result;
/// none where the rows are fewer than ten such samples, or the sample's optimum is not finite. Memory: the
/// sample, while it is fitted. Collective. Source: Erdogdu, Bayati & Dicker 2016, arXiv:1611.06675, and Byrd
/// et al. 2011, doi:10.1137/10079923X, on subsampled curvature.
std::optional<SampleStart> start_from_sample(const RowBlocks& data, const ColumnMoments& moments,
                                             const LogisticTargets& targets,
                                             const LogisticObjective::Options& options,
                                             const std::vector<double>& start);

}  // namespace firesteel
