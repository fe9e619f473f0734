// SPDX-License-Identifier: Apache-2.0
#include "firesteel/algorithms/als_ranking.hpp"

#include <algorithm>
#include <array>
#include <limits>

#include "firesteel/core/parallel.hpp"
#include "firesteel/linalg/factor_kernels.hpp"

namespace firesteel {

namespace {

constexpr Index kQueriesAtATime = 16;  // they share a tile while it is in the first cache
constexpr Index kQueriesPerCall = 4;   // of score_tile

constexpr std::size_t at(Index i) { return static_cast<std::size_t>(i); }

struct Match {
  double score;
  std::int32_t position;
};
bool better(const Match& a, const Match& b) {
  return a.score > b.score || (a.score == b.score && a.position < b.position);
}

/// The best `top` of a stream of matches that come by ascending position, so that an equal score is never
/// better: a heap with the worst kept one in front.
class BoundedHeap {
 public:
  explicit BoundedHeap(Index top) : top_(at(top)) { kept_.reserve(top_); }

  void offer(Match match) {
    if (match.score <= worst_) return;
    if (kept_.size() == top_) {
      std::pop_heap(kept_.begin(), kept_.end(), better);
      kept_.pop_back();
    }
    kept_.push_back(match);
    std::push_heap(kept_.begin(), kept_.end(), better);
    if (kept_.size() == top_) worst_ = kept_.front().score;
  }
  const std::vector<Match>& sorted() {
    std::sort_heap(kept_.begin(), kept_.end(), better);
    return kept_;
  }

 private:
  std::size_t top_;
  double worst_ = -std::numeric_limits<double>::infinity();  ///< of the kept ones, once there are `top`
  std::vector<Match> kept_;
};

}  // namespace

DenseTiles<double> pack_candidates(const std::vector<double>& factors, Index rank) {
  const Index rows = static_cast<Index>(factors.size()) / rank;
  DenseTiles<double> tiles(rows, rank);
  for (Index row = 0; row < rows; ++row)
    for (Index j = 0; j < rank; ++j) tiles.at(row, j) = factors[at(row * rank + j)];
  return tiles;
}

BestMatches best_matches(const std::vector<double>& factors, std::span<const std::int32_t> which,
                         const DenseTiles<double>& candidates, Index top, int threads) {
  const Index rank = candidates.columns();
  const auto queries = static_cast<Index>(which.size());
  BestMatches result;
  result.count = std::min(top, candidates.local_rows());
  result.positions.resize(at(queries * result.count));
  result.scores.resize(at(queries * result.count));
  parallel_for(threads, (queries + kQueriesAtATime - 1) / kQueriesAtATime, [&](Index task, int) {
    const Index first = task * kQueriesAtATime;
    const Index count = std::min(kQueriesAtATime, queries - first);
    std::vector<double> rows(at(count * rank));
    for (Index q = 0; q < count; ++q)
      std::copy_n(factors.begin() + which[at(first + q)] * rank, rank, rows.begin() + q * rank);
    std::vector<BoundedHeap> heaps(at(count), BoundedHeap(result.count));
    alignas(64) std::array<double, at(kQueriesPerCall * kTileRows)> scores;
    for (Index t = 0; t < candidates.tiles(); ++t) {
      const Index in_tile = std::min(kTileRows, candidates.local_rows() - t * kTileRows);
      for (Index q = 0; q < count; q += kQueriesPerCall) {
        const Index called = std::min(kQueriesPerCall, count - q);
        score_tile(rows.data() + q * rank, rank, called, candidates.tile(t), rank, scores.data());
        for (Index c = 0; c < called; ++c)
          for (Index i = 0; i < in_tile; ++i)
            heaps[at(q + c)].offer(
                {scores[at(c * kTileRows + i)], static_cast<std::int32_t>(t * kTileRows + i)});
      }
    }
    for (Index q = 0; q < count; ++q) {
      Index next = (first + q) * result.count;
      for (const Match& match : heaps[at(q)].sorted()) {
        result.positions[at(next)] = match.position;
        result.scores[at(next)] = match.score;
        ++next;
      }
    }
  });
  return result;
}

}  // namespace firesteel
