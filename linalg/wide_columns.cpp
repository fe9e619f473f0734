// SPDX-License-Identifier: Apache-2.0
#include "firesteel/linalg/wide_columns.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <limits>
#include <type_traits>

#include "firesteel/core/parallel.hpp"
#include "firesteel/linalg/wide_terms.hpp"

namespace firesteel {

using namespace wide;

namespace {

/// Columns a block of the slices: what a dot sums at a time.
constexpr Index kSliceBlock = 4096;
/// Columns that a thread takes at a time.
constexpr Index kColumnsATask = 512;

std::size_t size_of(Index i) { return static_cast<std::size_t>(i); }

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
  const auto& pool = data_.context.memory();
  const Index by_column =
      features.non_zeros() * static_cast<Index>(sizeof(Scalar) + 2 * sizeof(std::uint32_t));
  by_row_ = features.store() != nullptr || (pool->strict() && by_column > pool->available());
  reserved_ = MemoryReservation(pool, by_row_ ? features.columns() * (24 * outputs_ + 12) : by_column,
                                "columns of sparse rows");
  if (by_row_) return occurring_columns(features, weights);
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

/// Gives the columns that have a value in rows with weight their places, and returns them.
template <class Scalar>
std::vector<std::int32_t> WideColumns::occurring_columns(const SparseRows<Scalar>& features,
                                                         std::span<const double> weights) {
  by_place_ = false;
  place_of_.assign(size_of(features.columns()), -1);
  for_each_block(data_, [&](Index block, int) {
    const auto [first, end] = rows_of_block(block);
    for (Index row = first; row < end; ++row) {
      if (!(weights[size_of(row)] > 0)) continue;
      for (const std::int32_t column : features.row_indices(row))
        std::atomic_ref<std::int32_t>(place_of_[size_of(column)]).store(0, std::memory_order_relaxed);
    }
  });
  std::vector<std::int32_t> columns;
  for (std::size_t j = 0; j < place_of_.size(); ++j) {
    if (place_of_[j] < 0) continue;
    place_of_[j] = static_cast<std::int32_t>(columns.size());
    columns.push_back(static_cast<std::int32_t>(j));
  }
  return columns;
}

/// Own rows of a block, counted from this rank's first.
std::pair<Index, Index> WideColumns::rows_of_block(Index block) const {
  const Index first = data_.partition.first_row(data_.context.rank());
  return {data_.partition.row_of_block(block) - first, data_.partition.row_of_block(block + 1) - first};
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
  const auto group = 2 * size_of(width);
  const auto own = data_.context.comm().collectively([&] {
    const auto count = static_cast<Index>(exchange_.columns().size());
    std::vector<std::int64_t> limbs(size_of(count) * group, 0);
    parallel_for(data_.context.threads(), (count + kColumnsATask - 1) / kColumnsATask, [&](Index task, int) {
      const Index end = std::min(count, (task + 1) * kColumnsATask);
      for (Index i = task * kColumnsATask; i < end; ++i) add(size_of(i), limbs.data() + size_of(i) * group);
    });
    return limbs;
  });
  return sums_of_limbs(width, slice_scales, own);
}

std::vector<double> WideColumns::sums_of_limbs(Index width, std::span<const LimbScale> slice_scales,
                                               std::span<const std::int64_t> limbs) const {
  const auto totals = exchange_.sum(limbs, 2 * width);
  return data_.context.comm().collectively([&] {
    std::vector<double> sums(totals.size() / 2);
    for (std::size_t i = 0; i < sums.size(); ++i)
      if (i / size_of(width) < slice_scales.size())
        sums[i] = limb_sum(totals.data() + 2 * i, slice_scales[i / size_of(width)]);
    return sums;
  });
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

/// In float the offset is added at the end, in double. `places`: of each non-zero its coefficients; null: by
/// column.
template <class Scalar, class Coefficient>
void sparse_margins(const SparseRows<Scalar>& features, const std::int32_t* places,
                    const Coefficient* coefficients, std::span<const double> offsets, TileRange range,
                    double* z) {
  constexpr bool kSingle = std::is_same_v<Coefficient, float>;
  const auto outputs = static_cast<Index>(offsets.size());
  const Index end = std::min(range.end * kTileRows, features.local_rows());
  std::fill(z + range.first * outputs * kTileRows, z + range.end * outputs * kTileRows, 0.0);
  for (Index row = range.first * kTileRows; row < end; ++row) {
    double* tile = z + row / kTileRows * outputs * kTileRows + row % kTileRows;
    const auto values = features.row_values(row);
    const std::int32_t* indices =
        places != nullptr ? places + features.row_begin[size_of(row)] : features.row_indices(row).data();
    for (Index k = 0; k < outputs; ++k) {
      const double offset = offsets[size_of(k)];
      Coefficient sum = kSingle ? 0 : static_cast<Coefficient>(offset);
      for (std::size_t p = 0; p < values.size(); ++p)
        sum += coefficients[indices[p] * outputs + k] * static_cast<Coefficient>(values[p]);
      tile[k * kTileRows] = kSingle ? offset + static_cast<double>(sum) : static_cast<double>(sum);
    }
  }
}

/// Adds one value's term to the limbs of its column.
template <class Product, class Scalar>
void add_product(Scalar value, double factor, LimbScale scale, double factor_scale, std::int64_t* limbs) {
  if constexpr (std::is_same_v<Product, float>) {
    const Product product = static_cast<Product>(value) * static_cast<Product>(factor * factor_scale);
    add_term(static_cast<double>(product) * scale.scale, scale.limb, limbs);
  } else {
    const double x = static_cast<double>(value) * scale.scale;
    add_term(x * (factor * factor_scale), scale.limb, limbs);
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
      add_product<Product>(sorted.values[size_of(p)], factors[at], scale, factor_scale, sums);
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
  visit_sparse(data_, [&](const auto& features) {
    const std::int32_t* const places = by_place_ ? places_.data() : nullptr;
    if (single_products_)
      sparse_margins(features, places, single_coefficients_.data(), offsets, range, z);
    else
      sparse_margins(features, places, coefficients_.data(), offsets, range, z);
  });
}

void WideColumns::begin_collecting() {
  if (by_row_) limbs_.assign(exchange_.columns().size() * 2 * size_of(outputs_), 0);
}

void WideColumns::collect(TileRange range, const double* factors) {
  if (!by_row_) return;
  const auto outputs = size_of(outputs_);
  visit_sparse(data_, [&](const auto& features) {
    const Index end = std::min(range.end * kTileRows, features.local_rows());
    for (Index row = range.first * kTileRows; row < end; ++row) {
      const double* own = factors + row / kTileRows * outputs_ * kTileRows + row % kTileRows;
      const auto indices = features.row_indices(row);
      const auto values = features.row_values(row);
      for (std::size_t p = 0; p < indices.size(); ++p) {
        const std::int32_t place = place_of_[size_of(indices[p])];
        if (place < 0) continue;  // in rows of weight 0 alone
        for (std::size_t k = 0; k < outputs; ++k) {
          std::array<std::int64_t, 2> term{};
          const double factor = own[k * kTileRows];
          const LimbScale scale = scales_[size_of(place)];
          if (single_products_)
            add_product<float>(values[p], factor, scale, factor_scale_, term.data());
          else
            add_product<double>(values[p], factor, scale, factor_scale_, term.data());
          add_shared(limbs_.data() + 2 * (size_of(place) * outputs + k), term.data(), 2);
        }
      }
    }
  });
}

std::vector<double> WideColumns::weighted_sums(const double* factors) const {
  auto sums =
      by_row_
          ? sums_of_limbs(outputs_, slice_scales_, limbs_)
          : sum_columns(outputs_, slice_scales_, [&](std::size_t i, std::int64_t* limbs) {
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
