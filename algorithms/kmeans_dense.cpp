// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <mutex>

#include "firesteel/algorithms/kmeans_points.hpp"
#include "firesteel/core/canonical_sum.hpp"
#include "firesteel/core/parallel.hpp"
#include "firesteel/linalg/nearest_centres.hpp"
#include "firesteel/linalg/row_bounds.hpp"

namespace firesteel::detail {

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr std::size_t kLanes = 8;

std::size_t at(Index i) { return static_cast<std::size_t>(i); }

/// Folds eight lanes a column into one value, by a function of two values.
template <class Combine>
void fold_into(std::vector<double>& columns, const AlignedVector<double>& lanes, Combine&& combine) {
  for (std::size_t i = 0; i < columns.size() * kLanes; ++i)
    columns[i / kLanes] = combine(columns[i / kLanes], lanes[i]);
}

/// A number near the mean with few bits, so that x − shift is often exact and a mean that should be 0 is 0:
/// the multiple of 2⁻²⁰ of the column's range that is nearest to the mean.
double choose_shift(double mean, double lowest, double highest) {
  const double range = highest - lowest;
  if (!(range > 0) || !std::isfinite(range)) return std::isfinite(lowest) ? lowest : 0.0;
  const double grid = std::ldexp(1.0, std::max(-1000, std::ilogb(range) - 20));
  const double shift = std::round(std::clamp(mean, lowest, highest) / grid) * grid;
  return std::isfinite(shift) ? shift : lowest;
}

template <class Scalar>
class DensePoints;

template <class Scalar>
class DenseSearch final : public CentreSearch {
 public:
  DenseSearch(const DensePoints<Scalar>& points, std::span<const double> centres, double scale, int exponent);
  void take(std::span<const double> centres) override;
  void nearest(Index first, Index count, std::int32_t* labels) const override;
  void nearest(Index first, Index count, std::uint32_t* wanted, std::int32_t* labels,
               float* gaps) const override;
  void distances(Index tile, const std::int32_t* labels, double* distances) const override;

 private:
  void turn();  ///< centres_ into columnwise_
  void search_tiles(Index first, Index count, std::int32_t* labels, float* gaps) const;
  void search_packed(Index first, Index count, const std::uint32_t* wanted, std::int32_t* labels,
                     float* gaps) const;
  SearchBounds<Scalar> bounds_of(Index first, Index count, const std::uint32_t* wanted) const;
  std::int32_t nearest_directly(Index row) const;

  const DensePoints<Scalar>& points_;
  PackedCentres<Scalar> packed_;
  std::vector<double> centres_;
  Index count_;
  Index stride_;
  AlignedVector<double> columnwise_;
  double scale_;
};

template <class Scalar>
class DensePoints final : public KMeansPoints {
 public:
  DensePoints(const RowBlocks& rows, const DenseTiles<Scalar>& tiles, bool cosine)
      : KMeansPoints(rows), tiles_(&tiles) {
    norms_.resize(at(tiles.tiles()));
    if (!cosine) return;
    normalised_ =
        DenseTiles<Scalar>(context(), tiles.local_rows(), tiles.columns(), rows.partition.block_rows());
    firesteel::for_each_block(rows, [&](Index block, int) { normalise(block); });
    tiles_ = &normalised_;
  }

  std::unique_ptr<CentreSearch> search(std::span<const double> centres) const override {
    return std::make_unique<DenseSearch<Scalar>>(*this, centres, scale(), exponent());
  }
  void copy_row(Index row, std::span<double> values) const override { tiles_->copy_row(row, values); }
  void move(Index tile, std::span<const Index> places,
            std::span<const TwoLimbTerms::Move> moves) const override;
  void products(Index tile, const double* vectors, Index count, double* out) const override {
    tile_products(values(tile), columns(), terms().shift().data(), vectors, count, out);
  }

  BlockStore* store() const override { return tiles_->store(); }

  const Scalar* values(Index tile) const { return tiles_->tile(tile); }
  /// Largest ‖x‖ and ‖x − shift‖ of the tile's rows, in units.
  std::pair<double, double> norms(Index tile) const { return norms_[at(tile)]; }

 protected:
  ColumnRange measure_columns() const override;
  TermRange measure_terms() override;

