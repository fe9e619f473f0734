// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>

#include "firesteel/core/aligned_vector.hpp"
#include "firesteel/core/index.hpp"

namespace firesteel {

/// What ratings add to normal equations, applied to vectors without forming a matrix, for conjugate
/// gradients. Factor rows y_q are padded_rank(rank) doubles apart, 64-byte aligned, zeros behind; so are all
/// vectors here. Dot products of vectors are summed in 8 lanes over coordinates, folded ((0 + 4) + (2 + 6)) +
/// ((1 + 5) + (3 + 7)): the same bits on every instruction set. All local.
struct GatheredRows {
  const double* factors;  ///< the first row
  Index rank;
  /// Rows that are used, and behind them rows that are soon to be used: these are only brought nearer.
  std::span<const std::int32_t> which;
  Index count;  ///< rows that are used
};

/// out += Σ_q (c_q + w_q·(y_q·x)) y_q for q < rows.count, each coordinate one chain of fused multiply-adds
/// over q in the order given. weights, coefficients: rows.count doubles. Cost: 4·rank flops a row.
void add_normal_products(const GatheredRows& rows, const double* weights, const double* coefficients,
                         const double* x, double* out);

/// out = shift·x + G x; G symmetric, rank x padded_rank(rank), or empty for 0. Chains over the rows of G.
void shifted_gram_product(std::span<const double> gram, Index rank, double shift, const double* x,
                          double* out);

/// Σ x_i·y_i over padded_rank(rank) coordinates.
double factor_dot(Index rank, const double* x, const double* y);

/// One step of conjugate gradients along p: x += α p, r −= α A p. Returns r·r.
double step_along(Index rank, double alpha, const double* direction, const double* product, double* x,
                  double* residual);

/// p ← r + β p.
void turn_direction(Index rank, double beta, const double* residual, double* direction);

}  // namespace firesteel
