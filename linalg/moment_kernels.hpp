// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "firesteel/core/aligned_vector.hpp"
#include "firesteel/linalg/logistic_kernels.hpp"

/// Kernels over one block for means, deviations and Hessians: local, one thread, fixed order.
namespace firesteel {

/// Per column j, with δ = (x − shift_j)·scale_j over rows of positive weight: sums[j] = Σ w·δ,
/// sums[d + j] = Σ w·δ², largest[j] = max(largest[j], |δ|).
template <class Scalar>
void block_moments(const DenseTiles<Scalar>& features, TileWeights weights, std::span<const double> shift,
                   std::span<const double> scale, TileRange range, std::span<double> sums,
                   std::span<double> largest, AlignedVector<double>& scratch);

/// The columns of a block as the Hessian sees them: columns[j·n + i] = root_i·(x_ij − centre_j)·scale_j for
/// the n (padded) rows of the range; one more column of root_i where `intercept`; padded with zero columns to
/// a multiple of four. Returns the number of columns without the padding.
template <class Scalar>
Index fill_columns(const DenseTiles<Scalar>& features, std::span<const double> root,
                   std::span<const double> centre, std::span<const double> scale, bool intercept,
                   TileRange range, AlignedVector<double>& columns);
template <class Scalar>
Index fill_columns(const SparseRows<Scalar>& features, std::span<const double> root,
                   std::span<const double> centre, std::span<const double> scale, bool intercept,
                   TileRange range, AlignedVector<double>& columns);

/// Products of all pairs of `count` columns of n values (n a multiple of 32; memory padded to a multiple of
/// four columns): gram[j·(j + 1)/2 + k] = Σ_i c_j[i]·c_k[i], k ≤ j. Eight lanes a pair, rows in order, folded
/// once: the order of each sum does not depend on how pairs are blocked in registers.
void gram_of_columns(const double* columns, Index n, Index count, std::span<double> gram);

}  // namespace firesteel
