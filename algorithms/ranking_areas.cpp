// SPDX-License-Identifier: Apache-2.0
#include "firesteel/algorithms/ranking_areas.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "firesteel/core/canonical_sum.hpp"
#include "firesteel/core/move_rows.hpp"

namespace firesteel {

namespace {

constexpr double kUndefined = std::numeric_limits<double>::quiet_NaN();
/// Candidates for splitters that a rank offers: shares are even within about 1/kSamples.
constexpr Index kSamples = 128;

bool ranked_before(const ScoredRow& a, const ScoredRow& b) {
  if (a.score != b.score) return a.score > b.score;
  return a.row < b.row;
}

/// Sorts rows over all ranks: every rank ends with a run of the order, the runs in rank order.
std::vector<ScoredRow> sort_over_ranks(Communicator& comm, std::vector<ScoredRow> rows) {
  const auto ranks = static_cast<std::size_t>(comm.size());
  const auto samples = comm.collectively([&] {
    std::sort(rows.begin(), rows.end(), ranked_before);
    std::vector<ScoredRow> own;
    const auto count = static_cast<Index>(rows.size());
    for (Index i = 0; i < std::min(kSamples, count); ++i)
      own.push_back(rows[static_cast<std::size_t>((2 * i + 1) * count / (2 * std::min(kSamples, count)))]);
    return own;
  });
  auto all_samples = comm.allgatherv(std::span<const ScoredRow>(samples));
  const auto counts = comm.collectively([&] {
    std::sort(all_samples.begin(), all_samples.end(), ranked_before);
    std::vector<Index> to_rank(ranks, 0);
    auto begin = rows.begin();
    for (std::size_t rank = 0; rank < ranks; ++rank) {
      const auto end =
          rank + 1 == ranks || all_samples.empty()
              ? rows.end()
              : std::lower_bound(begin, rows.end(), all_samples[(rank + 1) * all_samples.size() / ranks],
                                 ranked_before);
      to_rank[rank] = end - begin;
      begin = end;
    }
    return to_rank;
  });
  if (comm.size() == 1) return rows;
  rows = comm.alltoallv(std::span<const ScoredRow>(rows), std::span<const Index>(counts));
  comm.collectively([&] { std::sort(rows.begin(), rows.end(), ranked_before); });
  return rows;
}

/// Weights of the positive and the negative rows up to some place of the order.
struct Counts {
  double positive = 0;
  double negative = 0;

  void add(const ScoredRow& row) { (row.positive ? positive : negative) += row.weight; }
  void add(const Counts& other) {
    positive += other.positive;
    negative += other.negative;
  }
};

/// What a block of the order says to the blocks after it.
struct BlockEnd {
  Counts sum;         ///< of its rows
  Counts last_point;  ///< from its start to the last row whose score ends there
  Index has_point = 0;
};

/// The sorted rows of this rank, in whole blocks.
class SortedBlocks {
 public:
  SortedBlocks(const Context& context, std::vector<ScoredRow> sorted) : comm_(context.comm()) {
    const auto count = static_cast<Index>(sorted.size());
    partition_ =
        BlockPartition::even(comm_.sum(count), choose_block_rows(4, sizeof(double), false), comm_.size());
    if (comm_.size() == 1)
      rows_ = std::move(sorted);
    else
      rows_ =
          move_rows(comm_, std::span<const ScoredRow>(sorted), 1, comm_.exclusive_scan(count), partition_);
    // The score that follows this rank's last row.
    const auto firsts = comm_.allgatherv(std::span<const ScoredRow>(rows_).first(rows_.empty() ? 0 : 1));
    for (const auto& first : firsts)
      if (!rows_.empty() && ranked_before(rows_.back(), first)) {
        following_ = first.score;
        break;
      }
  }

  const BlockPartition& partition() const { return partition_; }

