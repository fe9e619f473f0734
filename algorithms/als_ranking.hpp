// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "firesteel/core/row_blocks.hpp"

namespace firesteel {

/// The best candidates of each query, best first: `count` of them a query.
struct BestMatches {
  Index count = 0;
  std::vector<std::int32_t> positions;  ///< queries x count
  std::vector<double> scores;           ///< queries x count
};

/// Packs factor rows (row-major, x rank) into tiles of candidates. Local.
DenseTiles<double> pack_candidates(const std::vector<double>& factors, Index rank);

/// For each query (rows `which` of `factors`, x rank) the `top` candidates (all, if fewer) of the largest dot
/// product, ties to the smaller position. Each product is one fused chain over coordinates, whatever the
/// batch. Cost: 2·queries·candidates·rank flops. Local.
BestMatches best_matches(const std::vector<double>& factors, std::span<const std::int32_t> which,
                         const DenseTiles<double>& candidates, Index top, int threads);

}  // namespace firesteel
