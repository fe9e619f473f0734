// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "firesteel/algorithms/kmeans_points.hpp"

namespace firesteel::detail {

/// The nearest centre of every local row and the squared distance to it, in units of points.unit()².
struct Assignment {
  std::vector<std::int32_t> labels;
  std::vector<double> distances;
};
/// Collective (one pass).
Assignment assign_rows(const KMeansPoints& points, std::span<const double> centres);

/// What labels and centres amount to.
struct AssignmentTotals {
  double cost = 0;                  ///< Σ w·‖x − c‖², in units of points.unit()²
  std::vector<std::int64_t> sizes;  ///< rows of positive weight in each cluster
};
/// Totals of the rows with the given labels, one a local row; keeps nothing of single rows. Collective (one
/// pass).
AssignmentTotals total_assignment(const KMeansPoints& points, std::span<const double> centres,
                                  std::span<const std::int32_t> labels);

/// Σ w·‖x − c‖², in units of points.unit()². Collective.
double assignment_cost(const KMeansPoints& points, const Assignment& assignment);

/// Weighted mean of (b − a)/max(a, b), a the mean squared distance of a row to the other rows of its cluster,
/// b the smallest mean squared distance to another cluster; 0 for the only row of a cluster; NaN where fewer
/// than two clusters have rows. Means weigh rows. Collective.
double silhouette(const KMeansPoints& points, const Assignment& assignment, Index count);

}  // namespace firesteel::detail
