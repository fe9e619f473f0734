// SPDX-License-Identifier: Apache-2.0
// Figures of merit of ALS models.
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <memory>
#include <optional>

#include "firesteel/algorithms/als.hpp"
#include "firesteel/algorithms/als_blocks.hpp"
#include "firesteel/algorithms/als_ranking.hpp"
#include "firesteel/algorithms/regression_metrics.hpp"
#include "firesteel/core/canonical_sum.hpp"
#include "firesteel/core/check_rows.hpp"
#include "firesteel/core/external_sort.hpp"
#include "firesteel/core/parallel.hpp"
#include "firesteel/core/rating_chunks.hpp"

namespace firesteel {

namespace {

constexpr Index kCutoff = 10;
constexpr double kUndefined = std::numeric_limits<double>::quiet_NaN();
/// 1 / log₂(i + 2): the gain of a relevant item at position i.
constexpr std::array<double, kCutoff> kGains{1.0,
                                             0.63092975357145743,
                                             0.5,
                                             0.43067655807339306,
                                             0.38685280723454157,
                                             0.35620718710802218,
                                             0.33333333333333331,
                                             0.31546487678572871,
                                             0.30102999566398120,
                                             0.28906482631788788};

constexpr std::size_t at(Index i) { return static_cast<std::size_t>(i); }

/// Sends values[r] to rank destination(r), in row order. Collective.
template <class T, class Destination>
std::vector<T> send_rows(Communicator& comm, const std::vector<T>& values, Destination&& destination) {
  std::vector<Index> counts;
  auto sorted = comm.collectively([&] {
    counts.assign(at(comm.size()), 0);
    std::vector<Index> to;
    for (std::size_t r = 0; r < values.size(); ++r) to.push_back(destination(r));
    for (const Index rank : to) ++counts[at(rank)];
    std::vector<Index> next(counts.size(), 0);
    for (std::size_t rank = 1; rank < next.size(); ++rank) next[rank] = next[rank - 1] + counts[rank - 1];
    std::vector<T> packed(values.size());
    for (std::size_t r = 0; r < values.size(); ++r) packed[at(next[at(to[r])]++)] = values[r];
    return packed;
  });
  return comm.alltoallv(std::span<const T>(sorted), counts);
}

/// Truth and prediction of the rows that can be predicted.
void known_rows(const AlsModel& model, const Ratings& chunk, std::vector<double>& truth,
                std::vector<double>& known) {
  const auto predictions = model.predictions(chunk);
  for (std::size_t r = 0; r < predictions.size(); ++r) {
    if (std::isnan(predictions[r])) continue;
    truth.push_back(chunk.ratings[r]);
    known.push_back(predictions[r]);
  }
}

Metrics rating_metrics(const AlsModel& model, const Ratings& data) {
  Communicator& comm = data.context.comm();
  const auto named = [&](Index known, Metrics figures) {
    figures.insert(figures.begin(), {"rows_scored", static_cast<double>(comm.sum(known))});
    return figures;
  };
  std::vector<double> truth;
  std::vector<double> known;
  if (!data.chunks) {
    comm.collectively([&] { known_rows(model, data, truth, known); });
    return named(static_cast<Index>(known.size()), regression_metrics(data.context, {truth, known}));
  }
  Index count = 0;
  comm.collectively([&] {
    for_each_chunk(data, [&](const Ratings& chunk) {
      for (const double prediction : model.predictions(chunk)) count += std::isnan(prediction) ? 0 : 1;
    });
  });
  Index next = 0;
  return named(count, regression_metrics(data.context, count, [&](auto& part_truth, auto& part_known) {
                 if (next == data.chunks->count()) return false;
                 known_rows(model, data.chunks->read(data, next++), part_truth, part_known);
                 return true;
               }));
}

/// A row whose user and item are known, by position.
struct KnownRow {
  std::int32_t user;
  std::int32_t item;
};

struct RankingQuality {
  double average_precision = 0;
  double discounted_gain = 0;
};

/// relevant: ascending, not empty. ranked: best first.
RankingQuality ranking_quality(std::span<const std::int32_t> relevant, std::span<const std::int32_t> ranked) {
  RankingQuality quality;
  double hits = 0;
  for (std::size_t i = 0; i < ranked.size(); ++i) {
    if (!std::binary_search(relevant.begin(), relevant.end(), ranked[i])) continue;
    hits += 1;
    quality.average_precision += hits / static_cast<double>(i + 1);
    quality.discounted_gain += kGains[i];
  }
  const std::size_t possible = std::min(relevant.size(), at(kCutoff));
  double ideal = 0;
  for (std::size_t i = 0; i < possible; ++i) ideal += kGains[i];
  quality.average_precision /= static_cast<double>(possible);
  quality.discounted_gain /= ideal;
  return quality;
}

/// Quality for each own user of this rank; `relevant` sorted by (user, item), without duplicates.
struct UserQuality {
  std::vector<RankingQuality> quality;  ///< one an own user
  std::vector<double> counted;          ///< 1 where the user has a relevant item
};

/// Judges users whose relevant items come in order.
class Judge {
 public:
  Judge(const AlsModel& model, Index first, Index count, int threads)
      : model_(model), first_(first), threads_(threads) {
    result_.quality.resize(at(count));
    result_.counted.assign(at(count), 0.0);
  }

