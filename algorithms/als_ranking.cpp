// SPDX-License-Identifier: Apache-2.0
#include "firesteel/algorithms/als_ranking.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <numeric>

#include "firesteel/core/parallel.hpp"
#include "firesteel/linalg/score_filter.hpp"

namespace firesteel {

namespace {

constexpr Index kQueriesAtATime = 4 * kFilterQueries;  // they share a tile while it is in the first cache
constexpr Index kRoom = 64;                            // of a shortlist beyond what is asked for
constexpr double kNormSlack = 1 + 0x1p-40;             // rounding of a norm

constexpr std::size_t at(Index i) { return static_cast<std::size_t>(i); }

struct Match {
  double score;
  std::int32_t position;
};
/// Not a number ranks last.
bool better(const Match& a, const Match& b) {
  const bool a_number = !std::isnan(a.score);
  const bool b_number = !std::isnan(b.score);
  if (a_number != b_number) return a_number;
  if (a_number && a.score != b.score) return a.score > b.score;
  return a.position < b.position;
}

double norm_of(std::span<const double> x, double scale) {
  double square = 0;
  for (const double value : x) square += (value * scale) * (value * scale);
  return std::sqrt(square) * kNormSlack;
}

/// The power of two that brings the largest of the numbers into [1/2, 1); 1 where all are 0 or one is not
/// finite.
double scale_of(std::span<const double> x) {
  double largest = 0;
  for (const double value : x) largest = std::max(largest, std::fabs(value));
  if (!(largest > 0) || !std::isfinite(largest)) return 1;
  int exponent = 0;
  std::frexp(largest, &exponent);
  return std::ldexp(1.0, std::min(-exponent, 1022));
}

float just_below(double value) {
  return std::nextafter(static_cast<float>(value), -std::numeric_limits<float>::infinity());
}

/// Candidates of one query that may belong to the best. With b the bound of the single-precision error, a
/// candidate more than 2b below the `top`-th best single-precision score is beaten by `top` others.
class Shortlist {
 public:
  struct Entry {
    float score;
    std::int32_t position;
  };

  Shortlist(std::span<const double> query, const Candidates& candidates, Index top)
      : query_(query), candidates_(&candidates), top_(at(top)), limit_(2 * top_ + at(kRoom)) {
    scale_ = scale_of(query);
    norm_ = norm_of(query, scale_);
    if (norm_ == 0) {  // every product is 0: the first candidates are the best
      threshold_ = std::numeric_limits<float>::infinity();
      for (std::int32_t p = 0; p < static_cast<std::int32_t>(top); ++p) entries_.push_back({0, p});
    } else if (!candidates.norms.empty()) {
      error_ = error_bound();
    }
  }

  double scale() const { return scale_; }
  float threshold() const { return threshold_; }
  /// Whether no candidate of norm up to `norm` can get in.
  bool complete_beyond(double norm) const { return norm_ * norm + error_ < static_cast<double>(threshold_); }

  void add(const float* scores, std::uint32_t above, const std::int32_t* positions) {
    for (; above != 0; above &= above - 1) {
      const auto i = static_cast<std::size_t>(std::countr_zero(above));
      entries_.push_back({scores[i], positions[i]});
    }
    if (entries_.size() >= limit_) shorten();
  }

  /// The best of the list, with their products in double.
  std::vector<Match> best() {
    if (entries_.size() > top_) drop_by_score();
    if (entries_.size() < top_) take_all();
    return exact_best();
  }

 private:
  /// Of a scaled score, rounding in double included; infinite where products in double overflow or vanish.
  double error_bound() const {
    const double scales = scale_ * candidates_->scale;
    const double largest = norm_ * candidates_->norms.front();
    if (!std::isfinite(largest / scale_ / candidates_->scale)) return std::numeric_limits<double>::infinity();
    return score_error(candidates_->rank) * largest +
           static_cast<double>(candidates_->rank) * 0x1p-1074 * scales;
  }

  /// Raises the threshold by the single-precision scores and drops what is not above it.
  void drop_by_score() {
    std::nth_element(entries_.begin(), entries_.begin() + static_cast<std::ptrdiff_t>(top_) - 1,
                     entries_.end(), [](const Entry& a, const Entry& b) { return a.score > b.score; });
    raise(static_cast<double>(entries_[top_ - 1].score) - 2 * error_);
    std::erase_if(entries_, [&](const Entry& entry) { return !(entry.score > threshold_); });
  }
  void raise(double bound) { threshold_ = std::max(threshold_, just_below(bound)); }

  void shorten() {
    drop_by_score();
    if (2 * entries_.size() < limit_ + top_) return;
    // Many nearly equal scores: products in double tell them apart, so that the list stays short.
    const auto kept = exact_best();
    std::sort(entries_.begin(), entries_.end(),
              [](const Entry& a, const Entry& b) { return a.position < b.position; });
    std::vector<Entry> entries;
    for (const Match& match : kept)
      entries.push_back(*std::lower_bound(
          entries_.begin(), entries_.end(), match.position,
          [](const Entry& entry, std::int32_t position) { return entry.position < position; }));
    entries_ = std::move(entries);
    raise(kept.back().score * scale_ * candidates_->scale - error_);
  }
  void take_all() {
    entries_.clear();
    for (std::int32_t p = 0; p < static_cast<std::int32_t>(candidates_->count); ++p)
      entries_.push_back({0, p});
  }

