// SPDX-License-Identifier: Apache-2.0
#include "firesteel/algorithms/kmeans_dense.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <mutex>

#include "firesteel/core/canonical_sum.hpp"
#include "firesteel/core/parallel.hpp"
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

}  // namespace

template <class Scalar>
void DensePoints<Scalar>::normalise(Index block) {
  std::vector<double> row(at(columns()));
  std::array<double, kTileRows> buffer{};
  const Index first = first_tile(block) * kTileRows;
  const Index end = std::min(end_tile(block) * kTileRows, local_rows());
  normalised_.begin_rows(first, end);
  for (Index r = first; r < end; ++r) {
    copy_row(r, row);
    const UnitLength unit(row, weights(r / kTileRows, buffer)[r % kTileRows], first_row() + r);
    for (Index j = 0; j < columns(); ++j) normalised_.at(r, j) = static_cast<Scalar>(unit(row[at(j)]));
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

template class DensePoints<float>;
template class DensePoints<double>;

std::unique_ptr<KMeansPoints> make_dense_points(const RowBlocks& rows, const DenseTiles<float>& tiles,
                                                bool cosine) {
  return std::make_unique<DensePoints<float>>(rows, tiles, cosine);
}
std::unique_ptr<KMeansPoints> make_dense_points(const RowBlocks& rows, const DenseTiles<double>& tiles,
                                                bool cosine) {
  return std::make_unique<DensePoints<double>>(rows, tiles, cosine);
}

}  // namespace firesteel::detail
