// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <limits>
#include <mutex>

#include "firesteel/algorithms/kmeans_points.hpp"
#include "firesteel/core/canonical_sum.hpp"
#include "firesteel/core/parallel.hpp"
#include "firesteel/core/row_reader.hpp"
#include "firesteel/core/sparse_rows_builder.hpp"
#include "firesteel/linalg/nearest_centres.hpp"

namespace firesteel::detail {

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

std::size_t at(Index i) { return static_cast<std::size_t>(i); }

/// A sum of products that keeps what rounding loses: about twice double precision.
class CompensatedSum {
 public:
  /// Adds x·(y + y_low).
  void add_product(double x, double y, double y_low = 0) {
    const double product = x * y;
    const double product_lost = std::fma(x, y, -product) + x * y_low;
    const double total = high_ + product;
    const double carried = total - high_;
    low_ += ((high_ - (total - carried)) + (product - carried)) + product_lost;
    high_ = total;
  }
  /// The rounded sum of two.
  friend double total(const CompensatedSum& a, const CompensatedSum& b) {
    return (a.high_ + b.high_) + (a.low_ + b.low_);
  }
  double value() const { return high_ + low_; }

 private:
  double high_ = 0;
  double low_ = 0;
};

template <class Scalar>
class SparsePoints;

/// Compares ½‖c‖² − x·c over the non-zeros, in double for either precision of the rows: without a shift it is
/// exact for small whole numbers, so that their ties are ties.
template <class Scalar>
class SparseSearch final : public CentreSearch {
 public:
  SparseSearch(const SparsePoints<Scalar>& points, std::span<const double> centres, double scale);
  void take(std::span<const double> centres) final;
  void nearest(Index first, Index count, std::int32_t* labels) const override;
  void nearest(Index first, Index count, std::uint32_t* wanted, std::int32_t* labels, float* gaps,
               const Next&) const override {
    nearest(first, count, labels);
    std::fill(wanted, wanted + count, ~std::uint32_t{0});
    std::fill(gaps, gaps + count * kTileRows, -1.0F);
  }
  void distances(Index tile, const std::int32_t* labels, double* distances) const override;

 private:
  const SparsePoints<Scalar>& points_;
  std::vector<double> centres_;
  Index count_;
  Index stride_;
  std::vector<CompensatedSum> squares_;  ///< ‖c·scale‖²
  std::vector<double> offsets_;
  AlignedVector<double> columnwise_;
  double scale_;
};

template <class Scalar>
class SparsePoints final : public KMeansPoints {
 public:
  SparsePoints(const RowBlocks& rows, const SparseRows<Scalar>& sparse, bool cosine)
      : KMeansPoints(rows), sparse_(&sparse) {
    if (cosine) normalise();
  }

  const SparseRows<Scalar>& values() const { return *sparse_; }
  std::unique_ptr<CentreSearch> search(std::span<const double> centres) const override {
    return std::make_unique<SparseSearch<Scalar>>(*this, centres, scale());
  }
  void copy_row(Index row, std::span<double> values) const override {
    std::fill(values.begin(), values.end(), 0.0);
    const auto held = [&] { return store()->address(row >> sparse_->blocks.row_shift) != nullptr; };
    if (store() == nullptr || held()) {
      for_each(row, [&](Index j, double x) { values[at(j)] = x; });
      return;
    }
    SparseRowReader<Scalar> reader(*sparse_);
    const auto own = reader.row(row);
    for (std::size_t i = 0; i < own.indices.size(); ++i)
      values[at(own.indices[i])] = static_cast<double>(own.values[i]);
  }
  BlockStore* store() const override { return sparse_->store(); }
  void move(Index tile, std::span<const Index> places,
            std::span<const TwoLimbTerms::Move> moves) const override {
    for (std::size_t i = 0; i < moves.size(); ++i) {
      const auto& [weight, to, from] = moves[i];
      for_each(tile * kTileRows + places[i], [&, weight = weight, to = to, from = from](Index j, double x) {
        terms().move(j, x, weight, to, from);
      });
      terms().move(columns(), 1.0, weight, to, from);
    }
  }
  void products(Index tile, const double* vectors, Index count, double* out) const override {
    std::fill(out, out + count * kTileRows, 0.0);
    for (Index r = tile * kTileRows; r < end_row(tile); ++r)
      for_each(r, [&](Index j, double x) {
        for (Index v = 0; v < count; ++v)
          out[v * kTileRows + r % kTileRows] += x * vectors[v * columns() + j];
      });
  }

