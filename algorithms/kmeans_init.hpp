// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "firesteel/algorithms/kmeans_points.hpp"

namespace firesteel::detail {

/// Initial centres, row-major, replicated: `count` of them, or as many as there are distinct rows of positive
/// weight where those are fewer. Every draw is keyed by (seed, purpose, global row).
///
/// random: the rows with the smallest keys, in that order, repeated values left out. Collective; cost one
/// gathering of `count` rows, and one pass over the data for each time that repeated values left too few.
std::vector<double> random_centres(const KMeansPoints& points, Index count, std::uint64_t seed);

/// k-means||: the row with the smallest key; then in each of `steps` rounds every row joins the candidates
/// with probability min(1, 2·count·w·d²/φ), d its distance to the candidates so far and φ = Σ w·d²; too few
/// candidates are filled up with the rows of smallest keys that differ from all. Candidates weigh as many
/// rows as are nearest to them; weighted k-means++ chooses among them, and weighted Lloyd steps improve the
/// choice. Source: Bahmani et al. 2012, arXiv:1203.6402. Collective; cost steps + 1 passes with about 2·count
/// centres.
///
/// unit_length: centres of candidates are scaled to length 1 (cosine distance).
std::vector<double> parallel_centres(const KMeansPoints& points, Index count, Index steps, std::uint64_t seed,
                                     bool unit_length);

/// Scales a vector to length 1; false, and unchanged, where its length is zero. Local.
bool scale_to_unit_length(std::span<double> vector);

}  // namespace firesteel::detail
