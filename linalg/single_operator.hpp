// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>

#include "firesteel/core/index.hpp"

namespace firesteel {

/// add_normal_products() of linalg/normal_operator.hpp in single precision, over factor rows
/// padded_single(rank) floats apart, 64-byte aligned, zeros behind:
///   out += unit · Σ_q (c_q + w_q·(y_q·x)) y_q    for q < count
/// Floats within each 32 rows: a dot product in 16 lanes over coordinates, folded by halves, then one chain
/// of fused multiply-adds a coordinate from 0; the sums of 32 rows are added to `out` in double, in order. So
/// vector width does not reach the result. `which` beyond `count`: rows soon to be used, brought nearer.
/// unit: a power of two. x and out: padded_single(rank) numbers, 64-byte aligned; scratch alike, overwritten.
/// Cost: 4·rank flops a row. Local.
struct SingleGatheredRows {
  const float* factors;
  Index rank;
  std::span<const std::int32_t> which;
  Index count;
};
void add_single_normal_products(const SingleGatheredRows& rows, const float* weights,
                                const float* coefficients, const float* x, double unit, float* scratch,
                                double* out);

}  // namespace firesteel
