// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "firesteel/core/aligned_vector.hpp"
#include "firesteel/core/index.hpp"

namespace firesteel {

/// A sum known to about twice the precision of a double: high + low.
struct WideSum {
  double high = 0;
  double low = 0;
};

/// Weighted sums of rows, Σ w·(x_j − shift_j) for each column j and Σ w, as whole numbers in two limbs, so
/// that terms can be added, taken away again and reduced over ranks in any order with the same bits.
///
/// A term, with its rounding errors carried along, is scaled by powers of two such that the largest of its
/// column fills one limb; the high limb is its nearest whole number, the low limb the rest times 2^limb_bits.
/// A sum over up to `rows` terms cannot overflow: bits(rows) + limb_bits ≤ 62. The error of a term is at most
/// 2^(−2·limb_bits) of the largest of its column, with limb_bits = 31 for 2³⁰ rows and up to 40 for fewer.
/// Columns whose non-zero terms differ by more than 2⁶⁰ would lose their small terms: they are listed in
/// wide(), get shift 0 (x − shift would lose them too) and are to be summed otherwise. Source: the order-free
/// accumulators of Demmel & Nguyen 2015, doi:10.1109/TC.2014.2345391, reduced to fixed bins. Replicated.
/// Every member is local.
class TwoLimbTerms {
 public:
  TwoLimbTerms() = default;
  /// rows: global; largest: max |x_j − shift_j| of each column; largest_weight > 0.
  TwoLimbTerms(Index rows, std::vector<double> shift, std::span<const double> largest, double largest_weight);

  /// Second step: the largest and the smallest non-zero (infinite: none) |term| of each column and of the
  /// weights (last), as term() gives them, over all ranks.
  void set_magnitudes(std::span<const double> largest, std::span<const double> smallest);

  Index columns() const { return columns_; }  ///< data columns; the weight is one more
  Index stride() const { return stride_; }    ///< columns + 1, rounded up to a multiple of 8
  /// Whole numbers of one sum: the high limbs, then the low limbs, `stride` each; place `columns()` holds Σ
  /// w.
  Index length() const { return 2 * stride_; }
  std::span<const double> shift() const { return {shift_.data(), static_cast<std::size_t>(columns_)}; }
  const double* data_scale() const { return data_scale_.data(); }
  double weight_scale() const { return weight_scale_; }
  const std::vector<Index>& wide() const { return wide_; }

  /// w·(x − shift_j) in the units of column j.
  double term(Index j, double x, double weight) const {
    const auto i = static_cast<std::size_t>(j);
    return (x - shift_[i]) * data_scale_[i] * (weight * weight_scale_);
  }
  /// Adds the terms of a row of this weight to `to` and takes them from `from` (null: not).
  struct Move {
    double weight;
    std::int64_t* to;
    std::int64_t* from;
  };
  /// rows: stride() values each, of which place columns() holds 1 and the rest beyond 0; one for each move.
  void move(const double* rows, std::span<const Move> moves) const;
  /// The same for one column.
  void move(Index j, double x, double weight, std::int64_t* to, std::int64_t* from) const;

  /// A column's sum in the units of term().
  WideSum sum(const std::int64_t* limbs, Index j) const;
  /// shift_j + sum / weight, correctly rounded but for rare halves.
  double mean(Index j, WideSum sum, WideSum weight) const;
  /// Σ w·(x_j − shift_j) itself / Σ w itself (j = columns()).
  double value(Index j, WideSum sum) const;

 private:
  void set_whole_scales();

  Index columns_ = 0;
  Index stride_ = 0;
  int limb_bits_ = 0;
  double low_limb_ = 1;  ///< 2^limb_bits
  double weight_scale_ = 1;
  AlignedVector<double> shift_;
  AlignedVector<double> data_scale_;
  AlignedVector<double> limb_scale_;
  AlignedVector<double> whole_scale_;        ///< x·whole_scale: in units of the high limb, for weight 1
  AlignedVector<std::int64_t> whole_shift_;  ///< shift in these units, where it is whole
  std::vector<int> data_exponent_;
  std::vector<int> limb_exponent_;
  int weight_exponent_ = 0;
  std::vector<Index> wide_;
};

/// What the rows of a tile add to the statistics of its columns; eight virtual lanes a column, folded by
/// fold_lanes() at the end of a block. Rows of weight 0 do not count. Local.
template <class Scalar>
void add_tile_range(const Scalar* tile, Index columns, const double* weights, double* sums, double* lowest,
                    double* highest);

/// Magnitudes |term| of a tile: lane-wise largest and smallest non-zero into `largest`, `smallest` (8 lanes a
/// column); for each row Σ(x·scale)² into row_norms and Σ((x − shift)·scale)² into centred_norms (32 each).
template <class Scalar>
void add_tile_magnitudes(const Scalar* tile, const TwoLimbTerms& terms, const double* weights, double scale,
                         double* largest, double* smallest, double* row_norms, double* centred_norms);

/// ((0 + 4) + (2 + 6)) + ((1 + 5) + (3 + 7)) of eight lanes.
inline double fold_lanes(const double* lanes) {
  return ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6])) + ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7]));
}

}  // namespace firesteel
