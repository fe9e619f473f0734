// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>

#include "firesteel/core/index.hpp"

namespace firesteel {

/// add_normal_products() of linalg/normal_operator.hpp in single precision, over factor rows
/// padded_single(rank) floats apart, 64-byte aligned, zeros behind:
///   out += unit · Σ_q (coefficient_unit·c_q + w_q·(y_q·x)) y_q    for q < count
/// Floats within each 32 rows: a dot product in 16 lanes over coordinates, folded by halves, then one chain
/// of fused multiply-adds a coordinate from 0; the sums of 32 rows are added to `out` in double, in order. So
/// vector width does not reach the result. unit, coefficient_unit: powers of two, the latter at most 1, or 0.
/// x and out: padded_single(rank) numbers, 64-byte aligned; scratch alike, overwritten. Cost: 4·rank flops a
/// row. Local.
struct SingleRows {
  const float* factors;
  Index rank;
  Index count;  ///< rows that are used
  /// Where they stand, and behind them rows soon to be used, which are brought nearer.
  std::span<const std::int32_t> which;
};
struct SingleWeights {
  const float* weights = nullptr;       ///< one a row
  const float* coefficients = nullptr;  ///< one a row; null: 0
  float coefficient_unit = 0;
};
/// Rows that are brought into the second cache meanwhile, as far as the rows that are used give time for.
struct SingleRowsNext {
  const float* factors = nullptr;
  std::span<const std::int32_t> which = {};
};
void add_single_normal_products(const SingleRows& rows, const SingleWeights& weights,
                                const SingleRowsNext& next, const float* x, double unit, float* scratch,
                                double* out);

/// dots[q] = y_q·x, summed as above, for q < count. Local.
void single_dots(const SingleRows& rows, const float* x, float* dots);

/// Vectors that add_single_gram_products() takes at a time: they share what it reads of the matrix.
inline constexpr Index kGramVectors = 4;
struct SingleGramProduct {
  const float* x;
  double unit;
  double* out;
};
/// out += unit · G x for up to kGramVectors vectors; G symmetric, rank x padded_single(rank) floats, zeros
/// behind; all 64-byte aligned. Over the rows of G as add_single_normal_products() sums: 32 of them in float,
/// beyond in double, whatever the number of vectors. Local.
void add_single_gram_products(std::span<const float> gram, Index rank,
                              std::span<const SingleGramProduct> products);

/// What implicit ratings r weigh, w = α|r|, and their right-hand sides, c = 1 + w where r > 0, else 0, as
/// floats: weights[q] = w·weight_scale, coefficients[q] = c·coefficient_scale, the scales powers of two.
/// Local.
void weigh_ratings(std::span<const double> ratings, double alpha, double weight_scale,
                   double coefficient_scale, float* weights, float* coefficients);

}  // namespace firesteel
