// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "firesteel/algorithms/learner.hpp"

namespace firesteel {

/// A fitted k-means. Replicated.
struct KMeansModel {
  Matrix cluster_centers;  ///< k x features; unit length for cosine
  std::string distance_measure = "euclidean";
  double training_cost = 0;  ///< Σ w·‖x − c‖² (cosine: Σ w·(1 − cos)) of the training rows
  std::vector<std::int64_t> cluster_sizes;  ///< training rows of positive weight in each cluster
  Record parameters;                        ///< of the fit, as "parameters/NAME"
  FitSummary summary;
  FeatureSchema schema;

  Index features() const { return cluster_centers.columns; }
  void to_record(Record& record) const;
  static KMeansModel from_record(const Record& record);
  void describe_scoring(ParameterVisitor&) {}

  /// Columns prediction (the nearest centre, the lowest index in a tie) and distance (Euclidean, not squared;
  /// cosine: 1 − cos). Collective.
  ColumnTable predict(const RowBlocks& data) const;
  /// training_cost of these rows, and silhouette: MLlib's, with squared Euclidean or cosine distance, from
  /// the sums of the clusters (exact, O(rows·k·features)); NaN where fewer than two clusters have rows.
  /// Weighted. Collective.
  Metrics evaluate(const RowBlocks& data) const;
};

/// Lloyd's k-means. Minimises Σ_i w_i ‖x_i − c_a(i)‖² over centres c and labels a.
///
/// Labels are exact: the nearest centre by distances summed in double, the lowest index in a tie, for either
/// precision of the rows. Centres are the weighted means of their rows to the last bit or so, from sums
/// without rounding (TwoLimbTerms). A cluster left without rows keeps its centre.
///
/// Notation: X rows x d, partitioned | C k x d, replicated | labels, one a row, partitioned.
/// Source:   Lloyd 1982, doi:10.1109/TIT.1982.1056489; k-means||: Bahmani et al. 2012, arXiv:1203.6402.
/// Cost an iteration and rank: 2·rows·k·d flops, reads X once, one allreduce of 2·k·(d + 1) whole numbers.
/// Memory: 4 bytes a row for labels; 12 bytes a row during k-means||; a copy of the rows for cosine.
struct KMeans {
  using Data = RowBlocks;
  using Model = KMeansModel;

  std::optional<Index> k;  ///< unset: the rows of `init`, else 2
  Index max_iter = 20;
  double tol = 1e-4;
  std::string init_mode = "k-means||";  ///< or "random"
  Index init_steps = 2;
  Matrix init;                                 ///< initial centres, k x features; empty: by init_mode
  std::string distance_measure = "euclidean";  ///< or "cosine"
  std::uint64_t seed = 0;

  void describe(ParameterVisitor& visitor);
  /// Collective. Throws bad_parameter for a parameter out of range or k other than the rows of init,
  /// bad_input for k above the rows, a width of init other than the data's, no row of positive weight, or
  /// rows that check_rows refuses.
  KMeansModel fit(const RowBlocks& data) const;
  /// Label, and while centres are sought weight, distance and nearest candidate.
  Index row_bytes() const { return 4 + 8 + 8 + 4; }
};

}  // namespace firesteel
