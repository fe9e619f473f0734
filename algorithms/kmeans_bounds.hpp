// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "firesteel/algorithms/kmeans_points.hpp"

namespace firesteel::detail {

/// Which labels stand although centres moved. For a row x of cluster a, with g a lower bound of
/// min over c ≠ a of ‖x − c‖ − ‖x − a‖, a move of every centre c by δ_c leaves at least
/// g − δ_a − max over c ≠ a of δ_c. A row's slack is g plus what its cluster has spent since the start, the
/// sum of these two terms over all moves; it need not be searched while slack > spent. All roundings are
/// outward, so labels are those of a full search. Memory: 4 bytes a row and 4 a tile. Source: Hamerly 2010,
/// doi:10.1137/1.9781611972801.12, with the two bounds of a row in one number. Local.
class CentreBounds {
 public:
  CentreBounds() = default;
  CentreBounds(Index tiles, Index clusters, Index columns);

  /// Rows of up to CentreSearch::kTilesAtOnce tiles.
  struct Rows {
    std::array<std::uint32_t, CentreSearch::kTilesAtOnce> stale;  ///< a bit a row
    std::array<float, CentreSearch::kTilesAtOnce> least;          ///< of what is left of the others
  };

  /// Centres are now these (k x columns); lengths are taken times `scale`. Before the rows are looked at.
  void move(std::span<const double> centres, double scale);
  /// Finds rows of tiles [first, first + count) that have to be searched; false if there are none.
  bool find_stale(Index first, Index count, const std::int32_t* labels, Rows& rows);
  /// No row's label is known to stand: they were found otherwise.
  void forget();
  /// Takes over what CentreSearch::nearest() found for the rows in rows.stale.
  void renew(Index first, Index count, const std::int32_t* labels, const float* gaps, const Rows& rows);

 private:
  Index clusters() const { return static_cast<Index>(spent_.size()); }
  void set_tile_slack(Index tile, float least);

  Index columns_ = 0;
  std::vector<double> centres_;  ///< of the last move
  std::vector<double> spent_;    ///< by each cluster
  double most_ = 0;  ///< a bound of what any cluster has spent since any time: Σ of the largest terms
  std::vector<float> spent_up_;    ///< from place 1; place 0 belongs to rows without label
  std::vector<float> spent_down_;  ///< likewise
  float most_up_ = 0;
  float most_down_ = 0;
  AlignedVector<float> slack_;       ///< padded to whole tiles; negative: none
  AlignedVector<float> tile_slack_;  ///< smallest of the tile's gaps, plus most_ at the time
};

/// Whether the next pass goes by bounds. A row of few columns is compared with few centres in less time than
/// is spent on what spares it, unless most are spared: such passes search all rows until few labels change,
/// and again, twice as long each time, where bounds turn out to spare less than half. Labels do not depend on
/// it. Local.
class BoundsUse {
 public:
  BoundsUse() = default;
  BoundsUse(Index clusters, Index columns);

  bool bounded() const { return bounded_; }
  /// What a pass was: `rows` there are, those searched, and those whose label changed.
  void note_pass(Index rows, Index searched, Index changed);

 private:
  bool small_ = false;
  bool bounded_ = true;
  Index passes_ = 0;     ///< without bounds, to come at least
  Index next_wait_ = 1;  ///< passes without bounds after the next with
};

}  // namespace firesteel::detail
