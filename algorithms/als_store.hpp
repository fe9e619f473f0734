// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "firesteel/core/block_store.hpp"
#include "firesteel/core/context.hpp"
#include "firesteel/core/page_memory.hpp"

namespace firesteel {

/// Some ratings of one entity.
struct RatingSpan {
  std::span<const std::int32_t> others;  ///< rows of the gathered factors
  std::span<const double> values;
};

/// The ratings of a rank's entities of one side, ordered as in RatingSide, in blocks of a BlockStore. An
/// entity of at most kBlockRatings ratings lies in one block with its neighbours: a unit of work for one
/// thread. Those of larger ones follow behind all of these, kBlockRatings a block, and several threads work
/// on one. A block is, from its first byte: the values, the other entities. Local.
class RatingStore {
 public:
  /// Chunks of the sums over an entity's ratings are not cut by blocks: a power of two of kRatingChunk.
  static constexpr Index kBlockRatings = 16384;

  /// Lays blocks out for entities of these numbers of ratings (row_begin as in RatingSide). Throws 73, 71.
  RatingStore(const Context& context, std::span<const Index> row_begin);

  BlockStore& blocks() const { return *store_; }
  Index units() const { return static_cast<Index>(unit_begin_.size()) - 1; }
  /// Entities of more than kBlockRatings ratings, ascending.
  struct Large {
    Index entity;
    Index first_block;
    Index end_block;
  };
  const std::vector<Large>& large() const { return large_; }

  /// Calls body(entity, its ratings) for the entities of a unit, whose block is held.
  template <class Body>
  void for_entities(Index unit, Body&& body) const {
    const RatingSpan all = block(unit);
    std::size_t begin = 0;
    for (Index s = unit_begin_[at(unit)]; s < unit_begin_[at(unit + 1)]; ++s) {
      const Index e = small_[at(s)];
      const auto count = static_cast<std::size_t>(count_[at(e)]);
      body(e, RatingSpan{all.others.subspan(begin, count), all.values.subspan(begin, count)});
      begin += count;
    }
  }
  /// The ratings of a block that is held.
  RatingSpan block(Index block) const {
    const auto count = static_cast<std::size_t>(block_ratings_[at(block)]);
    const auto* const values = reinterpret_cast<const double*>(store_->address(block));
    return {{reinterpret_cast<const std::int32_t*>(values + count), count}, {values, count}};
  }

  Index positives(Index e) const { return positives_[at(e)]; }  ///< ratings above 0 of own entity e
  bool has_non_zero(Index e) const { return non_zero_[at(e)] != 0; }
  double largest() const { return largest_; }  ///< |rating|

  /// Takes the ratings in order of entities. finish() when all were given. Throw 74, 71.
  void add(std::int32_t other, double value);
  void finish();

 private:
  struct Filling {
    std::vector<std::int32_t> others;
    std::vector<double> values;
  };
  static std::size_t at(Index i) { return static_cast<std::size_t>(i); }
  void put(Index block, Filling& filling);
  void end_entity();

  std::vector<Index> count_;  ///< of an entity: ratings
  std::vector<Index> small_;  ///< entities of units
  std::vector<Index> unit_begin_{0};
  std::vector<Large> large_;
  std::vector<Index> block_ratings_;
  std::vector<Index> positives_;
  std::vector<std::uint8_t> non_zero_;
  double largest_ = 0;
  std::unique_ptr<BlockStore> store_;

  // While it is filled.
  Index entity_ = 0;  ///< that comes next
  Index given_ = 0;   ///< of its ratings
  Index unit_ = 0;
  std::size_t next_large_ = 0;
  Filling small_filling_;
  Filling large_filling_;
};

}  // namespace firesteel
