// SPDX-License-Identifier: Apache-2.0
#include "firesteel/algorithms/als_blocks.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "firesteel/core/parallel.hpp"
#include "firesteel/linalg/factor_kernels.hpp"
#include "firesteel/linalg/single_products.hpp"
#include "firesteel/linalg/vector_kernels.hpp"

namespace firesteel {

namespace {

constexpr std::size_t at(Index i) { return static_cast<std::size_t>(i); }

/// A rating on its way to the rank that owns `own`.
struct Rating {
  std::int32_t own;
  std::int32_t other;
  double value;
};

/// Ratings of each entity over all ranks. Replicated.
std::vector<std::int64_t> count_ratings(const Context& context, std::span<const std::int32_t> entity_of,
                                        Index entities) {
  auto counts = context.comm().collectively([&] {
    std::vector<std::int64_t> local(at(entities), 0);
    for (const std::int32_t e : entity_of) ++local[at(e)];
    return local;
  });
  context.comm().allreduce_sum(counts);
  return counts;
}

struct Parcel {
  std::vector<Rating> ratings;  ///< by destination, in row order
  std::vector<Index> counts;
};

Parcel pack(const BlockPartition& partition, std::span<const std::int32_t> own,
            std::span<const std::int32_t> other, std::span<const double> values) {
  std::vector<std::int32_t> owner_of_block;
  for (int r = 0; r < partition.ranks(); ++r)
    owner_of_block.insert(owner_of_block.end(), at(partition.end_block(r) - partition.first_block(r)), r);
  const auto owner = [&](std::int32_t e) { return at(owner_of_block[at(e / kEntityBlockRows)]); };
  Parcel parcel{std::vector<Rating>(own.size()), std::vector<Index>(at(partition.ranks()), 0)};
  for (const std::int32_t e : own) ++parcel.counts[owner(e)];
  std::vector<Index> next(parcel.counts.size() + 1, 0);
  std::partial_sum(parcel.counts.begin(), parcel.counts.end(), next.begin() + 1);
  for (std::size_t i = 0; i < own.size(); ++i)
    parcel.ratings[at(next[owner(own[i])]++)] = {own[i], other[i], values[i]};
  return parcel;
}

/// Stable counting sort by key(rating) in [0, keys).
template <class KeyOf>
std::vector<Rating> sort_by(const std::vector<Rating>& ratings, Index keys, KeyOf&& key) {
  std::vector<Index> next(at(keys) + 1, 0);
  for (const Rating& rating : ratings) ++next[at(key(rating)) + 1];
  std::partial_sum(next.begin(), next.end(), next.begin());
  std::vector<Rating> sorted(ratings.size());
  for (const Rating& rating : ratings) sorted[at(next[at(key(rating))]++)] = rating;
  return sorted;
}

/// Fills the CSR of the side from ratings that arrived in global row order.
NeededRows fill_side(RatingSide& side, std::vector<Rating> ratings, const BlockPartition& other, int rank) {
  side.first = side.partition.first_row(rank);
  side.count = side.partition.local_rows(rank);
  ratings = sort_by(ratings, other.rows(), [](const Rating& r) { return r.other; });
  ratings = sort_by(ratings, side.count, [&](const Rating& r) { return r.own - side.first; });
  side.row_begin.assign(at(side.count) + 1, 0);
  std::vector<std::int32_t> position(at(other.rows()), -1);  // of other entities among those needed
  for (const Rating& rating : ratings) {
    ++side.row_begin[at(rating.own - side.first) + 1];
    position[at(rating.other)] = 0;
  }
  std::partial_sum(side.row_begin.begin(), side.row_begin.end(), side.row_begin.begin());
  NeededRows needed = place_needed(position, other);
  side.gathered = static_cast<Index>(needed.rows.size());
  side.others.reserve(ratings.size());
  side.values.reserve(ratings.size());
  for (const Rating& rating : ratings) {
    side.others.push_back(position[at(rating.other)]);
    side.values.push_back(rating.value);
  }
  return needed;
}

RatingSide deal_side(const Context& context, const BlockPartition& own_partition,
                     const BlockPartition& other_partition, std::span<const std::int32_t> own,
                     std::span<const std::int32_t> other, std::span<const double> values) {
  Communicator& comm = context.comm();
  Parcel parcel = comm.collectively([&] { return pack(own_partition, own, other, values); });
  auto received = comm.alltoallv(std::span<const Rating>(parcel.ratings), parcel.counts);
  parcel = {};
  RatingSide side;
  side.partition = own_partition;
  const NeededRows needed =
      comm.collectively([&] { return fill_side(side, std::move(received), other_partition, comm.rank()); });
  side.send_own =
      comm.alltoallv(std::span<const std::int32_t>(needed.rows), needed.counts, &side.send_counts);
  return side;
}

}  // namespace

BlockPartition balance(const std::vector<std::int64_t>& ratings_of, Index rank, int ranks) {
  const auto entities = static_cast<Index>(ratings_of.size());
  const Index blocks = (entities + kEntityBlockRows - 1) / kEntityBlockRows;
  std::vector<Index> work(at(blocks) + 1, 0);  // before each block
  for (Index e = 0; e < entities; ++e) work[at(e / kEntityBlockRows) + 1] += ratings_of[at(e)] + rank / 3;
  std::partial_sum(work.begin(), work.end(), work.begin());
  std::vector<Index> cuts{0};
  for (int r = 1; r <= ranks; ++r) {
    const Index target = work.back() / ranks * r + work.back() % ranks * r / ranks;
    const Index cut = std::lower_bound(work.begin(), work.end(), target) - work.begin();
    cuts.push_back(std::max(cuts.back(), r == ranks ? blocks : cut));
  }
  return {entities, kEntityBlockRows, std::move(cuts)};
}

NeededRows place_needed(std::vector<std::int32_t>& position, const BlockPartition& other) {
  NeededRows needed{{}, std::vector<Index>(at(other.ranks()), 0)};
  for (int owner = 0; owner < other.ranks(); ++owner)
    for (Index e = other.first_row(owner); e < other.end_row(owner); ++e) {
      if (position[at(e)] < 0) continue;
      position[at(e)] = static_cast<std::int32_t>(needed.rows.size());
      needed.rows.push_back(static_cast<std::int32_t>(e - other.first_row(owner)));
      ++needed.counts[at(owner)];
    }
  return needed;
}

RatingSides deal_ratings(const Context& context, const IndexedRatings& ratings, Index rank) {
  Communicator& comm = context.comm();
  const auto of_user = count_ratings(context, ratings.users, ratings.num_users);
  const auto of_item = count_ratings(context, ratings.items, ratings.num_items);
  const auto users = comm.collectively([&] { return balance(of_user, rank, comm.size()); });
  const auto items = comm.collectively([&] { return balance(of_item, rank, comm.size()); });
  RatingSides sides;
  sides.by_user = deal_side(context, users, items, ratings.users, ratings.items, ratings.values);
  sides.by_item = deal_side(context, items, users, ratings.items, ratings.users, ratings.values);
  return sides;
}

namespace {

/// Rows of `rank` numbers, as ranks sent them, into rows of `stride`. `received` is empty where there are no
/// gaps: then they came to `rows` themselves.
template <class T>
void exchange_rows(Communicator& comm, const Communicator::ExchangePlan& plan, std::span<const T> sent,
                   std::vector<T>& received, AlignedVector<T>& rows, std::size_t rank, std::size_t stride) {
  comm.alltoallv(sent, plan, rank == stride ? std::span(rows) : std::span(received));
  if (rank == stride) return;
  for (std::size_t row = 0; row * stride < rows.size(); ++row)
    std::copy_n(received.data() + row * rank, rank, rows.data() + row * stride);
}

}  // namespace

FactorGather::FactorGather(const Context& context, const RatingSide& side, Index rank, bool single_precision)
    : comm_(context.comm()),
      side_(side),
      rank_(at(rank)),
      single_precision_(single_precision),
      threads_(context.threads()) {
  std::vector<Index> send_counts;
  const std::size_t sent = side.send_own.size() * rank_;
  comm_.collectively([&] {
    const std::size_t received = at(side.gathered * rank);
    for (const Index count : side.send_counts) send_counts.push_back(count * rank);
    if (single_precision) {
      if (comm_.size() > 1) single_sent_.resize(sent);
      gathered_.single_rows.resize(at(side.gathered * padded_single(rank)));
      if (comm_.size() > 1 && padded_single(rank) != rank) single_received_.resize(received);
    } else {
      sent_.resize(sent);
      gathered_.rows.resize(at(side.gathered * padded_rank(rank)));
      if (padded_rank(rank) != rank) received_.resize(received);
    }
  });
  const auto values = static_cast<Index>(sent);
  plan_ = single_precision ? comm_.plan_alltoallv<float>(values, send_counts)
                           : comm_.plan_alltoallv<double>(values, send_counts);
}

const GatheredFactors& FactorGather::operator()(const std::vector<double>& other_factors) {
  if (single_precision_) {
    gather_single(other_factors);
    return gathered_;
  }
  double* next = sent_.data();
  for (const std::int32_t row : side_.send_own)
    next = std::copy_n(other_factors.data() + at(row) * rank_, rank_, next);
  exchange_rows<double>(comm_, plan_, sent_, received_, gathered_.rows, rank_,
                        at(padded_rank(static_cast<Index>(rank_))));
  return gathered_;
}

void FactorGather::gather_single(const std::vector<double>& other_factors) {
  double largest = largest_finite(other_factors);
  comm_.allreduce_max(std::span(&largest, 1));
  gathered_.scale = scale_to_one(largest);
  const std::size_t stride = at(padded_single(static_cast<Index>(rank_)));
  // A rank that is alone needs no copy on the way.
  const bool alone = comm_.size() == 1;
  float* const rows = alone ? gathered_.single_rows.data() : single_sent_.data();
  const std::size_t apart = alone ? stride : rank_;
  const std::size_t count = side_.send_own.size();
  constexpr std::size_t kPiece = 4096;
  parallel_for(threads_, static_cast<Index>((count + kPiece - 1) / kPiece), [&](Index piece, int) {
    for (std::size_t i = at(piece) * kPiece; i < std::min(count, (at(piece) + 1) * kPiece); ++i)
      round_scaled(std::span(other_factors).subspan(at(side_.send_own[i]) * rank_, rank_), gathered_.scale,
                   rows + i * apart);
  });
  if (!alone)
    exchange_rows<float>(comm_, plan_, single_sent_, single_received_, gathered_.single_rows, rank_, stride);
}

void fold_tree(std::vector<AlignedVector<double>>& sums, std::size_t count) {
  for (std::size_t step = 1; step < count; step *= 2)
    for (std::size_t i = 0; i + step < count; i += 2 * step)
      for (std::size_t j = 0; j < sums[i].size(); ++j) sums[i][j] += sums[i + step][j];
}

double scale_to_one(double largest) {
  int exponent = 0;
  if (largest > 0) std::frexp(largest, &exponent);
  return std::ldexp(1.0, std::clamp(-exponent, -1022, 1022));
}

}  // namespace firesteel
