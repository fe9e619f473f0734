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

/// The same for rows whose nearest centres are known. Collective.
Assignment measure_rows(const KMeansPoints& points, std::span<const double> centres,
                        const std::vector<std::int32_t>& labels);

/// Σ w·‖x − c‖², in units of points.unit()². Collective.
double assignment_cost(const KMeansPoints& points, const Assignment& assignment);

/// Rows of positive weight in each cluster. Collective.
std::vector<std::int64_t> cluster_sizes(const KMeansPoints& points, const Assignment& assignment,
                                        Index count);

/// Weighted mean of (b − a)/max(a, b), a the mean squared distance of a row to the other rows of its cluster,
/// b the smallest mean squared distance to another cluster; 0 for the only row of a cluster; NaN where fewer
/// than two clusters have rows. Means weigh rows. Collective.
double silhouette(const KMeansPoints& points, const Assignment& assignment, Index count);

}  // namespace firesteel::detail
