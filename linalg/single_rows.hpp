// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "firesteel/linalg/logistic_kernels.hpp"

namespace firesteel {

/// Rows as the Hessian sees them, in single precision: of row i and column j
///   root_i·((x_ij − centre_j)·scale_j + shift_j)
/// and root_i itself in column d. Centre, scale and shift have d values (sparse
/// rows: centre is not used, 0), root one a local row, zero-padded.
struct SingleScaling {
  std::span<const float> root;
  std::span<const float> centre;
  std::span<const float> scale;
  std::span<const float> shift;
};

/// The (padded) rows of the range, row-major, `stride` floats apart, a multiple of 16; zeros behind. Rows of
/// root 0 are zeros. Local; the same bits on AVX2 and AVX-512.
void fill_single_rows(const DenseTiles<float>& features, const SingleScaling& scaling, TileRange range,
                      Index stride, float* rows);
void fill_single_rows(const SparseRows<float>& features, const SingleScaling& scaling, TileRange range,
                      Index stride, float* rows);

}  // namespace firesteel
