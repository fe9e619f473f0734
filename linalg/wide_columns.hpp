// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bit>
#include <cstdint>
#include <span>
#include <utility>
#include <variant>
#include <vector>

#include "firesteel/core/aligned_vector.hpp"
#include "firesteel/core/function_ref.hpp"
#include "firesteel/core/memory_pool.hpp"
#include "firesteel/core/row_blocks.hpp"
#include "firesteel/linalg/column_exchange.hpp"
#include "firesteel/linalg/column_moments.hpp"
#include "firesteel/linalg/logistic_kernels.hpp"

namespace firesteel {

/// The non-zeros of a rank's rows sorted by column, rows ascending in a column; only columns that occur, by
/// their place among these. Local.
template <class Scalar>
struct ColumnMajor {
  std::vector<Index> begin{0};      ///< one more than columns
  std::vector<std::uint32_t> rows;  ///< local rows
  AlignedVector<Scalar> values;
};

/// How the terms of a column are made whole numbers: multiplied by `scale`, a power of two, and rounded to
/// the nearest (the high limb), and the rest multiplied by `limb`, another one, and rounded (the low limb).
struct LimbScale {
  double scale = 1;
  double limb = 1;
};

/// bound ≥ |term|, count ≥ the terms that are not 0: sums of limbs stay below 2⁶¹. With b = min(50, 61 − bits
/// of count), bound·scale ≤ 2^b = limb, so a term is rounded at 2^(−2b) of the bound: 2^−100 for up to 1,000
/// terms, 2^−80 for a million, 2^−62 for 2³⁰.
LimbScale limb_scale(double bound, std::int64_t count);

/// Adds a term, already multiplied by scale, to the limbs {high, low}. Adding 1.5·2⁵² leaves a double's
/// nearest whole number in its last bits.
inline void add_term(double scaled, double limb, std::int64_t* limbs) {
  constexpr double kRound = 0x1.8p52;
  const double high = scaled + kRound;
  const double low = (scaled - (high - kRound)) * limb + kRound;
  limbs[0] += std::bit_cast<std::int64_t>(high) - std::bit_cast<std::int64_t>(kRound);
  limbs[1] += std::bit_cast<std::int64_t>(low) - std::bit_cast<std::int64_t>(kRound);
}

/// The sum that limbs stand for, rounded to double.
inline double limb_sum(const std::int64_t* limbs, LimbScale scale) {
  return (static_cast<double>(limbs[0]) + static_cast<double>(limbs[1]) / scale.limb) / scale.scale;
}

/// Sparse rows of very many columns, as sums over rows need them. Vectors over columns are sliced: `slices`
/// deals the columns (and one more for the intercept, where asked) to ranks in whole blocks of 4,096, and a
/// rank holds its own slice, of which it sends others what occurs in their rows. Sums over rows are exact
/// whole numbers in two limbs, the same in any order: their rounding to double depends on no rank or thread.
/// Source: the order-free accumulators of Demmel & Nguyen 2015, doi:10.1109/TC.2014.2345391, with bins fixed
/// beforehand by exact maxima and counts.
///
/// Memory of a rank with z non-zeros in m columns, K outputs: z·(4 + size of a value) for the copy by column,
/// the smaller of 4 z and 8·K·columns for the coefficients of its rows, (36 + 8 K) m; (16 K + 8) m more in a
/// sum; 4·columns while it is made. Where the rows lie in scratch, or the context has no room for the copy,
/// sums are added up row by row, as the walk over the rows for the margins goes on (collect()), in
/// (8 K + 4)·columns + 16 K m: the same numbers.
class WideColumns {
 public:
  /// Rows of weight 0 are left out. Collective. `data` must outlive this.
  WideColumns(const RowBlocks& data, std::span<const double> weights, Index outputs, bool extra_column);

  const BlockPartition& slices() const { return slices_; }
  /// Columns of the own slice, [first, first + count) of the data's; the extra one does not count.
  Index first_column() const;
  Index slice_columns() const;
  const ColumnExchange& exchange() const { return exchange_; }

  /// Moments of the columns of the own slice. Collective.
  ColumnMoments moments(std::span<const double> weights) const;

