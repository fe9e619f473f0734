// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "firesteel/algorithms/als_blocks.hpp"
#include "firesteel/core/aligned_vector.hpp"

namespace firesteel {

/// A vector that conjugate gradients multiply a matrix with, and the same rounded to floats.
struct ProductVector {
  const double* exact;             ///< padded_rank(rank), 64-byte aligned
  AlignedVector<float> rounded{};  ///< exact·scale, padded_single(rank); empty in double precision
  double scale = 1;                ///< power of two that brings all of it to at most 1
};

/// What up to kRatingChunk ratings of one entity add to products with its matrix and to its right-hand side.
/// The ratings are weighed once and may then be used for several vectors. In single precision powers of two
/// bring weights, coefficients and vectors to at most 1, so that they are floats whatever the ratings are.
/// Not for concurrent use: it owns buffers. Local.
class RatingProducts {
 public:
  /// Takes up to `most_ratings` at a time, at most kRatingChunk.
  RatingProducts(const RatingProblem& problem, Index most_ratings);

  /// Takes these ratings.
  void weigh(std::span<const double> ratings);

  /// Rows of the factors that a pass reads.
  struct Pass {
    const GatheredFactors& gathered;
    std::span<const std::int32_t> which;      ///< behind them may stand rows soon to be used
    std::span<const std::int32_t> next = {};  ///< rows that are used later, after some more passes
  };
  /// out += Σ_q w_q (y_q·x) y_q over the ratings that were weighed, with implicit preferences w = α|r|, else
  /// w = 1. out: padded_rank(rank) doubles, padded_single(rank) in single precision.
  void add_product(const Pass& pass, const ProductVector& x, double* out);
  /// out += Σ_q (c_q + w_q (y_q·x)) y_q: with x the negative of the factors, what is left of the right-hand
  /// side. c = 1 + w where r > 0, else 0; explicit: c = r.
  void add_residual(const Pass& pass, const ProductVector& x, double* out);

 private:
  void weigh_single(std::span<const double> ratings);

  RatingProblem problem_;
  Index count_ = 0;
  std::vector<double> weights_, coefficients_;  ///< double precision
  std::vector<double> zeros_;                   ///< coefficients of a product
  std::vector<float> single_weights_, single_coefficients_;
  double weight_scale_ = 1;       ///< single_weights_ = w·weight_scale_
  double coefficient_scale_ = 1;  ///< single_coefficients_ = c·coefficient_scale_
  AlignedVector<float> vector_, scratch_;
};

}  // namespace firesteel
