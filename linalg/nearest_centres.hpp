// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>

#include "firesteel/core/aligned_vector.hpp"
#include "firesteel/core/index.hpp"

namespace firesteel {

/// How far values of the kernel may be from exact ones, for a set of rows. All are bounds.
template <class Scalar>
struct SearchBounds {
  Scalar tolerance;  ///< PackedCentres::tolerance()
  Scalar chain;      ///< twice the error of f
  Scalar excess;     ///< error of ‖x − c‖² as ‖x − m‖² + 2f
  Scalar margin;     ///< of two distances that direct_distances orders as they are
};

/// k centres as the tile kernel reads them: groups of group() centres, column by column inside a group, the
/// last group padded with centres that are never nearest. Replicated, k·(columns + 1) values.
///
/// Instead of ‖x − c‖² the kernel compares its part that differs between centres,
///   f_c(x) = ½(‖c‖² − ‖m‖²) − x·(c − m),
/// for a shift m near the data: with the centres shifted, and the rows as they are, most of the cancellation
/// that an offset of the data brings is gone. All in units of 2^(−2·exponent).
template <class Scalar>
class PackedCentres {
 public:
  /// centres: k x columns, row-major; shift: one a column; products are scaled by 2^(2·exponent).
  PackedCentres(std::span<const double> centres, Index columns, std::span<const double> shift, int exponent);
  /// Takes other centres, as many. Allocates nothing.
  void assign(std::span<const double> centres, std::span<const double> shift);

  Index count() const { return count_; }
  Index columns() const { return columns_; }
  Index group() const { return group_; }
  Index groups() const { return (count_ + group_ - 1) / group_; }
  const Scalar* values(Index g) const { return values_.data() + g * group_ * columns_; }
  const Scalar* offsets(Index g) const { return offsets_.data() + g * group_; }
  /// By how much f of two centres must differ for the order of their distances summed directly in double
  /// (direct_distances) to be the same, for rows with ‖x‖ ≤ row_norm and ‖x − m‖ ≤ centred_norm, both in
  /// units of 2^(−exponent). A bound, not an estimate, also on a difference rounded to Scalar. Cost O(1).
  Scalar tolerance(double row_norm, double centred_norm) const;
  /// The same and what find_nearest() needs for gaps.
  SearchBounds<Scalar> bounds(double row_norm, double centred_norm) const;
  /// False where products are scaled: gaps are for rows as they are.
  bool gaps_known() const { return exponent_ == 0; }
  const Scalar* shift() const { return shift_.data(); }

 private:
  double chain(double row_norm) const;

  Index count_;
  Index columns_;
  Index group_;
  int exponent_;
  double largest_offset_ = 0;  ///< max over c of Σ|c_j − m_j|·|c_j + m_j|/2
  double largest_norm_ = 0;    ///< max over c of ‖c − m‖
  double shift_norm_ = 0;      ///< ‖m‖
  AlignedVector<Scalar> values_;
  AlignedVector<Scalar> offsets_;
  AlignedVector<Scalar> shift_;
};

/// Tiles of `values` numbers each that will be read soon.
template <class Scalar>
struct Coming {
  const Scalar* const* tiles = nullptr;
  Index count = 0;
  Index values = 0;
};

/// `count` tiles of 32 rows, column by column: value (r, j) of tile t is rows[t·step + j·stride + r].
template <class Scalar>
struct TileRun {
  const Scalar* rows;
  Index step;
  Index stride;
  Index count;
  Coming<Scalar> coming;  ///< asked for meanwhile: a hint
};

/// Scans the tiles of a run: labels[32·t + r] is the centre of the smallest f, the lowest index in a tie, and
/// bit r of unsure[t] is 0 if the second smallest (with multiplicity; infinite for one centre) is larger by
/// more than bounds[t].tolerance. Every f is one chain of fused multiply-adds over ascending columns,
/// whatever the blocking: the same bits on every instruction set. Unless null, gaps[32·t + r] becomes a lower
/// bound of ‖x − c'‖ − ‖x − c‖ for the centre c found and every other c', less bounds[t].margin; it is
/// negative or not a number where there is none. Cost 2·32·k·columns flops a tile, at 80 % of the peak rate
/// and more; with gaps as much as for one centre more, and four roots and quotients a row. Local.
template <class Scalar>
void find_nearest(const TileRun<Scalar>& run, const PackedCentres<Scalar>& centres,
                  const SearchBounds<Scalar>* bounds, std::int32_t* labels, std::uint32_t* unsure,
                  float* gaps);

/// Distances of one row to k centres summed directly in double: D_c = Σ_j ((x_j − c_j)·scale)², j ascending.
/// `columnwise` holds the centres column by column, each column padded to a multiple of 8: value (c, j) is
/// columnwise[j·stride + c]. Writes stride values. Local.
void direct_distances(std::span<const double> row, const double* columnwise, Index stride, double scale,
                      double* distances);

/// scores[c] = offsets[c] − Σ x_j·columnwise[j·stride + c] over the non-zeros of a sparse row, in order, for
/// `stride` centres (a multiple of 8; values of the row are taken as doubles). Cost 2·nnz·stride flops.
/// Local.
template <class Scalar>
void sparse_scores(std::span<const std::int32_t> indices, std::span<const Scalar> values,
                   const double* columnwise, Index stride, const double* offsets, double* scores);

/// The sum of direct_distances for each of the 32 rows of a tile and its own centre: labels[r] of `centres`
/// (k x columns, row-major). Bit-equal to direct_distances. Local.
template <class Scalar>
void labelled_distances(const Scalar* tile, Index columns, const double* centres, const std::int32_t* labels,
                        double scale, double* distances);

/// out[v·32 + r] = Σ_j (x_rj − shift_j)·vectors[v·columns + j], j ascending, for `count` vectors. Local.
template <class Scalar>
void tile_products(const Scalar* tile, Index columns, const double* shift, const double* vectors, Index count,
                   double* out);

}  // namespace firesteel
