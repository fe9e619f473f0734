// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "firesteel/core/aligned_vector.hpp"
#include "firesteel/core/index.hpp"

namespace firesteel {

/// The best candidates of each query, best first: `count` of them a query.
struct BestMatches {
  Index count = 0;
  std::vector<std::int32_t> positions;  ///< queries x count
  std::vector<double> scores;           ///< queries x count
};

/// Candidates made ready for many queries: a copy in single precision, in tiles of 32, the longest first, so
/// that a query may end where no candidate is long enough any more. Where most of the candidates' length lies
/// along few axes the copy holds their coordinates along these and the length of what is left, whose products
/// with a query's are bounds of the factors' products.
struct Candidates {
  std::span<const double> factors;  ///< count x rank, row-major
  Index rank = 0;
  Index count = 0;
  std::vector<std::int32_t> order;  ///< positions by falling norm, ties by position
  std::vector<double> axes;         ///< rank x (columns − 1), of unit length; empty: columns are factors
  Index columns = 0;                ///< of a tile
  AlignedVector<float> tiles;       ///< numbers times a power of two: tile, then column, then candidate
  std::vector<double> norms;        ///< of the first candidate of each tile, scaled alike
  double longest_rest = 0;          ///< beyond the axes, of all candidates, scaled alike
  double scale = 1;
  bool finite = true;  ///< norms are finite: single precision can filter
};

/// `factors` (row-major, x rank) must outlive the result. `queries`: how many to expect; axes pay for many.
/// Memory: 4 bytes a factor. Local.
Candidates pack_candidates(const std::vector<double>& factors, Index rank, Index queries);

/// What single-precision filters see of a row: its factors times `scale`, or its coordinates along the axes
/// and the length of the rest, `stride` floats apart; that length is returned, 0 without axes. norm: at least
/// the row's scaled length.
float project(const Candidates& candidates, std::span<const double> row, double scale, double norm,
              Index stride, float* columns);

/// The power of two that brings the largest of the numbers into [1/2, 1); 1 where all are 0 or one is not
/// finite.
double scale_to_half(std::span<const double> x);
/// At least the length of x·scale.
double norm_above(std::span<const double> x, double scale);

/// For each query (rows `which` of `factors`, x rank) the `top` candidates (all, if fewer) of the largest dot
/// product, ties to the smaller position. Each product is one fused chain over coordinates in double,
/// whatever the batch. Single precision with a bound of its error decides which candidates need a product in
/// double: the result is the same as if all had one. Cost: at most 2·queries·candidates·rank flops in single
/// precision. Local.
BestMatches best_matches(const std::vector<double>& factors, std::span<const std::int32_t> which,
                         const Candidates& candidates, Index top, int threads);

}  // namespace firesteel
