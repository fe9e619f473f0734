// SPDX-License-Identifier: Apache-2.0
#include "firesteel/algorithms/als_ranking.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <functional>
#include <limits>

#include "firesteel/core/parallel.hpp"
#include "firesteel/linalg/score_filter.hpp"

namespace firesteel {

namespace {

constexpr Index kQueriesAtATime = 4 * kFilterQueries;  // they share a tile while it is in the first cache
constexpr Index kManyTiles = 64;                       // from here on thresholds to begin with pay,
constexpr Index kSampled = 8;                          // from one tile of so many
constexpr std::size_t kPending = 8;                    // candidates that get their products together

constexpr std::size_t at(Index i) { return static_cast<std::size_t>(i); }

struct Match {
  double score;
  std::int32_t position;
};
/// Not a number ranks last.
struct Better {
  bool operator()(const Match& a, const Match& b) const {
    const bool a_number = !std::isnan(a.score);
    const bool b_number = !std::isnan(b.score);
    if (a_number != b_number) return a_number;
    if (a_number && a.score != b.score) return a.score > b.score;
    return a.position < b.position;
  }
};

float just_below(double value) {
  return std::nextafter(static_cast<float>(value), -std::numeric_limits<float>::infinity());
}

/// The best candidates of one query so far, by products in double, and what a filter needs to find others.
class BestOfQuery {
 public:
  BestOfQuery(std::span<const double> query, const Candidates& candidates, Index top)
      : query_(query), candidates_(&candidates), top_(at(top)) {
    best_.reserve(top_);
    scale_ = scale_to_half(query);
    norm_ = norm_above(query, scale_);
    filtered_ = std::isfinite(norm_) && norm_ > 0 && candidates.finite;
    if (!filtered_)
      threshold_ = std::numeric_limits<float>::infinity();
    else if (candidates.count > 0)
      error_ = error_bound();
  }

  std::span<const double> query() const { return query_; }
  double scale() const { return scale_; }
  double norm() const { return norm_; }
  /// A candidate whose product in single precision, of projected rows, is not above this is beaten.
  float threshold() const { return threshold_; }
  /// A candidate that is not longer than this is beaten.
  double reach() const { return reach_; }

  /// rest: length of the query beyond the axes, scaled. scores: the largest that filters found in groups of
  /// candidates, without a threshold.
  void begin(float rest, std::span<float> scores) {
    if (!filtered_ || scores.size() < top_) return;
    const auto nth = scores.begin() + static_cast<std::ptrdiff_t>(top_) - 1;
    std::nth_element(scores.begin(), nth, scores.end(), std::greater<>());
    // A bound is above a product by no more than twice what lies beyond the axes.
    const double least =
        static_cast<double>(*nth) - 2 * static_cast<double>(rest) * candidates_->longest_rest - error_;
    if (std::isfinite(least)) raise(least);
  }

  /// True where the threshold has changed.
  bool add(std::uint32_t above, const std::int32_t* positions) {
    const float before = threshold_;
    for (; above != 0; above &= above - 1) {
      pending_[pending_count_++] = positions[static_cast<std::size_t>(std::countr_zero(above))];
      if (pending_count_ == kPending) take_pending();
    }
    return threshold_ != before;
  }

  /// The best, best first.
  std::vector<Match> best() {
    take_pending();
    // Products of 0 are alike: the first candidates are the best.
    if (norm_ == 0) take_all(static_cast<Index>(top_));
    if (best_.size() < top_) take_all(candidates_->count);
    return std::move(best_);
  }

 private:
  /// Of a scaled product of single precision, its sum beginning with a threshold, rounding in double
  /// included; infinite where products in double overflow or vanish.
  double error_bound() const {
    const double scales = scale_ * candidates_->scale;
    const double largest = norm_ * candidates_->norms.front();
    if (!std::isfinite(largest / scale_ / candidates_->scale)) return std::numeric_limits<double>::infinity();
    return 2 * score_error(candidates_->rank) * largest +
           static_cast<double>(candidates_->rank) * 0x1p-1074 * scales;
  }

