// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>

#include "firesteel/core/aligned_vector.hpp"
#include "firesteel/core/index.hpp"

namespace firesteel {

/// Rows of float operands are this many numbers apart: a multiple of 16, zeros behind.
inline constexpr Index padded_single(Index count) { return (count + 15) / 16 * 16; }

/// Products of pairs of columns of two float matrices of `rows` rows, summed over rows:
///   sums[a·stride + b] += Σ_q left[q·left_stride + a]·right[q·stride + b]   for a < height, b ≤ a
/// Within each 32 rows a sum is one chain of float multiply-adds from 0, q ascending; the chains' results are
/// added to the sum in double, in order. So neither register tiles nor vector width reach the result.
/// Entries b > a of sums may be written too. left_stride and stride are multiples of 16; right, left and sums
/// 64-byte aligned.
/// Error of a sum of m rows, u = 2⁻²⁴: below 33·u times the sum of the magnitudes of its terms, whatever m.
/// Local. Cost: about rows·height² flops.
struct SingleProducts {
  const float* left;
  Index left_stride;
  const float* right;
  Index stride;
  Index rows;
  Index height;
};
void add_single_products(const SingleProducts& products, double* sums);

/// NormalEquations in single precision, over gathered factor rows of padded_single(rank) floats, 64-byte
/// aligned:  A = Σ_q w_q y_q y_qᵀ  and  b = Σ_q c_q y_q.  The sums are (rank + 1) x padded_single(rank)
/// doubles, row-major: of A the entries with column ≤ row, in row `rank` b; 32 rows at a time in float, in
/// double beyond (add_single_products). Weights and coefficients are floats. Not for concurrent use: it owns
/// a buffer. Local.
class SingleNormalEquations {
 public:
  explicit SingleNormalEquations(Index rank);

  Index stride() const { return padded_single(rank_); }
  Index size() const { return (rank_ + 1) * stride(); }

  /// sums += over q of the rows `which[q]` of `factors`. weights empty: all 1. `sums` (size() doubles) is
  /// 64-byte aligned. Every call begins a new run of 32.
  void add(const float* factors, std::span<const std::int32_t> which, std::span<const float> weights,
           std::span<const float> coefficients, double* sums);

 private:
  Index rank_;
  AlignedVector<float> left_;   ///< rows of w_q·y_q, then c_q
  AlignedVector<float> right_;  ///< rows of y_q
};

}  // namespace firesteel
