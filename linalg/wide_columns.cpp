// SPDX-License-Identifier: Apache-2.0
#include "firesteel/linalg/wide_columns.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>

#include "firesteel/core/parallel.hpp"

namespace firesteel {

namespace {

/// Columns a block of the slices: what a dot sums at a time.
constexpr Index kSliceBlock = 4096;
/// Columns that a thread takes at a time.
constexpr Index kColumnsATask = 512;

std::size_t size_of(Index i) { return static_cast<std::size_t>(i); }

double power_of_two(int exponent) { return std::ldexp(1.0, std::clamp(exponent, -1024, 1023)); }

/// The power of two that brings `largest` to [½, 1).
double normalizing_scale(double largest) {
  if (!(largest > 0)) return 1;
  int exponent = 0;
  std::frexp(largest, &exponent);
  return power_of_two(-exponent);
}

}  // namespace

LimbScale limb_scale(double bound, std::int64_t count) {
  if (!(bound > 0) || count == 0) return {};
  const int bits = std::min(50, 61 - static_cast<int>(std::bit_width(static_cast<std::uint64_t>(count))));
  int exponent = 0;
  std::frexp(bound, &exponent);
  return {power_of_two(bits - exponent), power_of_two(bits)};
}

WideColumns::WideColumns(const RowBlocks& data, std::span<const double> weights, Index outputs,
                         bool extra_column)
    : data_(data),
      outputs_(outputs),
      slices_(
          BlockPartition::even(data.columns() + (extra_column ? 1 : 0), kSliceBlock, data.context.size())),
      exchange_(data.context.comm(), slices_,
                data.context.comm().collectively([&] { return sort_by_column(weights); })) {}

template <class Scalar>
std::vector<std::int32_t> WideColumns::sort_by_column(const SparseRows<Scalar>& features,
                                                      std::span<const double> weights) {
  const Index rows = features.local_rows();
  if (rows > std::numeric_limits<std::uint32_t>::max())
    throw bad_input("a rank has " + std::to_string(rows) +
                    " sparse rows of many columns, more than 2^32 - 1: use more ranks");
  std::vector<std::uint32_t> place(size_of(features.columns()), 0);  // counts at first
  Index non_zeros = 0;
  for (Index row = 0; row < rows; ++row) {
    if (!(weights[size_of(row)] > 0)) continue;
    for (const std::int32_t column : features.row_indices(row)) ++place[size_of(column)];
    non_zeros += static_cast<Index>(features.row_indices(row).size());
  }
  std::vector<std::int32_t> columns;
  ColumnMajor<Scalar> sorted;
  for (std::size_t j = 0; j < place.size(); ++j) {
    if (place[j] == 0) continue;
    sorted.begin.push_back(sorted.begin.back() + place[j]);
    place[j] = static_cast<std::uint32_t>(columns.size());
    columns.push_back(static_cast<std::int32_t>(j));
  }
  sorted.rows.resize(size_of(non_zeros));
  sorted.values.resize(size_of(non_zeros));
  std::vector<Index> next(sorted.begin.begin(), sorted.begin.end() - 1);
  for (Index row = 0; row < rows; ++row) {
    if (!(weights[size_of(row)] > 0)) continue;
    const auto indices = features.row_indices(row);
    const auto values = features.row_values(row);
    for (std::size_t i = 0; i < indices.size(); ++i) {
      const std::size_t at = size_of(next[place[size_of(indices[i])]]++);
      sorted.rows[at] = static_cast<std::uint32_t>(row);
      sorted.values[at] = values[i];
    }
  }
  by_column_ = std::move(sorted);
  find_places(features, place);
  return columns;
}

/// Coefficients are laid out by column number where that takes less memory than a place for each non-zero.
template <class Scalar>
void WideColumns::find_places(const SparseRows<Scalar>& features, std::span<const std::uint32_t> place) {
  const std::size_t non_zeros = features.indices.size();
  if (features.columns() * outputs_ * 8 <= static_cast<Index>(non_zeros) * 4) {
    by_place_ = false;
    return;
  }
  places_.resize(non_zeros);
  for (std::size_t i = 0; i < non_zeros; ++i)
    places_[i] = static_cast<std::int32_t>(place[size_of(features.indices[i])]);
}

// After the template, or clang 14 does not instantiate it.
std::vector<std::int32_t> WideColumns::sort_by_column(std::span<const double> weights) {
  return std::visit(
      [&](const auto& features) -> std::vector<std::int32_t> {
        using Features = std::decay_t<decltype(features)>;
        using Scalar = typename Features::value_type;
        if constexpr (std::is_same_v<Features, SparseRows<Scalar>>)
          return sort_by_column(features, weights);
        else
          throw internal_error("wide columns of dense rows");
      },
      data_.features);
}

Index WideColumns::first_column() const {
  return std::min(slices_.first_row(data_.context.rank()), data_.columns());
}
Index WideColumns::slice_columns() const {
  return std::min(slices_.end_row(data_.context.rank()), data_.columns()) - first_column();
}

std::vector<LimbScale> WideColumns::scales_in_rows(std::span<const LimbScale> slice_scales) const {
  Communicator& comm = data_.context.comm();
  const auto pairs = comm.collectively([&] {
    std::vector<double> values;
    for (const LimbScale& scale : slice_scales) values.insert(values.end(), {scale.scale, scale.limb});
    return values;
  });
  const auto received = exchange_.gather(pairs, 2);
  return comm.collectively([&] {
    std::vector<LimbScale> scales(received.size() / 2);
    for (std::size_t i = 0; i < scales.size(); ++i) scales[i] = {received[2 * i], received[2 * i + 1]};
    return scales;
  });
}

std::vector<double> WideColumns::sum_columns(Index width, std::span<const LimbScale> slice_scales,
                                             FunctionRef<void(std::size_t, std::int64_t*)> add) const {
  Communicator& comm = data_.context.comm();
  const auto group = 2 * size_of(width);
  const auto totals = [&] {
    const auto own = comm.collectively([&] {
      const auto count = static_cast<Index>(exchange_.columns().size());
      std::vector<std::int64_t> limbs(size_of(count) * group, 0);
      parallel_for(data_.context.threads(), (count + kColumnsATask - 1) / kColumnsATask,
                   [&](Index task, int) {
                     const Index end = std::min(count, (task + 1) * kColumnsATask);
                     for (Index i = task * kColumnsATask; i < end; ++i)
                       add(size_of(i), limbs.data() + size_of(i) * group);
                   });
      return limbs;
    });
    return exchange_.sum(own, 2 * width);
  }();
  return comm.collectively([&] {
    std::vector<double> sums(totals.size() / 2);
    for (std::size_t i = 0; i < sums.size(); ++i)
      if (i / size_of(width) < slice_scales.size())
        sums[i] = limb_sum(totals.data() + 2 * i, slice_scales[i / size_of(width)]);
    return sums;
  });
}

namespace {

/// Calls body(row, value) for the non-zeros of the i-th column in own rows.
template <class ByColumn, class Body>
void for_each_row(const ByColumn& by_column, std::size_t i, Body&& body) {
  std::visit(
      [&](const auto& sorted) {
        const auto end = size_of(sorted.begin[i + 1]);
        for (auto p = size_of(sorted.begin[i]); p < end; ++p)
          body(sorted.rows[p], static_cast<double>(sorted.values[p]));
      },
      by_column);
}

}  // namespace

void WideColumns::find_extremes(ColumnMoments& moments) const {
  Communicator& comm = data_.context.comm();
  const std::size_t own = exchange_.columns().size();
  std::vector<double> largest;
  std::vector<std::int64_t> count;
  comm.collectively([&] {
    largest.resize(own);
    count.resize(own);
    for (std::size_t i = 0; i < own; ++i)
      for_each_row(by_column_, i, [&](std::uint32_t, double x) {
        largest[i] = std::max(largest[i], std::abs(x));
        ++count[i];
      });
  });
  moments.largest = exchange_.max(largest);
  moments.count = exchange_.sum(count, 1);
  moments.largest.resize(size_of(slice_columns()));
  moments.count.resize(size_of(slice_columns()));
}

ColumnMoments WideColumns::moments(std::span<const double> weights) const {
  Communicator& comm = data_.context.comm();
  ColumnMoments moments;
  const WeightSums w = sum_weights(data_, weights);
  moments.weight_sum = w.total;
  find_extremes(moments);
  for (const double weight : weights) moments.largest_weight = std::max(moments.largest_weight, weight);
  comm.allreduce_max(std::span(&moments.largest_weight, 1));
  const double weight_scale = normalizing_scale(moments.largest_weight);
  const double total = w.total * weight_scale;

  // Terms are weights and values brought below 1; centred values are below 2.
  const auto d = size_of(slice_columns());
  std::vector<double> unit;
  std::vector<LimbScale> slice_scales;
  comm.collectively([&] {
    for (std::size_t j = 0; j < d; ++j) {
      unit.push_back(normalizing_scale(moments.largest[j]));
      slice_scales.push_back(limb_scale(4, moments.count[j]));
    }
    unit.resize(size_of(slices_.local_rows(comm.rank())));
    slice_scales.resize(unit.size());
  });
  const auto scales = scales_in_rows(slice_scales);
  const auto units = exchange_.gather(unit, 1);
  const auto sums = sum_columns(2, slice_scales, [&](std::size_t i, std::int64_t* limbs) {
    for_each_row(by_column_, i, [&](std::uint32_t row, double x) {
      const double scaled = weights[row] * weight_scale * scales[i].scale;
      add_term(scaled * (x * units[i]), scales[i].limb, limbs);
      add_term(scaled, scales[i].limb, limbs + 2);
    });
  });
  std::vector<double> mean;
  comm.collectively([&] {
    mean.resize(unit.size());
    for (std::size_t j = 0; j < d; ++j) mean[j] = sums[2 * j] / total;
  });
  const auto means = exchange_.gather(mean, 1);
  const auto squares = sum_columns(1, slice_scales, [&](std::size_t i, std::int64_t* limbs) {
    for_each_row(by_column_, i, [&](std::uint32_t row, double x) {
      const double delta = x * units[i] - means[i];
      add_term(weights[row] * weight_scale * (delta * delta) * scales[i].scale, scales[i].limb, limbs);
    });
  });
  comm.collectively([&] {
    moments.mean.resize(d);
    moments.deviation.resize(d);
  });
  const double denominator = w.denominator * weight_scale;
  for (std::size_t j = 0; j < d; ++j) {
    const double square = squares[j] + std::max(0.0, total - sums[2 * j + 1]) * (mean[j] * mean[j]);
    moments.mean[j] = mean[j] / unit[j];
    // Differences within the rounding of the mean are none: the column is constant.
    const bool constant = square <= 1e-30 * total * (mean[j] * mean[j]);
    moments.deviation[j] = constant ? 0.0 : std::sqrt(square / denominator) / unit[j];
  }
  return moments;
}

void WideColumns::set_scales(const ColumnMoments& slice_moments, double largest_factor) {
  factor_scale_ = normalizing_scale(largest_factor);
  data_.context.comm().collectively([&] {
    slice_scales_.clear();
    for (std::size_t j = 0; j < slice_moments.largest.size(); ++j)
      slice_scales_.push_back(limb_scale(slice_moments.largest[j], slice_moments.count[j]));
    slice_scales_.resize(size_of(slices_.local_rows(data_.context.rank())));
  });
  scales_ = scales_in_rows(slice_scales_);
}

void WideColumns::receive_coefficients(std::span<const double> slice) {
  const auto received = exchange_.gather(slice, outputs_);
  if (single_products_)
    place_coefficients(received, single_coefficients_);
  else
    place_coefficients(received, coefficients_);
}

template <class Scalar>
void WideColumns::place_coefficients(std::span<const double> received,
                                     AlignedVector<Scalar>& coefficients) const {
  const auto outputs = size_of(outputs_);
  if (by_place_) {
    coefficients.resize(received.size());
    for (std::size_t i = 0; i < received.size(); ++i) coefficients[i] = static_cast<Scalar>(received[i]);
    // Rows of weight 0 may be all that a rank has: their columns have no place of their own and take the
    // first.
    if (coefficients.empty()) coefficients.resize(outputs);
    return;
  }
  coefficients.resize(size_of(data_.columns()) * outputs);
  for (std::size_t i = 0; i < exchange_.columns().size(); ++i)
    for (std::size_t k = 0; k < outputs; ++k)
      coefficients[size_of(exchange_.columns()[i]) * outputs + k] =
          static_cast<Scalar>(received[i * outputs + k]);
}

namespace {

/// In float the offset is added at the end, in double.
template <class Scalar, class Coefficient>
void sparse_margins(const SparseRows<Scalar>& features, const std::int32_t* indices,
                    const Coefficient* coefficients, std::span<const double> offsets, TileRange range,
                    double* z) {
  constexpr bool kSingle = std::is_same_v<Coefficient, float>;
  const auto outputs = static_cast<Index>(offsets.size());
  const Index end = std::min(range.end * kTileRows, features.local_rows());
  std::fill(z + range.first * outputs * kTileRows, z + range.end * outputs * kTileRows, 0.0);
  for (Index row = range.first * kTileRows; row < end; ++row) {
    double* tile = z + row / kTileRows * outputs * kTileRows + row % kTileRows;
    const Index last = features.row_begin[size_of(row) + 1];
    const Scalar* values = features.values.data();
    for (Index k = 0; k < outputs; ++k) {
      const double offset = offsets[size_of(k)];
      Coefficient sum = kSingle ? 0 : static_cast<Coefficient>(offset);
      for (Index p = features.row_begin[size_of(row)]; p < last; ++p)
        sum += coefficients[indices[p] * outputs + k] * static_cast<Coefficient>(values[p]);
      tile[k * kTileRows] = kSingle ? offset + static_cast<double>(sum) : static_cast<double>(sum);
    }
  }
}

/// Adds factor·value over a column, for each output; the products are of type Product.
template <class Product, class Scalar>
void add_products(const ColumnMajor<Scalar>& sorted, std::size_t i, LimbScale scale, double factor_scale,
                  const double* factors, Index outputs, std::int64_t* limbs) {
  const Index end = sorted.begin[i + 1];
  for (Index k = 0; k < outputs; ++k) {
    std::int64_t sums[2] = {0, 0};
    const auto add = [&](Index p, std::size_t at) {
      if constexpr (std::is_same_v<Product, float>) {
        const Product product = static_cast<Product>(sorted.values[size_of(p)]) *
                                static_cast<Product>(factors[at] * factor_scale);
        add_term(static_cast<double>(product) * scale.scale, scale.limb, sums);
      } else {
        const double x = static_cast<double>(sorted.values[size_of(p)]) * scale.scale;
        add_term(x * (factors[at] * factor_scale), scale.limb, sums);
      }
    };
    if (outputs == 1) {  // margins lie as rows do
      for (Index p = sorted.begin[i]; p < end; ++p) add(p, sorted.rows[size_of(p)]);
    } else {
      for (Index p = sorted.begin[i]; p < end; ++p) {
        const std::size_t row = sorted.rows[size_of(p)];
        add(p, (row / kTileRows * size_of(outputs) + size_of(k)) * kTileRows + row % kTileRows);
      }
    }
    limbs[2 * k] = sums[0];
    limbs[2 * k + 1] = sums[1];
  }
}

}  // namespace

void WideColumns::margins(std::span<const double> offsets, TileRange range, double* z) const {
  const auto run = [&](const auto& features) {
    const auto* indices = by_place_ ? places_.data() : features.indices.data();
    if (single_products_)
      sparse_margins(features, indices, single_coefficients_.data(), offsets, range, z);
    else
      sparse_margins(features, indices, coefficients_.data(), offsets, range, z);
  };
  if (const auto* single = std::get_if<SparseRows<float>>(&data_.features))
    run(*single);
  else
    run(std::get<SparseRows<double>>(data_.features));
}

std::vector<double> WideColumns::weighted_sums(const double* factors) const {
  auto sums = sum_columns(outputs_, slice_scales_, [&](std::size_t i, std::int64_t* limbs) {
    std::visit(
        [&](const auto& sorted) {
          if (single_products_)
            add_products<float>(sorted, i, scales_[i], factor_scale_, factors, outputs_, limbs);
          else
            add_products<double>(sorted, i, scales_[i], factor_scale_, factors, outputs_, limbs);
        },
        by_column_);
  });
  for (double& sum : sums) sum /= factor_scale_;
  return sums;
}

}  // namespace firesteel