  std::vector<Match> exact_best() const {
    std::vector<std::int32_t> positions;
    for (const Entry& entry : entries_) positions.push_back(entry.position);
    std::vector<double> scores(positions.size());
    exact_scores(query_.data(), candidates_->factors.data(), candidates_->rank, positions, scores.data());
    std::vector<Match> matches;
    for (std::size_t i = 0; i < positions.size(); ++i) matches.push_back({scores[i], positions[i]});
    const auto end = matches.begin() + static_cast<std::ptrdiff_t>(std::min(top_, matches.size()));
    std::partial_sort(matches.begin(), end, matches.end(), better);
    matches.erase(end, matches.end());
    return matches;
  }

  std::span<const double> query_;
  const Candidates* candidates_;
  std::size_t top_;
  std::size_t limit_;
  double scale_ = 1;
  double norm_ = 0;
  double error_ = 0;  ///< bound of the single-precision error of scaled scores
  float threshold_ = -std::numeric_limits<float>::infinity();
  std::vector<Entry> entries_;
};

/// Up to kFilterQueries queries, column by column, for score_above().
struct PackedQueries {
  std::vector<float> factors;
  std::array<float, at(kFilterQueries)> thresholds;
};

void pack_query(std::span<const double> query, double scale, std::size_t place, PackedQueries& packed) {
  for (std::size_t j = 0; j < query.size(); ++j)
    packed.factors[j * at(kFilterQueries) + place] = static_cast<float>(query[j] * scale);
}

/// Runs all candidates past the queries [0, lists.size()), which is at most kFilterQueries.
class Filter {
 public:
  explicit Filter(const Candidates& candidates) : candidates_(candidates) {}

  void add(std::span<const double> query, Index top) {
    if (lists_.size() % at(kFilterQueries) == 0) {
      groups_.push_back({std::vector<float>(at(candidates_.rank * kFilterQueries)), {}});
      // A place without a query: nothing is above.
      groups_.back().thresholds.fill(std::numeric_limits<float>::infinity());
    }
    lists_.emplace_back(query, candidates_, top);
    pack_query(query, lists_.back().scale(), (lists_.size() - 1) % at(kFilterQueries), groups_.back());
  }

  std::vector<Shortlist>& run() {
    const auto tiles = static_cast<Index>(candidates_.norms.size());
    for (Index tile = 0; candidates_.finite && tile < tiles; ++tile) {
      bool wanted = false;
      for (std::size_t g = 0; g < groups_.size(); ++g) wanted = run_group(g, tile) || wanted;
      if (!wanted) break;
    }
    return lists_;
  }

 private:
  /// False where no query can gain from this tile on.
  bool run_group(std::size_t group, Index tile) {
    const auto lists = std::span(lists_).subspan(
        group * at(kFilterQueries), std::min(at(kFilterQueries), lists_.size() - group * at(kFilterQueries)));
    PackedQueries& packed = groups_[group];
    bool wanted = false;
    for (std::size_t q = 0; q < lists.size(); ++q) {
      packed.thresholds[q] = lists[q].threshold();
      wanted = wanted || !lists[q].complete_beyond(candidates_.norms[at(tile)]);
    }
    if (!wanted) return false;
    const Index first = tile * kTileRows;
    score_above(packed.factors.data(), candidates_.tiles.data() + first * candidates_.rank, candidates_.rank,
                packed.thresholds.data(), scores_.data(), above_.data());
    const Index in_tile = std::min(kTileRows, candidates_.count - first);
    const std::uint32_t real = in_tile == kTileRows ? ~std::uint32_t{0} : (std::uint32_t{1} << in_tile) - 1;
    for (std::size_t q = 0; q < lists.size(); ++q)
      if ((above_[q] & real) != 0)
        lists[q].add(scores_.data() + q * at(kTileRows), above_[q] & real, candidates_.order.data() + first);
    return true;
  }

  const Candidates& candidates_;
  std::vector<PackedQueries> groups_;
  std::vector<Shortlist> lists_;
  alignas(64) std::array<float, at(kFilterQueries* kTileRows)> scores_{};
  std::array<std::uint32_t, at(kFilterQueries)> above_{};
};

}  // namespace

Candidates pack_candidates(const std::vector<double>& factors, Index rank) {
  Candidates result{.factors = factors, .rank = rank, .count = static_cast<Index>(factors.size()) / rank};
  result.scale = scale_of(factors);
  std::vector<double> norms(at(result.count));
  for (Index row = 0; row < result.count; ++row) {
    norms[at(row)] = norm_of(result.factors.subspan(at(row * rank), at(rank)), result.scale);
    result.finite = result.finite && std::isfinite(norms[at(row)]);
  }
  result.order.resize(at(result.count));
  std::iota(result.order.begin(), result.order.end(), 0);
  if (!result.finite) return result;
  std::sort(result.order.begin(), result.order.end(), [&](std::int32_t a, std::int32_t b) {
    return norms[at(a)] > norms[at(b)] || (norms[at(a)] == norms[at(b)] && a < b);
  });
  const Index tiles = (result.count + kTileRows - 1) / kTileRows;
  result.tiles.resize(at(tiles * kTileRows * rank));
  for (Index place = 0; place < result.count; ++place) {
    const Index position = result.order[at(place)];
    if (place % kTileRows == 0) result.norms.push_back(norms[at(position)]);
    float* const column = result.tiles.data() + place / kTileRows * kTileRows * rank + place % kTileRows;
    for (Index j = 0; j < rank; ++j)
      column[j * kTileRows] = static_cast<float>(factors[at(position * rank + j)] * result.scale);
  }
  return result;
}

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
    for (Shortlist& list : filter.run())
      for (const Match& match : list.best()) {
        result.positions[at(next)] = match.position;
        result.scores[at(next)] = match.score;
        ++next;
      }
  });
  return result;
}

}  // namespace firesteel