 private:
  void normalise(Index block);

  const DenseTiles<Scalar>* tiles_;
  DenseTiles<Scalar> normalised_;
  std::vector<std::pair<double, double>> norms_;
};

template <class Scalar>
void DensePoints<Scalar>::normalise(Index block) {
  std::vector<double> row(at(columns()));
  std::array<double, kTileRows> buffer{};
  const Index first = first_tile(block) * kTileRows;
  const Index end = std::min(end_tile(block) * kTileRows, local_rows());
  normalised_.begin_rows(first, end);
  for (Index r = first; r < end; ++r) {
    copy_row(r, row);
    const double inverse =
        inverse_length(row, weights(r / kTileRows, buffer)[r % kTileRows], first_row() + r);
    for (Index j = 0; j < columns(); ++j) normalised_.at(r, j) = static_cast<Scalar>(row[at(j)] * inverse);
  }
  normalised_.end_rows(first, end);
}

template <class Scalar>
void DensePoints<Scalar>::move(Index tile, std::span<const Index> places,
                               std::span<const TwoLimbTerms::Move> moves) const {
  // Rows by eights, as they lie: copied whole where many of them move, else column by column of those that
  // do, so that what is written to `rows` has settled in the cache before it is read in wider pieces.
  constexpr Index kAtOnce = 8;
  constexpr std::size_t kMany = 4;
  const Index stride = terms().stride();
  thread_local AlignedVector<double> rows;
  thread_local Index prepared = 0;  // for how many columns
  if (prepared != columns()) {
    rows.assign(at(kAtOnce * stride), 0.0);
    for (Index i = 0; i < kAtOnce; ++i) rows[at(i * stride + columns())] = 1.0;
    prepared = columns();
  }
  for (std::size_t first = 0; first < moves.size();) {
    const Index eight = places[first] / kAtOnce * kAtOnce;
    std::size_t end = first;
    while (end < moves.size() && places[end] < eight + kAtOnce) ++end;
    if (end - first >= kMany) {
      copy_eight_rows(values(tile), columns(), eight, rows.data(), stride);
      if (end - first == at(kAtOnce)) {
        terms().move(rows.data(), moves.subspan(first, end - first));
        first = end;
      }
      for (; first < end; ++first)
        terms().move(rows.data() + (places[first] - eight) * stride, moves.subspan(first, 1));
      continue;
    }
    end = std::min(moves.size(), first + at(kAtOnce));
    for (Index j = 0; j < columns(); ++j) {
      const Scalar* column = values(tile) + j * kTileRows;
      for (std::size_t i = first; i < end; ++i)
        rows[(i - first) * at(stride) + at(j)] = static_cast<double>(column[places[i]]);
    }
    terms().move(rows.data(), moves.subspan(first, end - first));
    first = end;
  }
}

template <class Scalar>
KMeansPoints::ColumnRange DensePoints<Scalar>::measure_columns() const {
  const auto width = at(columns());
  ColumnRange range;
  range.lowest.assign(width, kInfinity);
  range.highest.assign(width, -kInfinity);
  std::mutex mutex;
  CanonicalSum sum(context().comm(), rows().partition, columns() + 1, context().threads());
  const auto total = sum(
      [&](Index block, std::span<double> out) {
        AlignedVector<double> sums(width * kLanes, 0.0);
        AlignedVector<double> lowest(width * kLanes, kInfinity);
        AlignedVector<double> highest(width * kLanes, -kInfinity);
        double count = 0;
        for (Index t = first_tile(block); t < end_tile(block); ++t) {
          std::array<double, kTileRows> buffer{};
          const double* weight = weights(t, buffer);
          add_tile_range(values(t), columns(), weight, sums.data(), lowest.data(), highest.data());
          count +=
              static_cast<double>(std::count_if(weight, weight + kTileRows, [](double w) { return w > 0; }));
        }
        for (std::size_t j = 0; j < width; ++j) out[j] = fold_lanes(sums.data() + j * kLanes);
        out[width] = count;
        const std::lock_guard lock(mutex);
        fold_into(range.lowest, lowest, [](double a, double b) { return std::min(a, b); });
        fold_into(range.highest, highest, [](double a, double b) { return std::max(a, b); });
      },
      store());
  context().comm().allreduce_min(std::span<double>(range.lowest));
  context().comm().allreduce_max(std::span<double>(range.highest));
  for (std::size_t j = 0; j < width; ++j)
    range.shift.push_back(choose_shift(total[j] * 0x1p64 / total[width], range.lowest[j], range.highest[j]));
  return range;
}

template <class Scalar>
KMeansPoints::TermRange DensePoints<Scalar>::measure_terms() {
  const auto width = at(columns());
  TermRange range;
  range.largest.assign(width + 1, 0.0);
  range.smallest.assign(width + 1, kInfinity);
  std::mutex mutex;
  CanonicalSum sum(context().comm(), rows().partition, 1, context().threads());
  const auto total = sum(
      [&](Index block, std::span<double> out) {
        // One more column, for the weights.
        AlignedVector<double> largest((width + 1) * kLanes, 0.0);
        AlignedVector<double> smallest((width + 1) * kLanes, kInfinity);
        alignas(64) std::array<double, kTileRows> row_norms;
        alignas(64) std::array<double, kTileRows> centred_norms;
        out[0] = 0;
        for (Index t = first_tile(block); t < end_tile(block); ++t) {
          std::array<double, kTileRows> buffer{};
          const double* weight = weights(t, buffer);
          add_tile_magnitudes(values(t), terms(), weight, scale(), largest.data(), smallest.data(),
                              row_norms.data(), centred_norms.data());
          norms_[at(t)] = {std::sqrt(*std::max_element(row_norms.begin(), row_norms.end())),
                           std::sqrt(*std::max_element(centred_norms.begin(), centred_norms.end()))};
          for (std::size_t r = 0; r < kTileRows; ++r) {
            if (weight[r] == 0) continue;
            out[0] += weight[r] * centred_norms[r];
            const double term = weight[r] * terms().weight_scale();
            largest[width * kLanes] = std::max(largest[width * kLanes], term);
            smallest[width * kLanes] = std::min(smallest[width * kLanes], term);
          }
        }
        const std::lock_guard lock(mutex);
        fold_into(range.largest, largest, [](double a, double b) { return std::max(a, b); });
        fold_into(range.smallest, smallest, [](double a, double b) { return std::min(a, b); });
      },
      store());
  range.energy = total[0];
  return range;
}

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
                                  float* gaps) const {
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
    return search_packed(first, count, wanted, labels, gaps);
  for (Index t = 0; t < count;) {
    Index end = t;
    for (; end < count && wanted[end] != 0; ++end) wanted[end] = ~std::uint32_t{0};
    if (end > t) search_tiles(first + t, end - t, labels + t * kTileRows, gaps + t * kTileRows);
    t = end + 1;
  }
}

