// SPDX-License-Identifier: Apache-2.0
// The search of the nearest centres for dense rows: whole tiles where they lie, or copies of the rows wanted.
#include <algorithm>
#include <array>
#include <bit>

#include "firesteel/algorithms/kmeans_dense.hpp"
#include "firesteel/linalg/row_bounds.hpp"

namespace firesteel::detail {

namespace {
std::size_t at(Index i) { return static_cast<std::size_t>(i); }
}  // namespace

template <class Scalar>
DenseSearch<Scalar>::DenseSearch(const DensePoints<Scalar>& points, std::span<const double> centres,
                                 double scale, int exponent)
    : points_(points),
      packed_(centres, points.columns(), points.terms().shift(), exponent),
      centres_(centres.begin(), centres.end()),
      count_(packed_.count()),
      stride_((count_ + 7) / 8 * 8),
      columnwise_(at(stride_ * points.columns())),
      scale_(scale) {
  turn();
}

template <class Scalar>
void DenseSearch<Scalar>::take(std::span<const double> centres) {
  packed_.assign(centres, points_.terms().shift());
  std::copy(centres.begin(), centres.end(), centres_.begin());
  turn();
}

template <class Scalar>
void DenseSearch<Scalar>::turn() {
  for (Index c = 0; c < count_; ++c)
    for (Index j = 0; j < points_.columns(); ++j)
      columnwise_[at(j * stride_ + c)] = centres_[at(c * points_.columns() + j)];
}

template <class Scalar>
void DenseSearch<Scalar>::nearest(Index first, Index count, std::int32_t* labels) const {
  search_tiles(first, count, labels, nullptr);
}

template <class Scalar>
void DenseSearch<Scalar>::nearest(Index first, Index count, std::uint32_t* wanted, std::int32_t* labels,
                                  float* gaps, const Next& next) const {
  Index tiles = 0;
  Index rows = 0;
  for (Index t = 0; t < count; ++t) {
    tiles += wanted[t] != 0 ? 1 : 0;
    rows += std::popcount(wanted[t]);
  }
  // Copying a tile's rows costs about as much as four centres do.
  constexpr Index kCopy = 4;
  const Index spared = tiles - (rows + kTileRows - 1) / kTileRows;
  if (spared * packed_.groups() * packed_.group() > kCopy * tiles)
    return search_packed(first, count, wanted, labels, gaps, next);
  for (Index t = 0; t < count;) {
    Index end = t;
    for (; end < count && wanted[end] != 0; ++end) wanted[end] = ~std::uint32_t{0};
    if (end > t) search_tiles(first + t, end - t, labels + t * kTileRows, gaps + t * kTileRows);
    t = end + 1;
  }
}

/// Of tiles so long that processors see them coming nothing is asked for, lest it push out what is near.
template <class Scalar>
bool DenseSearch<Scalar>::may_ask_for_tiles() const {
  constexpr std::size_t kNear = std::size_t{1} << 18;
  return at(kTileRows * points_.columns() * kTilesAtOnce) * sizeof(Scalar) <= kNear;
}

template <class Scalar>
void DenseSearch<Scalar>::search_tiles(Index first, Index count, std::int32_t* labels, float* gaps) const {
  const Scalar* values = points_.values(first);
  const Index tile_values = kTileRows * points_.columns();
  // Whole tiles follow one another: as many are asked for as are searched.
  std::array<const Scalar*, kTilesAtOnce> coming;
  const Index coming_count = may_ask_for_tiles() ? count : 0;
  for (Index t = 0; t < coming_count; ++t) coming[at(t)] = values + (count + t) * tile_values;
  std::array<SearchBounds<Scalar>, kTilesAtOnce> bounds{};
  std::array<std::uint32_t, kTilesAtOnce> unsure;
  for (Index t = 0; t < count; ++t) {
    const auto [row_norm, centred_norm] = points_.norms(first + t);
    bounds[at(t)] = packed_.bounds(row_norm, centred_norm);
  }
  find_nearest<Scalar>({values, tile_values, kTileRows, count, {coming.data(), coming_count, tile_values}},
                       packed_, bounds.data(), labels, unsure.data(), packed_.gaps_known() ? gaps : nullptr);
  if (gaps != nullptr && !packed_.gaps_known()) std::fill(gaps, gaps + count * kTileRows, -1.0F);
  for (Index t = 0; t < count; ++t)
    for (std::uint32_t bits = unsure[at(t)]; bits != 0; bits &= bits - 1) {
      const Index row = t * kTileRows + std::countr_zero(bits);
      if (gaps != nullptr) gaps[row] = -1;
      if (first * kTileRows + row < points_.local_rows())
        labels[row] = nearest_directly(first * kTileRows + row);
    }
}

/// Bounds for rows of several tiles: those of the largest norms.
template <class Scalar>
SearchBounds<Scalar> DenseSearch<Scalar>::bounds_of(Index first, Index count,
                                                    const std::uint32_t* wanted) const {
  double row_norm = 0;
  double centred_norm = 0;
  for (Index t = 0; t < count; ++t) {
    if (wanted[t] == 0) continue;
    const auto [row, centred] = points_.norms(first + t);
    row_norm = std::max(row_norm, row);
    centred_norm = std::max(centred_norm, centred);
  }
  return packed_.bounds(row_norm, centred_norm);
}

/// Searches copies of the rows wanted that lie next to one another.
template <class Scalar>
void DenseSearch<Scalar>::search_packed(Index first, Index count, const std::uint32_t* wanted,
                                        std::int32_t* labels, float* gaps, const Next& next) const {
  constexpr Index kPlaces = kTilesAtOnce * kTileRows;
  constexpr Index kStride = kPlaces + 16;  // copies overwrite so much beyond their rows
  thread_local AlignedVector<Scalar> copies;
  thread_local std::array<std::int32_t, kPlaces> found;
  thread_local std::array<float, kPlaces> found_gaps;
  copies.resize(at(kStride * points_.columns()));
  Index rows = 0;
  for (Index t = 0; t < count; ++t)
    if (wanted[t] != 0)
      rows +=
          pack_rows(points_.values(first + t), points_.columns(), wanted[t], copies.data() + rows, kStride);
  const Index tiles = (rows + kTileRows - 1) / kTileRows;
  std::array<SearchBounds<Scalar>, kTilesAtOnce> bounds;
  std::array<std::uint32_t, kTilesAtOnce> unsure;
  bounds.fill(bounds_of(first, count, wanted));
  std::array<const Scalar*, kTilesAtOnce> coming;
  Index coming_count = 0;
  const Index tile_values = kTileRows * points_.columns();
  if (may_ask_for_tiles())
    for (Index t = 0; t < next.count; ++t)
      if (next.wanted[t] != 0) coming[at(coming_count++)] = points_.values(next.first + t);
  const Coming<Scalar> ahead{coming.data(), coming_count, tile_values};
  find_nearest<Scalar>({copies.data(), kTileRows, kStride, tiles, ahead}, packed_, bounds.data(),
                       found.data(), unsure.data(), packed_.gaps_known() ? found_gaps.data() : nullptr);
  if (!packed_.gaps_known()) found_gaps.fill(-1);
  std::size_t place = 0;
  for (Index t = 0; t < count; ++t)
    for (std::uint32_t bits = wanted[t]; bits != 0; bits &= bits - 1, ++place) {
      const Index row = t * kTileRows + std::countr_zero(bits);
      labels[row] = found[place];
      gaps[row] = found_gaps[place];
      if ((unsure[place / kTileRows] >> (place % kTileRows) & 1U) == 0) continue;
      gaps[row] = -1;
      if (first * kTileRows + row < points_.local_rows())
        labels[row] = nearest_directly(first * kTileRows + row);
    }
}

template <class Scalar>
std::int32_t DenseSearch<Scalar>::nearest_directly(Index row) const {
  thread_local std::vector<double> values;
  thread_local std::vector<double> distances;
  values.resize(at(points_.columns()));
  distances.resize(at(stride_));
  points_.copy_row(row, values);
  direct_distances(values, columnwise_.data(), stride_, scale_, distances.data());
  return static_cast<std::int32_t>(std::min_element(distances.begin(), distances.begin() + count_) -
                                   distances.begin());
}

template <class Scalar>
void DenseSearch<Scalar>::distances(Index tile, const std::int32_t* labels, double* distances) const {
  labelled_distances(points_.values(tile), points_.columns(), centres_.data(), labels, scale_, distances);
}

template class DenseSearch<float>;
template class DenseSearch<double>;

}  // namespace firesteel::detail
