// SPDX-License-Identifier: Apache-2.0
#include "firesteel/algorithms/kmeans_bounds.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "firesteel/linalg/row_bounds.hpp"

namespace firesteel::detail {

namespace {

std::size_t at(Index i) { return static_cast<std::size_t>(i); }

/// Where a full search is quicker, measured (docs/decisions/0050).
constexpr Index kFewColumns = 16;
constexpr Index kFewProducts = 320;
/// One row of so many changes its label: bounds are tried.
constexpr Index kFewChanges = 32;

constexpr float kNone = -std::numeric_limits<float>::infinity();

float rounded_up(double x) {
  return std::nextafter(static_cast<float>(x), std::numeric_limits<float>::infinity());
}
float rounded_down(double x) { return std::max(0.0F, std::nextafter(static_cast<float>(x), kNone)); }

/// An upper bound of the distance times `scale`; not a number or infinite where it cannot be told.
double distance_above(const double* a, const double* b, Index columns, double scale) {
  double sum = 0;
  for (Index j = 0; j < columns; ++j) {
    const double part = (a[j] - b[j]) * scale;
    sum += part * part;
  }
  if (sum == 0) {  // squares may have vanished
    for (Index j = 0; j < columns; ++j) sum = std::max(sum, std::abs(a[j] - b[j]) * scale);
    return sum == 0 ? 0 : std::numeric_limits<double>::infinity();
  }
  if (!(sum >= 1e-200 && sum <= 1e300)) return std::numeric_limits<double>::infinity();
  return std::sqrt(sum) * (1 + 1e-9);  // far more than the roundings, and than direct sums err for a move
}

}  // namespace

CentreBounds::CentreBounds(Index tiles, Index clusters, Index columns)
    : columns_(columns),
      spent_(at(clusters), 0.0),
      spent_up_(at(std::max(clusters, kSpentRoom)) + 1, 0.0F),
      spent_down_(at(std::max(clusters, kSpentRoom)) + 1, 0.0F),
      slack_(at(tiles * kTileRows), kNone),
      tile_slack_(at(tiles), kNone) {}

void CentreBounds::move(std::span<const double> centres, double scale) {
  const std::size_t clusters = spent_.size();
  if (centres_.empty()) {
    centres_.assign(centres.begin(), centres.end());
    return;
  }
  double largest = 0;
  double second = 0;
  std::size_t fastest = clusters;
  for (std::size_t c = 0; c < clusters; ++c) {
    const auto place = c * at(columns_);
    const double moved = distance_above(centres.data() + place, centres_.data() + place, columns_, scale);
    if (!(moved <= largest)) {
      second = largest;
      largest = moved;
      fastest = c;
    } else {
      second = std::max(second, moved);
    }
    spent_[c] += moved;
  }
  constexpr double kUp = 1 + 1e-15;  // two roundings a move
  for (std::size_t c = 0; c < clusters; ++c) {
    spent_[c] = (spent_[c] + (c == fastest ? second : largest)) * kUp;
    spent_up_[c + 1] = rounded_up(spent_[c]);
    spent_down_[c + 1] = rounded_down(spent_[c]);
  }
  most_ = (most_ + largest + second) * kUp;
  most_up_ = rounded_up(most_);
  most_down_ = rounded_down(most_);
  std::copy(centres.begin(), centres.end(), centres_.begin());
}

void CentreBounds::set_tile_slack(Index tile, float least) {
  tile_slack_[at(tile)] = least > 0 ? (least + most_down_) * (1 - 0x1p-22F) : kNone;
}

bool CentreBounds::find_stale(Index first, Index count, const std::int32_t* labels, Rows& rows) {
  std::uint32_t any = 0;
  for (Index t = 0; t < count; ++t) {
    const auto tile = at(first + t);
    rows.stale[at(t)] = 0;
    if (tile_slack_[tile] > most_up_) continue;
    rows.stale[at(t)] = stale_rows(slack_.data() + tile * kTileRows, labels + t * kTileRows,
                                   spent_up_.data() + 1, clusters(), &rows.least[at(t)]);
    any |= rows.stale[at(t)];
    if (rows.stale[at(t)] == 0) set_tile_slack(first + t, rows.least[at(t)]);
  }
  return any != 0;
}

void CentreBounds::forget() {
  std::fill(slack_.begin(), slack_.end(), kNone);
  std::fill(tile_slack_.begin(), tile_slack_.end(), kNone);
}

void CentreBounds::renew(Index first, Index count, const std::int32_t* labels, const float* gaps,
                         const Rows& rows) {
  for (Index t = 0; t < count; ++t) {
    if (rows.stale[at(t)] == 0) continue;
    const float least =
        renew_slack(gaps + t * kTileRows, labels + t * kTileRows, spent_down_.data() + 1, clusters(),
                    rows.stale[at(t)], rows.least[at(t)], slack_.data() + (first + t) * kTileRows);
    set_tile_slack(first + t, least);
  }
}

BoundsUse::BoundsUse(Index clusters, Index columns)
    : small_(columns <= kFewColumns && clusters * columns <= kFewProducts), bounded_(!small_) {}

void BoundsUse::note_pass(Index rows, Index searched, Index changed) {
  if (!small_) return;
  if (bounded_) {
    if (2 * searched <= rows) return;
    bounded_ = false;
    passes_ = next_wait_;
    next_wait_ *= 2;
  } else if (--passes_ <= 0) {
    bounded_ = kFewChanges * changed <= rows;
  }
}

}  // namespace firesteel::detail