  void take_pending() {
    double scores[kPending];
    if (pending_count_ == 0) return;
    exact_scores(query_.data(), candidates_->factors.data(), candidates_->rank,
                 std::span(pending_).first(pending_count_), scores);
    bool changed = false;
    for (std::size_t i = 0; i < pending_count_; ++i) changed = take({scores[i], pending_[i]}) || changed;
    pending_count_ = 0;
    if (!changed || best_.size() < top_ || !filtered_) return;
    raise(best_.back().score * scale_ * candidates_->scale);
  }

  /// `top` candidates have scaled products of at least `least`.
  void raise(double least) {
    threshold_ = std::max(threshold_, just_below(least - 2 * error_));
    reach_ = std::max(reach_, (least - 2 * error_) / norm_ * (1 - 0x1p-40));
  }

  /// best_ is sorted, best first.
  bool take(const Match& match) {
    if (best_.size() == top_) {
      if (match.score < best_.back().score || !Better()(match, best_.back())) return false;
      best_.pop_back();
    }
    best_.insert(std::upper_bound(best_.begin(), best_.end(), match, Better()), match);
    return true;
  }

  void take_all(Index count) {
    best_.clear();
    for (Index p = 0; p < count; ++p) {
      pending_[pending_count_++] = static_cast<std::int32_t>(p);
      if (pending_count_ == kPending) take_pending();
    }
    take_pending();
  }

  std::span<const double> query_;
  const Candidates* candidates_;
  std::size_t top_;
  bool filtered_ = false;  ///< single precision can tell candidates apart
  double scale_ = 1;
  double norm_ = 0;
  double error_ = 0;
  float threshold_ = -std::numeric_limits<float>::infinity();
  double reach_ = -std::numeric_limits<double>::infinity();
  std::vector<Match> best_;
  std::array<std::int32_t, kPending> pending_{};
  std::size_t pending_count_ = 0;
};

/// Up to kFilterQueries queries, column by column, for score_above().
struct PackedQueries {
  std::vector<float> columns;
  std::array<float, at(kFilterQueries)> thresholds;
  double reach = std::numeric_limits<double>::infinity();  ///< the least of all
  std::array<float, at(kFilterQueries)> rests{};           ///< lengths beyond the axes
};

/// Runs all candidates past some queries.
class Filter {
 public:
  explicit Filter(const Candidates& candidates) : candidates_(candidates) {}

  void add(std::span<const double> query, Index top) {
    if (lists_.size() % at(kFilterQueries) == 0) {
      groups_.push_back({std::vector<float>(at(candidates_.columns * kFilterQueries)), {}});
      // A place without a query: nothing is above.
      groups_.back().thresholds.fill(std::numeric_limits<float>::infinity());
    }
    const std::size_t place = lists_.size() % at(kFilterQueries);
    const BestOfQuery& list = lists_.emplace_back(query, candidates_, top);
    groups_.back().thresholds[place] = list.threshold();
    if (list.threshold() == std::numeric_limits<float>::infinity()) return;
    groups_.back().reach = list.reach();
    groups_.back().rests[place] = project(candidates_, query, list.scale(), list.norm(), kFilterQueries,
                                          groups_.back().columns.data() + place);
  }

  std::vector<BestOfQuery>& run() {
    const auto tiles = static_cast<Index>(candidates_.norms.size());
    for (std::size_t g = 0; tiles >= kManyTiles && g < groups_.size(); ++g) begin_group(g, tiles / kSampled);
    for (Index tile = 0; tile < tiles; ++tile) {
      bool wanted = false;
      for (std::size_t g = 0; g < groups_.size(); ++g) wanted = run_group(g, tile) || wanted;
      if (!wanted) break;
    }
    return lists_;
  }