  /// From here on coefficients, factors and their products with values, and a row's sum of them, are float;
  /// sums over rows stay exact, of the rounded products. For rows of float; finite in float, with
  /// coefficients times values. Local.
  void use_single_products() { single_products_ = true; }
  /// Fixes the scales of weighted_sums: the factors are at most `largest_factor`. Collective.
  void set_scales(const ColumnMoments& slice_moments, double largest_factor);
  /// Takes the coefficients (outputs for each column of the slice) of the columns in own rows from their
  /// owners. Collective.
  void receive_coefficients(std::span<const double> slice);
  /// Margins of rows as block_margins has them, of the coefficients received last. Local; in a walk over the
  /// rows.
  void margins(std::span<const double> offsets, TileRange range, double* z) const;
  /// Between a walk that begins and weighted_sums(): the factors of these rows are known, and the rows in
  /// memory. By any thread. Local.
  void begin_collecting();
  void collect(TileRange range, const double* factors);
  /// Σ_i factor_ik·x_ij for each column j of the slice and output k, at [j·outputs + k]; factors laid out as
  /// margins, those that were collected. Collective.
  std::vector<double> weighted_sums(const double* factors) const;

 private:
  using ByColumn = std::variant<ColumnMajor<double>, ColumnMajor<float>>;

  /// Copies the non-zeros of rows with weight, column by column; returns the columns that have any.
  std::vector<std::int32_t> sort_by_column(std::span<const double> weights);
  template <class Scalar>
  std::vector<std::int32_t> sort_by_column(const SparseRows<Scalar>& features,
                                           std::span<const double> weights);
  template <class Scalar>
  std::vector<std::int32_t> occurring_columns(const SparseRows<Scalar>& features,
                                              std::span<const double> weights);
  std::pair<Index, Index> rows_of_block(Index block) const;
  template <class Scalar>
  void find_places(const SparseRows<Scalar>& features, std::span<const std::uint32_t> place);
  template <class Scalar>
  void place_coefficients(std::span<const double> received, AlignedVector<Scalar>& coefficients) const;
  void find_extremes(std::span<const double> weights, ColumnMoments& moments) const;
  std::vector<LimbScale> scales_in_rows(std::span<const LimbScale> slice_scales) const;
  /// `width` sums for each column of the slice; add(i, limbs) adds the terms of the i-th column in own rows.
  std::vector<double> sum_columns(Index width, std::span<const LimbScale> slice_scales,
                                  FunctionRef<void(std::size_t i, std::int64_t* limbs)> add) const;
  /// The same of terms: add(row, i, x, limbs) adds those of one value.
  template <class Add>
  std::vector<double> sum_terms(Index width, std::span<const LimbScale> slice_scales,
                                std::span<const double> weights, Add&& add) const;
  std::vector<double> sums_of_limbs(Index width, std::span<const LimbScale> slice_scales,
                                    std::span<const std::int64_t> limbs) const;
  /// Calls body(row, i, x) for the non-zeros of own rows of weight > 0, by several threads.
  template <class Body>
  void walk_rows(std::span<const double> weights, Body&& body) const;
  void find_extremes_by_row(std::span<const double> weights, std::vector<double>& largest,
                            std::vector<std::int64_t>& count) const;

  const RowBlocks& data_;
  Index outputs_;
  BlockPartition slices_;
  ByColumn by_column_;
  std::vector<LimbScale> slice_scales_;
  std::vector<LimbScale> scales_;     ///< of columns in own rows
  double factor_scale_ = 1;           ///< power of two that brings factors to at most 1
  bool by_place_ = true;              ///< coefficients by a column's place among those in own rows, or number
  std::vector<std::int32_t> places_;  ///< of each non-zero its column's place
  bool by_row_ = false;               ///< there is no copy by column
  std::vector<std::int32_t> place_of_;  ///< by row: of a column, among those in own rows; −1: in none
  std::vector<std::int64_t> limbs_;     ///< by row: of weighted sums, as they are collected
  MemoryReservation reserved_;
  bool single_products_ = false;
  AlignedVector<double> coefficients_;        ///< outputs each; read at random, hence in huge pages
  AlignedVector<float> single_coefficients_;  ///< in place of coefficients_
  ColumnExchange exchange_;
};

}  // namespace firesteel