  /// Rows by user and item; what is given twice counts once.
  void add(const KnownRow& row) {
    constexpr std::size_t kAtATime = 65536;
    if (!relevant_.empty() && relevant_.back().user == row.user && relevant_.back().item == row.item) return;
    if (relevant_.size() >= kAtATime && relevant_.back().user != row.user) judge();
    relevant_.push_back(row);
  }
  UserQuality finish() {
    judge();
    return std::move(result_);
  }

 private:
  void judge() {
    if (relevant_.empty()) return;
    std::vector<std::int32_t> users;
    for (const KnownRow& row : relevant_)
      if (users.empty() || users.back() != row.user) users.push_back(row.user);
    if (!candidates_)
      candidates_ =
          pack_candidates(model_.item_factors, model_.parameters.rank, static_cast<Index>(users.size()));
    const BestMatches best = best_matches(model_.user_factors, users, *candidates_, kCutoff, threads_);
    std::size_t next = 0;
    std::vector<std::int32_t> items;
    for (std::size_t u = 0; u < users.size(); ++u) {
      items.clear();
      for (; next < relevant_.size() && relevant_[next].user == users[u]; ++next)
        items.push_back(relevant_[next].item);
      const auto ranked = std::span(best.positions).subspan(u * at(best.count), at(best.count));
      result_.quality[at(users[u] - first_)] = ranking_quality(items, ranked);
      result_.counted[at(users[u] - first_)] = 1;
    }
    relevant_.clear();
  }

  const AlsModel& model_;
  Index first_;
  int threads_;
  std::optional<Candidates> candidates_;
  std::vector<KnownRow> relevant_;
  UserQuality result_;
};

struct ByUserAndItem {
  bool operator()(const KnownRow& a, const KnownRow& b) const {
    return a.user != b.user ? a.user < b.user : a.item < b.item;
  }
};

/// The relevant rows of a chunk; counts those that are known.
std::vector<KnownRow> relevant_rows(const AlsModel& model, const Ratings& chunk, Index& scored) {
  check_lengths(chunk);
  const auto users = find_ids(model.user_ids, chunk.users, chunk.context.threads());
  const auto items = find_ids(model.item_ids, chunk.items, chunk.context.threads());
  std::vector<KnownRow> rows;
  for (std::size_t r = 0; r < users.size(); ++r) {
    if (users[r] < 0 || items[r] < 0) continue;
    ++scored;
    if (!chunk.has_ratings || chunk.ratings[r] > 0) rows.push_back({users[r], items[r]});
  }
  return rows;
}

/// Rows travel and are sorted outside of memory. Collective.
void judge_chunks(const AlsModel& model, const Ratings& data, const BlockPartition& partition, Index& scored,
                  Judge& judge) {
  constexpr Index kSortBytes = Index{8} << 20;
  Communicator& comm = data.context.comm();
  std::unique_ptr<ExternalSort<KnownRow, ByUserAndItem>> sorter;
  comm.collectively([&] {
    sorter =
        std::make_unique<ExternalSort<KnownRow, ByUserAndItem>>(data.context, kSortBytes, ByUserAndItem());
  });
  exchange_chunks<KnownRow>(
      comm, data.chunks->count(),
      [&](Index i) { return relevant_rows(model, data.chunks->read(data, i), scored); },
      [&](const KnownRow& row) { return partition.owner(row.user / kEntityBlockRows); },
      [&](std::span<const KnownRow> rows) { sorter->add(rows); });
  comm.collectively([&] { sorter->merge([&](const KnownRow& row) { judge.add(row); }); });
}

Metrics ranking_metrics(const AlsModel& model, const Ratings& data) {
  Communicator& comm = data.context.comm();
  const auto partition = BlockPartition::even(model.num_users(), kEntityBlockRows, comm.size());
  const Index first = partition.first_row(comm.rank());
  Index scored = 0;
  Judge judge(model, first, partition.local_rows(comm.rank()), data.context.threads());
  if (data.chunks) {
    judge_chunks(model, data, partition, scored, judge);
  } else {
    const auto mine = comm.collectively([&] { return relevant_rows(model, data, scored); });
    auto relevant = send_rows(
        comm, mine, [&](std::size_t r) { return partition.owner(mine[r].user / kEntityBlockRows); });
    comm.collectively([&] {
      std::sort(relevant.begin(), relevant.end(), ByUserAndItem());
      for (const KnownRow& row : relevant) judge.add(row);
    });
  }
  const UserQuality users = comm.collectively([&] { return judge.finish(); });
  CanonicalSum quality_sum(comm, partition, 3, data.context.threads());
  const auto sums = quality_sum([&](Index block, std::span<double> out) {
    std::fill(out.begin(), out.end(), 0.0);
    for (Index u = partition.row_of_block(block); u < partition.row_of_block(block + 1); ++u) {
      out[0] += users.quality[at(u - first)].average_precision;
      out[1] += users.quality[at(u - first)].discounted_gain;
      out[2] += users.counted[at(u - first)];
    }
  });
  const double judged = sums[2];
  return {{"rows_scored", static_cast<double>(comm.sum(scored))},
          {"map_at_10", judged > 0 ? sums[0] / judged : kUndefined},
          {"ndcg_at_10", judged > 0 ? sums[1] / judged : kUndefined}};
}

}  // namespace

Metrics AlsModel::evaluate(const Ratings& data) const {
  const FloatEnvironment environment;
  if (parameters.implicit_prefs) return ranking_metrics(*this, data);
  data.context.comm().collectively([&] {
    if (!data.has_ratings)
      throw bad_input("als: the data have no rating column to compare with; name it with --rating");
    check_lengths(data);
  });
  return rating_metrics(*this, data);
}

}  // namespace firesteel
