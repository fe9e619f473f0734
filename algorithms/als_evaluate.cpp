// SPDX-License-Identifier: Apache-2.0
// Figures of merit of ALS models.
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "firesteel/algorithms/als.hpp"
#include "firesteel/algorithms/als_blocks.hpp"
#include "firesteel/algorithms/als_ranking.hpp"
#include "firesteel/algorithms/regression_metrics.hpp"
#include "firesteel/core/canonical_sum.hpp"
#include "firesteel/core/check_rows.hpp"
#include "firesteel/core/parallel.hpp"

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

Metrics rating_metrics(const Ratings& data, const std::vector<double>& predictions) {
  Communicator& comm = data.context.comm();
  std::vector<double> truth;
  std::vector<double> known;
  comm.collectively([&] {
    for (std::size_t r = 0; r < predictions.size(); ++r) {
      if (std::isnan(predictions[r])) continue;
      truth.push_back(data.ratings[r]);
      known.push_back(predictions[r]);
    }
  });
  Metrics metrics{{"rows_scored", static_cast<double>(comm.sum(static_cast<Index>(known.size())))}};
  for (auto& figure : regression_metrics(data.context, {truth, known})) metrics.push_back(std::move(figure));
  return metrics;
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

UserQuality judge_users(const AlsModel& model, const std::vector<KnownRow>& relevant, Index first,
                        Index count, int threads) {
  std::vector<std::int32_t> users;
  for (const KnownRow& row : relevant)
    if (users.empty() || users.back() != row.user) users.push_back(row.user);
  const auto candidates = pack_candidates(model.item_factors, model.parameters.rank);
  const BestMatches best = best_matches(model.user_factors, users, candidates, kCutoff, threads);
  UserQuality result{std::vector<RankingQuality>(at(count)), std::vector<double>(at(count), 0.0)};
  std::size_t next = 0;
  std::vector<std::int32_t> items;
  for (std::size_t u = 0; u < users.size(); ++u) {
    items.clear();
    for (; next < relevant.size() && relevant[next].user == users[u]; ++next)
      items.push_back(relevant[next].item);
    const auto ranked = std::span(best.positions).subspan(u * at(best.count), at(best.count));
    result.quality[at(users[u] - first)] = ranking_quality(items, ranked);
    result.counted[at(users[u] - first)] = 1;
  }
  return result;
}

Metrics ranking_metrics(const AlsModel& model, const Ratings& data) {
  Communicator& comm = data.context.comm();
  const auto partition = BlockPartition::even(model.num_users(), kEntityBlockRows, comm.size());
  Index scored = 0;
  const auto mine = comm.collectively([&] {
    check_lengths(data);
    const auto users = find_ids(model.user_ids, data.users, data.context.threads());
    const auto items = find_ids(model.item_ids, data.items, data.context.threads());
    std::vector<KnownRow> rows;
    for (std::size_t r = 0; r < users.size(); ++r) {
      if (users[r] < 0 || items[r] < 0) continue;
      ++scored;
      if (!data.has_ratings || data.ratings[r] > 0) rows.push_back({users[r], items[r]});
    }
    return rows;
  });
  auto relevant =
      send_rows(comm, mine, [&](std::size_t r) { return partition.owner(mine[r].user / kEntityBlockRows); });
  const Index first = partition.first_row(comm.rank());
  const UserQuality users = comm.collectively([&] {
    std::sort(relevant.begin(), relevant.end(), [](const KnownRow& a, const KnownRow& b) {
      return a.user != b.user ? a.user < b.user : a.item < b.item;
    });
    relevant.erase(std::unique(relevant.begin(), relevant.end(),
                               [](const KnownRow& a, const KnownRow& b) {
                                 return a.user == b.user && a.item == b.item;
                               }),
                   relevant.end());
    return judge_users(model, relevant, first, partition.local_rows(comm.rank()), data.context.threads());
  });
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
  Communicator& comm = data.context.comm();
  const auto predicted = comm.collectively([&] {
    if (!data.has_ratings)
      throw bad_input("als: the data have no rating column to compare with; name it with --rating");
    return predictions(data);
  });
  return rating_metrics(data, predicted);
}

}  // namespace firesteel
