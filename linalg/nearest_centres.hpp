// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>

#include "firesteel/core/aligned_vector.hpp"
#include "firesteel/core/index.hpp"

namespace firesteel {

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

 private:
  Index count_;
  Index columns_;
  Index group_;
  double largest_offset_ = 0;  ///< max over c of Σ|c_j − m_j|·|c_j + m_j|/2
  double largest_norm_ = 0;    ///< max over c of ‖c − m‖
  AlignedVector<Scalar> values_;
  AlignedVector<Scalar> offsets_;
};

/// Scans `count` tiles (32 rows each, column by column) that follow one another: labels[32·t + r] is the
/// centre of the smallest f, the lowest index in a tie, and bit r of unsure[t] is 0 if the second smallest
/// (with multiplicity; infinite for one centre) is larger by more than tolerances[t]. Every f is one chain of
/// fused multiply-adds over ascending columns, whatever the blocking: the same bits on every instruction set.
/// Cost 2·32·k·columns flops a tile, at 80 % of the peak rate and more. Local.
template <class Scalar>
void find_nearest(const Scalar* tiles, Index count, const PackedCentres<Scalar>& centres,
                  const Scalar* tolerances, std::int32_t* labels, std::uint32_t* unsure);

/// Bit r of changed[t] is 1 if labels 32·t + r of the two differ, for `tiles` tiles. Local.
void compare_labels(const std::int32_t* found, const std::int32_t* before, Index tiles,
                    std::uint32_t* changed);

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