  Index end_row(Index tile) const { return std::min((tile + 1) * kTileRows, local_rows()); }
  template <class Visit>
  void for_each(Index row, Visit&& visit) const {
    const auto indices = sparse_->row_indices(row);
    const auto row_values = sparse_->row_values(row);
    for (std::size_t i = 0; i < indices.size(); ++i)
      visit(static_cast<Index>(indices[i]), static_cast<double>(row_values[i]));
  }

 protected:
  ColumnRange measure_columns() const override;
  TermRange measure_terms() override;

 private:
  void normalise();
  /// out ← values / ‖values‖.
  void normalise_row(Index row, std::span<const Scalar> values, Scalar* out) const;

  const SparseRows<Scalar>* sparse_;
  SparseRows<Scalar> normalised_;
};

template <class Scalar>
void SparsePoints<Scalar>::normalise_row(Index row, std::span<const Scalar> values, Scalar* out) const {
  std::array<double, kTileRows> buffer{};
  const double weight = weights(row / kTileRows, buffer)[row % kTileRows];
  const std::vector<double> wide(values.begin(), values.end());
  const UnitLength unit(wide, weight, first_row() + row);
  for (std::size_t i = 0; i < wide.size(); ++i) out[i] = static_cast<Scalar>(unit(wide[i]));
}

/// Rows of length 1, in memory where there is room for them beside the others.
template <class Scalar>
void SparsePoints<Scalar>::normalise() {
  const SparseRows<Scalar>& given = *sparse_;
  if (given.store() != nullptr) {
    normalised_ = with_other_values<Scalar>(rows(), given, [&](Index row, std::span<Scalar> values) {
      normalise_row(row, values, values.data());
    });
  } else {
    SparseRowsBuilder<Scalar> builder(context(), local_rows(), columns(), rows().partition.block_rows(),
                                      given.non_zeros());
    if (builder.spills()) {
      std::vector<Scalar> values;
      for (Index row = 0; row < local_rows(); ++row) {
        values.resize(given.row_values(row).size());
        normalise_row(row, given.row_values(row), values.data());
        builder.add(given.row_indices(row), values);
      }
      normalised_ = builder.finish();
    } else {
      SparseRows<Scalar> made = builder.finish();
      made.row_begin = given.row_begin;
      made.indices = given.indices;
      made.values.resize(given.values.size());
      parallel_for(context().threads(), tiles(), [&](Index t, int) {
        for (Index row = t * kTileRows; row < end_row(t); ++row)
          normalise_row(row, given.row_values(row), made.values.data() + given.row_begin[at(row)]);
      });
      normalised_ = std::move(made);
    }
  }
  sparse_ = &normalised_;
}

template <class Scalar>
KMeansPoints::ColumnRange SparsePoints<Scalar>::measure_columns() const {
  // Absent values are zeros: the range of a sparse column holds 0, and the shift is 0.
  ColumnRange range;
  range.shift.assign(at(columns()), 0.0);
  range.lowest.assign(at(columns()), 0.0);
  range.highest.assign(at(columns()), 0.0);
  std::mutex mutex;
  context().comm().collectively([&] {
    for_each_block([&](Index block, int) {
      const Index end = std::min(end_tile(block) * kTileRows, local_rows());
      const std::lock_guard lock(mutex);
      for (Index r = first_tile(block) * kTileRows; r < end; ++r) {
        if (weighted() && rows().weights[at(r)] == 0) continue;
        for_each(r, [&](Index j, double x) {
          range.lowest[at(j)] = std::min(range.lowest[at(j)], x);
          range.highest[at(j)] = std::max(range.highest[at(j)], x);
        });
      }
    });
  });
  context().comm().allreduce_min(std::span<double>(range.lowest));
  context().comm().allreduce_max(std::span<double>(range.highest));
  return range;
}

template <class Scalar>
KMeansPoints::TermRange SparsePoints<Scalar>::measure_terms() {
  TermRange range;
  range.largest.assign(at(columns()) + 1, 0.0);
  range.smallest.assign(at(columns()) + 1, kInfinity);
  const auto widen = [&](Index j, double magnitude) {
    if (magnitude == 0) return;
    range.largest[at(j)] = std::max(range.largest[at(j)], magnitude);
    range.smallest[at(j)] = std::min(range.smallest[at(j)], magnitude);
  };
  // One walk for both: what is widest and smallest does not depend on the order of blocks.
  std::mutex mutex;
  CanonicalSum sum(context().comm(), rows().partition, 1, context().threads());
  const auto total = sum(
      [&](Index block, std::span<double> out) {
        out[0] = 0;
        for (Index t = first_tile(block); t < end_tile(block); ++t) {
          std::array<double, kTileRows> buffer{};
          const double* weight = weights(t, buffer);
          for (Index r = t * kTileRows; r < end_row(t); ++r) {
            double norm = 0;
            for_each(r, [&](Index, double x) { norm += (x * scale()) * (x * scale()); });
            out[0] += weight[r % kTileRows] * norm;
          }
        }
        const Index end = std::min(end_tile(block) * kTileRows, local_rows());
        const std::lock_guard lock(mutex);
        for (Index r = first_tile(block) * kTileRows; r < end; ++r) {
          const double weight = weighted() ? rows().weights[at(r)] : 1.0;
          widen(columns(), weight * terms().weight_scale());
          if (weight == 0) continue;
          for_each(r, [&](Index j, double x) { widen(j, std::abs(terms().term(j, x, weight))); });
        }
      },
      store());
  range.energy = total[0];
  return range;
}

template <class Scalar>
SparseSearch<Scalar>::SparseSearch(const SparsePoints<Scalar>& points, std::span<const double> centres,
                                   double scale)
    : points_(points),
      centres_(centres.begin(), centres.end()),
      count_(static_cast<Index>(centres.size()) / points.columns()),
      stride_((count_ + 7) / 8 * 8),
      squares_(at(count_)),
      offsets_(at(stride_), 0.0),
      columnwise_(at(stride_ * points.columns())),
      scale_(scale) {
  take(centres);
}

template <class Scalar>
void SparseSearch<Scalar>::take(std::span<const double> centres) {
  std::copy(centres.begin(), centres.end(), centres_.begin());
  for (Index c = 0; c < count_; ++c) {
    squares_[at(c)] = {};
    for (Index j = 0; j < points_.columns(); ++j) {
      const double value = centres_[at(c * points_.columns() + j)] * scale_;
      columnwise_[at(j * stride_ + c)] = value * scale_;
      squares_[at(c)].add_product(value, value);
    }
    offsets_[at(c)] = 0.5 * squares_[at(c)].value();
  }
}

template <class Scalar>
void SparseSearch<Scalar>::nearest(Index first, Index count, std::int32_t* labels) const {
  thread_local std::vector<double> scores;
  scores.resize(at(stride_));
  const Index first_row = first * kTileRows;
  for (Index r = first_row; r < points_.end_row(first + count - 1); ++r) {
    sparse_scores<Scalar>(points_.values().row_indices(r), points_.values().row_values(r), columnwise_.data(),
                          stride_, offsets_.data(), scores.data());
    labels[r - first_row] =
        static_cast<std::int32_t>(std::min_element(scores.begin(), scores.begin() + count_) - scores.begin());
  }
}

template <class Scalar>
void SparseSearch<Scalar>::distances(Index tile, const std::int32_t* labels, double* distances) const {
  std::fill(distances, distances + kTileRows, 0.0);
  for (Index r = tile * kTileRows; r < points_.end_row(tile); ++r) {
    const Index label = labels[r % kTileRows];
    const double* centre = centres_.data() + label * points_.columns();
    // ‖x − c‖² = ‖c‖² + Σ x·(x − 2c): what cancels is kept, and a row equal to its centre gives 0.
    CompensatedSum rest;
    points_.for_each(r, [&](Index j, double x) {
      const double scaled = x * scale_;
      const double twice = 2 * (centre[j] * scale_);
      const double difference = scaled - twice;
      const double borrowed = difference - scaled;
      const double lost = (scaled - (difference - borrowed)) - (twice + borrowed);
      rest.add_product(scaled, difference, lost);
    });
    distances[r % kTileRows] = std::max(0.0, total(squares_[at(label)], rest));
  }
}

}  // namespace

std::unique_ptr<KMeansPoints> make_sparse_points(const RowBlocks& rows, const SparseRows<float>& sparse,
                                                 bool cosine) {
  return std::make_unique<SparsePoints<float>>(rows, sparse, cosine);
}
std::unique_ptr<KMeansPoints> make_sparse_points(const RowBlocks& rows, const SparseRows<double>& sparse,
                                                 bool cosine) {
  return std::make_unique<SparsePoints<double>>(rows, sparse, cosine);
}

}  // namespace firesteel::detail
