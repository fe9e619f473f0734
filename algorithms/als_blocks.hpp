// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "firesteel/core/aligned_vector.hpp"
#include "firesteel/core/block_partition.hpp"
#include "firesteel/core/context.hpp"

namespace firesteel {

/// What ratings stand for: values to be met, or with `implicit_prefs` preferences of confidence 1 + α|r|.
struct RatingProblem {
  Index rank = 10;
  bool implicit_prefs = false;
  double alpha = 1;
  bool single_precision = false;
  bool operator==(const RatingProblem&) const = default;
};

/// Entities (users or items) a block of the canonical sums over them: the smallest there is, because ranges
/// of blocks are what is dealt to ranks.
inline constexpr Index kEntityBlockRows = kTileRows;

/// Ratings of one entity that are summed in one chain; longer rows are cut by position and their sums joined
/// by the fixed tree.
inline constexpr Index kRatingChunk = 4096;

/// Ratings of this rank's rows, by position of user and item among the sorted ids. Partitioned, in row order.
struct IndexedRatings {
  std::span<const std::int32_t> users;
  std::span<const std::int32_t> items;
  std::span<const double> values;
  Index num_users = 0;  ///< global
  Index num_items = 0;  ///< global
};

class RatingStore;

/// One of the two copies of the ratings: by user (own = users, other = items) or by item. A rank owns a
/// contiguous range of entities and all their ratings, ordered by (entity, other entity, global row).
struct RatingSide {
  BlockPartition partition;  ///< of the own entities, blocks of kEntityBlockRows
  Index first = 0;           ///< own entities of this rank: [first, first + count)
  Index count = 0;
  std::vector<Index> row_begin;      ///< count + 1: the ratings of own entity e
  std::vector<std::int32_t> others;  ///< one a rating: row of the gathered factors
  std::vector<double> values;        ///< one a rating
  /// Where the ratings lie that do not fit into memory; `others` and `values` are empty then. Null: in
  /// memory.
  std::shared_ptr<RatingStore> store;

  Index ratings() const { return row_begin.back(); }

  // The exchange of a half-step: which factor rows of the other side go where.
  Index gathered = 0;                  ///< factor rows of the other side that this rank needs, each once
  std::vector<std::int32_t> send_own;  ///< rows of this rank's part of the other side, by destination
  std::vector<Index> send_counts;      ///< how many to each rank

  std::span<const std::int32_t> others_of(Index e) const {
    return std::span(others).subspan(begin(e), begin(e + 1) - begin(e));
  }
  std::span<const double> values_of(Index e) const {
    return std::span(values).subspan(begin(e), begin(e + 1) - begin(e));
  }

 private:
  std::size_t begin(Index e) const {
    return static_cast<std::size_t>(row_begin[static_cast<std::size_t>(e)]);
  }
};

struct RatingSides {
  RatingSide by_user;
  RatingSide by_item;
};

/// Deals the ratings twice, by user and by item, in ranges of entities with about equal work (ratings, plus
/// rank/3 for an entity's solve), and plans the exchange of factor rows. Collective. Cost a rank: its ratings
/// (16 bytes each) sent twice, counts of all entities summed once. Memory: 12 bytes a rating and side, after
/// a peak of 32.
RatingSides deal_ratings(const Context& context, const IndexedRatings& ratings, Index rank);

/// Contiguous ranges of blocks of entities with about equal work.
BlockPartition balance(const std::vector<std::int64_t>& ratings_of, Index rank, int ranks);

/// What a rank asks of the others: positions in their parts of the other side.
struct NeededRows {
  std::vector<std::int32_t> rows;
  std::vector<Index> counts;  ///< of each rank
};
/// position[e] of every other entity: −1 where it is not needed; where it is, its place among those that are,
/// put here. Local.
NeededRows place_needed(std::vector<std::int32_t>& position, const BlockPartition& other);

/// sums[0] ← the sum of the first `count` by the fixed pairwise tree.
void fold_tree(std::vector<AlignedVector<double>>& sums, std::size_t count);

/// The power of two that brings `largest` ≥ 0 to at most 1.
double scale_to_one(double largest);

/// Factor rows of the other side as a half-step reads them.
struct GatheredFactors {
  AlignedVector<double> rows;        ///< padded_rank(rank) each, zeros behind; none in single precision
  AlignedVector<float> single_rows;  ///< padded_single(rank) each: factors times scale, rounded
  double scale = 1;                  ///< power of two that brings all factors (all ranks) to at most 1
};

/// Collects the factor rows of the other side that a side needs, from their owners, before a half-step. Each
/// factor row is sent once to each rank that needs it: side.send_counts (without the own) x rank x 8 bytes,
/// 4 in single precision, which also costs one allreduce of a double.
/// Buffers are made once, so that a half-step needs no agreement of ranks about memory.
class FactorGather {
 public:
  /// Collective. `side` must outlive the object.
  FactorGather(const Context& context, const RatingSide& side, Index rank, bool single_precision);

  /// other_factors: this rank's rows of the other side, x rank. Returns side.gathered rows; valid until the
  /// next call. Collective.
  const GatheredFactors& operator()(const std::vector<double>& other_factors);

 private:
  Communicator comm_;
  const RatingSide& side_;
  std::size_t rank_;
  bool single_precision_;
  int threads_;
  std::vector<double> sent_;
  std::vector<double> received_;  ///< where rows are padded; else they arrive where they stay
  std::vector<float> single_sent_;
  std::vector<float> single_received_;
  Communicator::ExchangePlan plan_;
  GatheredFactors gathered_;

  void gather_single(const std::vector<double>& other_factors);
};

}  // namespace firesteel