template <class Scalar>
void DenseSearch<Scalar>::search_tiles(Index first, Index count, std::int32_t* labels, float* gaps) const {
  std::array<SearchBounds<Scalar>, kTilesAtOnce> bounds;
  std::array<std::uint32_t, kTilesAtOnce> unsure;
  for (Index t = 0; t < count; ++t) {
    const auto [row_norm, centred_norm] = points_.norms(first + t);
    bounds[at(t)] = packed_.bounds(row_norm, centred_norm);
  }
  find_nearest<Scalar>({points_.values(first), kTileRows * points_.columns(), kTileRows, count}, packed_,
                       bounds.data(), labels, unsure.data(), packed_.gaps_known() ? gaps : nullptr);
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
                                        std::int32_t* labels, float* gaps) const {
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
  find_nearest<Scalar>({copies.data(), kTileRows, kStride, tiles}, packed_, bounds.data(), found.data(),
                       unsure.data(), packed_.gaps_known() ? found_gaps.data() : nullptr);
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

}  // namespace

std::unique_ptr<KMeansPoints> make_dense_points(const RowBlocks& rows, const DenseTiles<float>& tiles,
                                                bool cosine) {
  return std::make_unique<DensePoints<float>>(rows, tiles, cosine);
}
std::unique_ptr<KMeansPoints> make_dense_points(const RowBlocks& rows, const DenseTiles<double>& tiles,
                                                bool cosine) {
  return std::make_unique<DensePoints<double>>(rows, tiles, cosine);
}

}  // namespace firesteel::detail
