// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace firesteel {

/// Every count, row number and offset: 64 bits, signed (Eigen's convention).
using Index = std::int64_t;

/// Rows of a tile: the virtual vector length on which every dense kernel works.
inline constexpr Index kTileRows = 32;

}  // namespace firesteel
