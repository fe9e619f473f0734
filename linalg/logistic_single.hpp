// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "firesteel/core/aligned_vector.hpp"
#include "firesteel/linalg/logistic_kernels.hpp"

/// Kernels of logistic loss in single precision over one block of rows: local, one thread, fixed order, the
/// same bits on AVX2 and AVX-512. What happens within a row or a tile is float, what crosses tiles is double:
///   margins           z_k = offset_k + Σ_j w_kj (x_j − c_j), the sum a chain of float multiply-adds, the
///                     offset added in double
///   loss, residuals   double, from z; dense rows of several classes: exponentials and residuals in float,
///                     the logarithm in double
///   gradient          Σ residual and Σ residual·(x_j − c_j): dense rows in float over the 32 rows of a tile,
///                     in double across tiles; sparse rows with the product in float, each product added in
///                     double
/// Errors, with u = 2⁻²⁴: a margin's is at most (d + 2)·u·Σ_j |w_kj (x_j − c_j)|, a tile's sum at most 8·u
/// times the sum of the magnitudes of its 32 terms. Notation as in logistic_kernels.hpp.
namespace firesteel {

/// A linear map from a row to K margins. The centre keeps columns whose mean is large beside their deviation
/// from losing their digits; sparse rows have none (c = 0), since their zeros are not stored.
struct SingleOutputs {
  Index outputs = 1;
  std::span<const float> coefficients;  ///< K x d
  std::span<const double> offsets;      ///< K
  std::span<const float> centre;        ///< d; sparse rows: unused
  double residual_scale = 1;            ///< power of two that brings weights to at most 1
};

/// As the double form: one fused pass over the rows of `range`: z, and into statistic: Σ loss, Σ residual (K
/// values), Σ residual·(x − c) (K x d). Margins of rows of weight 0 are 0.
void block_loss_and_gradient(const DenseTiles<float>& features, const LogisticTargets& targets,
                             const SingleOutputs& model, TileRange range, double* z,
                             std::span<double> statistic, AlignedVector<double>& scratch);
void block_loss_and_gradient(const SparseRows<float>& features, const LogisticTargets& targets,
                             const SingleOutputs& model, TileRange range, double* z,
                             std::span<double> statistic, AlignedVector<double>& scratch);

}  // namespace firesteel