  /// Visits the rows of a block in order: visit(row, ends_point), where ends_point says that the next row's
  /// score differs.
  template <class Visit>
  void for_each_row(Index block, Visit&& visit) const {
    const Index begin = partition_.row_of_block(block) - partition_.first_row(comm_.rank());
    const Index end = partition_.row_of_block(block + 1) - partition_.first_row(comm_.rank());
    for (Index i = begin; i < end; ++i) {
      const auto& row = rows_[static_cast<std::size_t>(i)];
      const bool last = i + 1 == static_cast<Index>(rows_.size());
      visit(row, row.score != (last ? following_ : rows_[static_cast<std::size_t>(i) + 1].score));
    }
  }

  /// The ends of all blocks, on every rank.
  std::vector<BlockEnd> ends() const {
    const auto own = comm_.collectively([&] {
      std::vector<BlockEnd> ends;
      for (Index block = partition_.first_block(comm_.rank()); block < partition_.end_block(comm_.rank());
           ++block) {
        BlockEnd end;
        for_each_row(block, [&](const ScoredRow& row, bool ends_point) {
          end.sum.add(row);
          if (ends_point) {
            end.last_point = end.sum;
            end.has_point = 1;
          }
        });
        ends.push_back(end);
      }
      return ends;
    });
    return comm_.allgatherv(std::span<const BlockEnd>(own));
  }

 private:
  Communicator& comm_;
  BlockPartition partition_;
  std::vector<ScoredRow> rows_;
  double following_ = kUndefined;  // differs from every score
};

/// Where a block starts: the counts before it, and the last point of the curve before it.
struct BlockStart {
  Counts before;
  Counts last_point;
};

std::vector<BlockStart> starts_of(const std::vector<BlockEnd>& ends) {
  std::vector<BlockStart> starts;
  BlockStart start;
  for (const auto& end : ends) {
    starts.push_back(start);
    if (end.has_point != 0) {
      start.last_point = start.before;
      start.last_point.add(end.last_point);
    }
    start.before.add(end.sum);
  }
  starts.push_back(start);
  return starts;
}

double precision(const Counts& point) { return point.positive / (point.positive + point.negative); }

}  // namespace

RankingAreas ranking_areas(const Context& context, std::vector<ScoredRow> rows) {
  Communicator& comm = context.comm();
  if (comm.any(std::any_of(rows.begin(), rows.end(), [](const auto& row) { return std::isnan(row.score); })))
    return {kUndefined, kUndefined};
  const SortedBlocks sorted(context, sort_over_ranks(comm, std::move(rows)));
  if (sorted.partition().rows() == 0) return {kUndefined, kUndefined};
  const auto ends = sorted.ends();
  const auto starts = comm.collectively([&] { return starts_of(ends); });

  // Twice the areas: trapezoids over Δ(negatives) and Δ(positives).
  CanonicalSum sum(comm, sorted.partition(), 2, context.threads());
  const auto areas = sum([&](Index block, std::span<double> out) {
    const auto& start = starts[static_cast<std::size_t>(block)];
    Counts running = start.before;
    Counts last = start.last_point;
    Counts within;
    std::array<double, 2> twice{};
    sorted.for_each_row(block, [&](const ScoredRow& row, bool ends_point) {
      within.add(row);
      if (!ends_point) return;
      running = start.before;
      running.add(within);
      const bool first = last.positive + last.negative == 0.0;
      twice[0] += (running.negative - last.negative) * (running.positive + last.positive);
      twice[1] +=
          (running.positive - last.positive) * (precision(running) + precision(first ? running : last));
      last = running;
    });
    std::copy(twice.begin(), twice.end(), out.begin());
  });
  const Counts total = starts.back().before;
  return {total.positive > 0 && total.negative > 0 ? areas[0] / 2 / (total.positive * total.negative)
                                                   : kUndefined,
          total.positive > 0 ? areas[1] / 2 / total.positive : kUndefined};
}

}  // namespace firesteel
