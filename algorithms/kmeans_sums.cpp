// SPDX-License-Identifier: Apache-2.0
#include "firesteel/algorithms/kmeans_sums.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <utility>

#include "firesteel/core/parallel.hpp"
#include "firesteel/linalg/row_bounds.hpp"

namespace firesteel::detail {

namespace {
std::size_t at(Index i) { return static_cast<std::size_t>(i); }
}  // namespace

ClusterSums::ClusterSums(const KMeansPoints& points, Index clusters)
    : points_(points), clusters_(clusters), length_(points.terms().length()) {
  points_.context().comm().collectively([&] {
    labels_.assign(at(points_.tiles() * kTileRows), -1);
    bounds_ = CentreBounds(points_.tiles(), clusters_, points_.columns());
    totals_.assign(at(clusters_ * length_), 0);
    use_ = BoundsUse(clusters_, points_.columns());
    found_.resize(at(points_.context().threads()));
    wide_place_.assign(at(points_.columns()) + 1, -1);
    Index place = 0;
    for (const Index j : points_.terms().wide()) wide_place_[at(j)] = place++;
    wide_totals_.resize(at(clusters_ * place));
  });
}

/// Every row.
void ClusterSums::search_block(const CentreSearch& search, Index block, Found& found) {
  constexpr Index kAtOnce = CentreSearch::kTilesAtOnce;
  std::array<std::int32_t, kAtOnce * kTileRows> labels{};
  const Index end = points_.end_tile(block);
  for (Index first = points_.first_tile(block); first < end; first += kAtOnce) {
    const Index count = std::min(kAtOnce, end - first);
    search.nearest(first, count, labels.data());
    take_labels(first, count, labels.data(), found);
  }
}

/// Rows whose label bounds do not show to stand.
void ClusterSums::assign_block(const CentreSearch& search, Index block, Found& found) {
  constexpr Index kAtOnce = CentreSearch::kTilesAtOnce;
  std::array<std::int32_t, kAtOnce * kTileRows> labels{};
  alignas(64) std::array<float, kAtOnce * kTileRows> gaps{};
  // Rows of these tiles and of the next, which memory brings nearer meanwhile.
  std::array<CentreBounds::Rows, 2> rows;
  const Index end = points_.end_tile(block);
  const auto find_stale = [&](Index first, CentreBounds::Rows& stale) {
    const Index count = std::min(kAtOnce, end - first);
    return count > 0 && bounds_.find_stale(first, count, labels_.data() + first * kTileRows, stale);
  };
  bool stale = find_stale(points_.first_tile(block), rows[0]);
  std::size_t own = 0;
  for (Index first = points_.first_tile(block); first < end; first += kAtOnce, own = 1 - own) {
    const Index count = std::min(kAtOnce, end - first);
    const Index next = first + kAtOnce;
    CentreBounds::Rows& next_rows = rows[1 - own];
    const bool next_stale = find_stale(next, next_rows);
    if (!std::exchange(stale, next_stale)) continue;
    std::copy_n(labels_.data() + first * kTileRows, count * kTileRows, labels.data());
    search.nearest(first, count, rows[own].stale.data(), labels.data(), gaps.data(),
                   {next, next_stale ? std::min(kAtOnce, end - next) : 0, next_rows.stale.data()});
    for (Index t = 0; t < count; ++t) found.searched += std::popcount(rows[own].stale[at(t)]);
    bounds_.renew(first, count, labels.data(), gaps.data(), rows[own]);
    take_labels(first, count, labels.data(), found);
  }
}

void ClusterSums::take_labels(Index first, Index count, const std::int32_t* labels, Found& found) {
  std::array<std::uint32_t, CentreSearch::kTilesAtOnce> changed{};
  compare_labels(labels, labels_.data() + first * kTileRows, count, changed.data());
  for (Index t = 0; t < count; ++t) {
    if (changed[at(t)] == 0) continue;
    found.changed += std::popcount(changed[at(t)]);
    move_rows(first + t, changed[at(t)], labels + t * kTileRows, found.moved.data());
  }
}

void ClusterSums::move_rows(Index tile, std::uint32_t changed, const std::int32_t* found,
                            std::int64_t* moved) {
  std::array<double, kTileRows> buffer{};
  const double* weight = points_.weights(tile, buffer);
  std::int32_t* labels = labels_.data() + tile * kTileRows;
  std::array<Index, kTileRows> places;
  std::array<TwoLimbTerms::Move, kTileRows> moves;
  std::size_t count = 0;
  for (std::uint32_t bits = changed; bits != 0; bits &= bits - 1) {
    const int r = std::countr_zero(bits);
    const std::int32_t before = labels[r];
    labels[r] = found[r];
    if (weight[r] == 0) continue;  // so have places past the last row
    places[count] = r;
    moves[count++] = {weight[r], moved + found[r] * length_, before < 0 ? nullptr : moved + before * length_};
  }
  points_.move(tile, std::span(places).first(count), std::span(moves).first(count));
}

void ClusterSums::assign(std::span<const double> centres) {
  const Context& context = points_.context();
  context.comm().collectively([&] {
    change_.assign(totals_.size(), 0);
    if (search_ == nullptr)
      search_ = points_.search(centres);
    else
      search_->take(centres);
    bounds_.move(centres, 1 / points_.unit());
    for (auto& found : found_) found.moved.clear();
    const bool bounded = use_.bounded();
    points_.for_each_block([&](Index block, int thread) {
      Found& found = found_[at(thread)];
      if (found.moved.empty()) found.moved.resize(totals_.size(), 0);
      if (bounded)
        assign_block(*search_, block, found);
      else
        search_block(*search_, block, found);
    });
    finish_pass();
  });
  context.comm().allreduce_sum(change_);
  for (std::size_t i = 0; i < change_.size(); ++i) totals_[i] += change_[i];
  if (!points_.terms().wide().empty()) sum_wide_columns();
}

/// Adds up what threads found.
void ClusterSums::finish_pass() {
  Index searched = 0;
  Index changed = 0;
  for (Found& found : found_) {
    for (std::size_t i = 0; i < found.moved.size(); ++i) change_[i] += found.moved[i];
    searched += std::exchange(found.searched, 0);
    changed += std::exchange(found.changed, 0);
  }
  const bool bounded = use_.bounded();
  use_.note_pass(points_.local_rows(), searched, changed);
  if (bounded && !use_.bounded()) bounds_.forget();
}

void ClusterSums::sum_wide_columns() {
  const auto& wide = points_.terms().wide();
  const auto width = static_cast<Index>(wide.size());
  const TwoLimbTerms& terms = points_.terms();
  CanonicalSum tree(points_.context().comm(), points_.rows().partition, clusters_ * width,
                    points_.context().threads());
  const auto total = tree(
      [&](Index block, std::span<double> out) {
        std::fill(out.begin(), out.end(), 0.0);
        std::vector<double> row(at(points_.columns()) + 1, 1.0);
        std::array<double, kTileRows> buffer{};
        for (Index t = points_.first_tile(block); t < points_.end_tile(block); ++t) {
          const double* weight = points_.weights(t, buffer);
          for (Index r = 0; r < kTileRows; ++r) {
            if (weight[r] == 0) continue;
            points_.copy_row(t * kTileRows + r, std::span(row).first(at(points_.columns())));
            double* sums = out.data() + labels_[at(t * kTileRows + r)] * width;
            for (Index i = 0; i < width; ++i)
              sums[i] += terms.term(wide[at(i)], row[at(wide[at(i)])], weight[r]);
          }
        }
      },
      points_.store());
  std::copy(total.begin(), total.end(), wide_totals_.begin());
}

WideSum ClusterSums::sum(Index cluster, Index j) const {
  const Index place = wide_place_[at(j)];
  if (place < 0) return points_.terms().sum(totals_.data() + cluster * length_, j);
  const auto width = static_cast<Index>(points_.terms().wide().size());
  return {wide_totals_[at(cluster * width + place)], 0};
}

double ClusterSums::mean(Index cluster, Index j) const {
  return points_.terms().mean(j, sum(cluster, j), weight(cluster));
}

double ClusterSums::cost(std::span<const double> centres) const {
  const TwoLimbTerms& terms = points_.terms();
  const double scale = 1 / points_.unit();
  double change = 0;
  for (Index c = 0; c < clusters_; ++c) {
    const double cluster_weight = terms.value(points_.columns(), weight(c));
    double squares = 0;
    double products = 0;
    for (Index j = 0; j < points_.columns(); ++j) {
      const double delta = (centres[at(c * points_.columns() + j)] - terms.shift()[at(j)]) * scale;
      squares += delta * delta;
      products += delta * (terms.value(j, sum(c, j)) * scale);
    }
    change += cluster_weight * squares - 2 * products;
  }
  return std::max(0.0, points_.total_energy() + change);
}

}  // namespace firesteel::detail
