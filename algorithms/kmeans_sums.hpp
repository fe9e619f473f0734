// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "firesteel/algorithms/kmeans_bounds.hpp"
#include "firesteel/algorithms/kmeans_points.hpp"
#include "firesteel/core/canonical_sum.hpp"

namespace firesteel::detail {

/// Labels of this rank's rows and the weighted sums of the clusters they make, Σ w·(x − shift) and Σ w. Only
/// rows whose label changes are touched: their terms move from one exact sum to another (TwoLimbTerms), so
/// the sums depend on labels and data alone, not on the way there. Columns too wide for that are summed anew
/// by the canonical tree. Memory: k·2·(columns + 1) whole numbers for the sums and for each thread.
class ClusterSums {
 public:
  ClusterSums(const KMeansPoints& points, Index clusters);

  /// Labels every row with its nearest centre and moves the sums along. Collective; cost at most one pass,
  /// less the rows whose label CentreBounds shows to stand, and one allreduce of k·2·(columns + 1) whole
  /// numbers.
  void assign(std::span<const double> centres);

  std::span<const std::int32_t> labels() const {
    return std::span(labels_).first(static_cast<std::size_t>(points_.local_rows()));
  }
  /// False for a cluster without weight.
  bool occupied(Index cluster) const { return weight(cluster).high > 0; }
  /// Component j of the cluster's weighted mean; the cluster must be occupied.
  double mean(Index cluster, Index j) const;
  /// Σ over clusters of Σ w·‖x − c‖² in units of points.unit()², by the identity
  /// Σ w‖x − shift‖² + Σ_c (W_c‖δ_c‖² − 2 δ_c·S_c), δ = c − shift: accurate to rounding of the first term.
  double cost(std::span<const double> centres) const;

 private:
  /// What threads find, each by itself.
  struct Found {
    std::vector<std::int64_t> moved;  ///< of the sums
    Index searched = 0;               ///< rows
    Index changed = 0;                ///< labels
  };
  void assign_block(const CentreSearch& search, Index block, Found& found);
  void search_block(const CentreSearch& search, Index block, Found& found);
  /// Compares labels of tiles with those found, and moves rows.
  void take_labels(Index first, Index count, const std::int32_t* labels, Found& found);
  /// Gives the rows of `changed` (bit r: row r of the tile) the labels found and moves their terms.
  void move_rows(Index tile, std::uint32_t changed, const std::int32_t* found, std::int64_t* moved);
  void finish_pass();
  void sum_wide_columns();
  WideSum sum(Index cluster, Index j) const;
  WideSum weight(Index cluster) const { return sum(cluster, points_.columns()); }

  const KMeansPoints& points_;
  Index clusters_;
  Index length_;                        ///< whole numbers a cluster
  AlignedVector<std::int32_t> labels_;  ///< padded to whole tiles
  CentreBounds bounds_;
  BoundsUse use_;
  std::vector<std::int64_t> totals_;
  std::vector<std::int64_t> change_;      ///< of the totals in one pass
  std::vector<Found> found_;              ///< one a thread
  std::unique_ptr<CentreSearch> search_;  ///< made in the first pass
  std::vector<Index> wide_place_;         ///< of a column among the wide ones, or −1
  std::vector<double> wide_totals_;       ///< clusters x wide columns
};

}  // namespace firesteel::detail