 private:
  std::span<BestOfQuery> lists_of(std::size_t group) {
    const std::size_t first = group * at(kFilterQueries);
    return std::span(lists_).subspan(first, std::min(at(kFilterQueries), lists_.size() - first));
  }

  void find_reach(PackedQueries& packed, std::span<const BestOfQuery> lists) const {
    packed.reach = std::numeric_limits<double>::infinity();
    for (const BestOfQuery& list : lists)
      if (list.threshold() < std::numeric_limits<float>::infinity())
        packed.reach = std::min(packed.reach, list.reach());
  }

  /// Thresholds to begin with, from the first tiles: the largest scores of candidates at the same place in
  /// all of these.
  void begin_group(std::size_t group, Index tiles) {
    PackedQueries& packed = groups_[group];
    most_.fill(-std::numeric_limits<float>::infinity());
    for (Index tile = 0; tile < tiles; ++tile)
      raise_most(packed.columns.data(), candidates_.tiles.data() + tile * kTileRows * candidates_.columns,
                 candidates_.columns, most_.data());
    const auto lists = lists_of(group);
    for (std::size_t q = 0; q < lists.size(); ++q) {
      lists[q].begin(packed.rests[q], std::span(most_).subspan(q * at(kTileRows), at(kTileRows)));
      packed.thresholds[q] = lists[q].threshold();
    }
    find_reach(packed, lists);
  }

  /// False where no query can gain from this tile on.
  bool run_group(std::size_t group, Index tile) {
    PackedQueries& packed = groups_[group];
    if (candidates_.norms[at(tile)] < packed.reach) return false;
    const Index first = tile * kTileRows;
    if (!score_above(packed.columns.data(), candidates_.tiles.data() + first * candidates_.columns,
                     candidates_.columns, packed.thresholds.data(), above_.data()))
      return true;
    const Index in_tile = std::min(kTileRows, candidates_.count - first);
    const std::uint32_t real = in_tile == kTileRows ? ~std::uint32_t{0} : (std::uint32_t{1} << in_tile) - 1;
    const auto lists = lists_of(group);
    bool changed = false;
    for (std::size_t q = 0; q < lists.size(); ++q) {
      if ((above_[q] & real) == 0) continue;
      if (!lists[q].add(above_[q] & real, candidates_.order.data() + first)) continue;
      packed.thresholds[q] = lists[q].threshold();
      changed = true;
    }
    if (changed) find_reach(packed, lists);
    return true;
  }

  const Candidates& candidates_;
  std::vector<PackedQueries> groups_;
  std::vector<BestOfQuery> lists_;
  std::array<std::uint32_t, at(kFilterQueries)> above_{};
  alignas(64) std::array<float, at(kFilterQueries* kTileRows)> most_{};
};

}  // namespace

BestMatches best_matches(const std::vector<double>& factors, std::span<const std::int32_t> which,
                         const Candidates& candidates, Index top, int threads) {
  const Index rank = candidates.rank;
  const auto queries = static_cast<Index>(which.size());
  BestMatches result;
  result.count = std::min(top, candidates.count);
  result.positions.resize(at(queries * result.count));
  result.scores.resize(at(queries * result.count));
  parallel_for(threads, (queries + kQueriesAtATime - 1) / kQueriesAtATime, [&](Index task, int) {
    const Index first = task * kQueriesAtATime;
    Filter filter(candidates);
    for (Index q = first; q < std::min(queries, first + kQueriesAtATime); ++q)
      filter.add(std::span(factors).subspan(at(which[at(q)] * rank), at(rank)), result.count);
    Index next = first * result.count;
    for (BestOfQuery& list : filter.run())
      for (const Match& match : list.best()) {
        result.positions[at(next)] = match.position;
        result.scores[at(next)] = match.score;
        ++next;
      }
  });
  return result;
}

}  // namespace firesteel
