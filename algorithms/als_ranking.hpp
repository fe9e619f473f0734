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
/// that a query may end where no candidate is long enough any more.
struct Candidates {
  std::span<const double> factors;  ///< count x rank, row-major
  Index rank = 0;
  Index count = 0;
  std::vector<std::int32_t> order;  ///< positions by falling norm, ties by position
  AlignedVector<float> tiles;       ///< factors times a power of two: tile, then column, then candidate
  std::vector<double> norms;        ///< of the first candidate of each tile, scaled alike
  double scale = 1;
  bool finite = true;  ///< norms are finite: single precision can filter
};

/// `factors` (row-major, x rank) must outlive the result. Memory: 4 bytes a factor. Local.
Candidates pack_candidates(const std::vector<double>& factors, Index rank);

/// For each query (rows `which` of `factors`, x rank) the `top` candidates (all, if fewer) of the largest dot
/// product, ties to the smaller position. Each product is one fused chain over coordinates in double,
/// whatever the batch. Single precision with a bound of its error decides which candidates need a product in
/// double: the result is the same as if all had one. Cost: at most 2·queries·candidates·rank flops in single
/// precision. Local.
BestMatches best_matches(const std::vector<double>& factors, std::span<const std::int32_t> which,
                         const Candidates& candidates, Index top, int threads);

}  // namespace firesteel
