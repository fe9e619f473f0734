// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "firesteel/algorithms/als_blocks.hpp"
#include "firesteel/core/aligned_vector.hpp"

namespace firesteel {

/// What ratings add to the objective, entity after entity: with x its factors
///   explicit  Σ_q (r_q − x·y_q)²
///   implicit  Σ_q c_q (p_q − x·y_q)² − (x·y_q)², c = 1 + α|r|, p = [r > 0]
/// so that with xᵀ(YᵀY)x, which counts every pair as one of c = 1 and p = 0, all pairs are counted once.
/// x·y is summed in double, in single precision in float (the order is single_dots()'s); the loss is one
/// chain of sums over the ratings in double. Not for concurrent use: it owns buffers. Local.
class RatingLoss {
 public:
  explicit RatingLoss(const RatingProblem& problem);
  const RatingProblem& problem() const { return problem_; }

  /// The entity whose ratings come next: its factors, and the scale of those it meets
  /// (GatheredFactors::scale).
  void begin(std::span<const double> x, double scale);

  /// `loss` with these ratings. `next`: rows that are likely to be read next.
  double add(const GatheredFactors& gathered, std::span<const std::int32_t> which,
             std::span<const double> ratings, std::span<const std::int32_t> next, double loss);

 private:
  double add_products(std::span<const double> ratings, double loss) const;

  RatingProblem problem_;
  AlignedVector<double> x_;        ///< padded_rank(rank)
  AlignedVector<float> single_x_;  ///< padded_single(rank): x times a power of two, rounded
  double unit_ = 1;                ///< of single products
  std::vector<double> products_;   ///< of up to kRatingChunk ratings
  std::vector<float> single_products_;
};

}  // namespace firesteel
