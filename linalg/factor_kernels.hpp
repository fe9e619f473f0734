// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>

#include "firesteel/core/aligned_vector.hpp"
#include "firesteel/core/index.hpp"

namespace firesteel {

/// Factor rows of `rank` doubles are gathered into rows of this many: a multiple of 8, zeros behind.
inline constexpr Index padded_rank(Index rank) { return (rank + 7) / 8 * 8; }

/// Sums normal equations over gathered factor rows y_q (padded_rank(rank) doubles apart, 64-byte aligned):
///   A = Σ_q w_q y_q y_qᵀ  and  b = Σ_q c_q y_q.
/// The sums are (rank + 1) x padded_rank(rank) doubles, row-major: of A the entries with column ≤ row, in row
/// `rank` b. Every entry is one chain of fused multiply-adds over q in the order given, so neither register
/// tiles nor vector width reach the result. Not for concurrent use: it owns a buffer. Local.
class NormalEquations {
 public:
  explicit NormalEquations(Index rank);

  Index rank() const { return rank_; }
  Index stride() const { return padded_rank(rank_); }
  Index size() const { return (rank_ + 1) * stride(); }

  /// sums += over q of the rows `which[q]` of `factors`. weights empty: all 1. coefficients empty: b stays as
  /// it is. `sums` (size() doubles) is 64-byte aligned. `next`: rows that the next call is likely to read;
  /// they are brought nearer. Cost: about (rank + 1)·(rank + 8) flops a row.
  void add(const double* factors, std::span<const std::int32_t> which, std::span<const double> weights,
           std::span<const double> coefficients, double* sums, std::span<const std::int32_t> next = {});

 private:
  Index rank_;
  AlignedVector<double> left_;   ///< a batch of rows w_q·y_q
  AlignedVector<double> right_;  ///< a batch of rows y_q
};

/// products[q] = factors[which[q]] · x, for rows as above and x of padded_rank(rank) doubles with zeros
/// behind. Order: 8 lanes over coordinates, folded ((0 + 4) + (2 + 6)) + ((1 + 5) + (3 + 7)). `next` as in
/// NormalEquations::add. Local.
void gathered_products(const double* factors, Index rank, std::span<const std::int32_t> which,
                       const double* x, double* products, std::span<const std::int32_t> next = {});

}  // namespace firesteel
