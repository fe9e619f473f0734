// SPDX-License-Identifier: Apache-2.0
// ALS on ratings that do not fit into memory: how they come from scratch, are dealt, and go back.
#include "firesteel/algorithms/als_chunks.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <tuple>

#include "firesteel/algorithms/als_store.hpp"
#include "firesteel/core/check_rows.hpp"
#include "firesteel/core/external_sort.hpp"
#include "firesteel/core/parameters.hpp"
#include "firesteel/core/rating_chunks.hpp"

namespace firesteel {

namespace {

constexpr std::size_t at(Index i) { return static_cast<std::size_t>(i); }

/// A rating by positions of user and item.
struct IndexedRating {
  std::int32_t user;
  std::int32_t item;
  double value;
};

/// A rating on its way to the rank that owns `own`.
struct DealtRating {
  std::int32_t own;
  std::int32_t other;
  double value;
  Index row;  ///< global
};

/// By own entity, other entity, row.
struct ByEntities {
  bool operator()(const DealtRating& a, const DealtRating& b) const {
    return std::tie(a.own, a.other, a.row) < std::tie(b.own, b.other, b.row);
  }
  /// Positions are not negative.
  std::uint64_t prefix(const DealtRating& a) const {
    return std::uint64_t{static_cast<std::uint32_t>(a.own)} << 32 | static_cast<std::uint32_t>(a.other);
  }
};

using Sorter = ExternalSort<DealtRating, ByEntities>;

/// This rank's ratings by positions, in scratch, and how many each user and item has over all ranks.
struct Indexed {
  std::unique_ptr<Spool<IndexedRating>> spool;
  std::vector<Index> first_row;  ///< global, of a chunk
  std::vector<std::int64_t> of_user;
  std::vector<std::int64_t> of_item;
};

double checked_value(const Ratings& chunk, std::size_t r) {
  const double value = chunk.ratings[r];
  if (std::isfinite(value)) return value;
  const Index row = chunk.first_row + static_cast<Index>(r);
  throw bad_input("als: row " + std::to_string(row) + ": expected a finite rating, got " + number_text(value),
                  {0, row});
}

Indexed index_ratings(const Context& context, const Ratings& ratings, const IdList& users,
                      const IdList& items, bool ones) {
  Indexed indexed;
  context.comm().collectively([&] {
    indexed.spool = std::make_unique<Spool<IndexedRating>>(context.scratch());
    indexed.of_user.assign(at(id_count(users)), 0);
    indexed.of_item.assign(at(id_count(items)), 0);
    for_each_chunk(ratings, [&](const Ratings& chunk) {
      check_lengths(chunk);
      const auto user = find_ids(users, chunk.users, context.threads());
      const auto item = find_ids(items, chunk.items, context.threads());
      // In pieces, as each is on its way to other ranks as a whole.
      constexpr std::size_t kPiece = 32768;
      for (std::size_t begin = 0; begin < user.size(); begin += kPiece) {
        std::vector<IndexedRating> piece;
        for (std::size_t r = begin; r < std::min(user.size(), begin + kPiece); ++r) {
          piece.push_back({user[r], item[r], ones ? 1.0 : checked_value(chunk, r)});
          ++indexed.of_user[at(user[r])];
          ++indexed.of_item[at(item[r])];
        }
        indexed.first_row.push_back(chunk.first_row + static_cast<Index>(begin));
        indexed.spool->append(piece);
      }
    });
  });
  context.comm().allreduce_sum(indexed.of_user);
  context.comm().allreduce_sum(indexed.of_item);
  return indexed;
}

/// One side: the ratings of this rank's entities, sorted, in scratch.
RatingSide deal_side(const Context& context, const Indexed& indexed, bool by_user,
                     const BlockPartition& own_partition, const BlockPartition& other_partition) {
  Communicator& comm = context.comm();
  RatingSide side;
  side.partition = own_partition;
  side.first = own_partition.first_row(comm.rank());
  side.count = own_partition.local_rows(comm.rank());
  std::vector<int> owner_of_block;
  std::vector<std::int32_t> position;  // of other entities among those needed
  std::unique_ptr<Sorter> sorter;
  comm.collectively([&] {
    for (int r = 0; r < own_partition.ranks(); ++r)
      owner_of_block.insert(owner_of_block.end(),
                            at(own_partition.end_block(r) - own_partition.first_block(r)), r);
    position.assign(at(other_partition.rows()), -1);
    constexpr Index kLeast = Index{4} << 20;
    constexpr Index kMost = Index{256} << 20;
    sorter = std::make_unique<Sorter>(context, std::clamp(context.memory()->available() / 4, kLeast, kMost),
                                      ByEntities());
  });
  const auto chunk_of = [&](Index i) {
    std::vector<DealtRating> dealt;
    Index row = indexed.first_row[at(i)];
    for (const IndexedRating& r : indexed.spool->chunk(i)) {
      if (by_user)
        dealt.push_back({r.user, r.item, r.value, row++});
      else
        dealt.push_back({r.item, r.user, r.value, row++});
    }
    return dealt;
  };
  exchange_chunks<DealtRating>(
      comm, indexed.spool->chunks(), chunk_of,
      [&](const DealtRating& rating) { return owner_of_block[at(rating.own / kEntityBlockRows)]; },
      [&](std::span<const DealtRating> ratings) {
        for (const DealtRating& rating : ratings) position[at(rating.other)] = 0;
        sorter->add(ratings);
      });
  const NeededRows needed = comm.collectively([&] {
    const auto& counts = by_user ? indexed.of_user : indexed.of_item;
    side.row_begin.assign(at(side.count) + 1, 0);
    for (Index e = 0; e < side.count; ++e)
      side.row_begin[at(e) + 1] = side.row_begin[at(e)] + counts[at(side.first + e)];
    NeededRows rows = place_needed(position, other_partition);
    side.gathered = static_cast<Index>(rows.rows.size());
    side.store = std::make_shared<RatingStore>(context, side.row_begin);
    sorter->merge(
        [&](const DealtRating& rating) { side.store->add(position[at(rating.other)], rating.value); });
    sorter.reset();
    side.store->finish();
    return rows;
  });
  side.send_own =
      comm.alltoallv(std::span<const std::int32_t>(needed.rows), needed.counts, &side.send_counts);
  return side;
}

}  // namespace

RatingSides deal_chunks(const Context& context, const Ratings& ratings, const IdList& users,
                        const IdList& items, bool ones, Index rank) {
  Communicator& comm = context.comm();
  const Indexed indexed = index_ratings(context, ratings, users, items, ones);
  const auto of_users = comm.collectively([&] { return balance(indexed.of_user, rank, comm.size()); });
  const auto of_items = comm.collectively([&] { return balance(indexed.of_item, rank, comm.size()); });
  RatingSides sides;
  sides.by_user = deal_side(context, indexed, true, of_users, of_items);
  sides.by_item = deal_side(context, indexed, false, of_items, of_users);
  return sides;
}

}  // namespace firesteel
