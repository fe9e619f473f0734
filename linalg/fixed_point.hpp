// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "firesteel/core/block_partition.hpp"
#include "firesteel/core/context.hpp"
#include "firesteel/core/function_ref.hpp"

/// Order-free sums of many columns: every term is rounded to a multiple of a power of two fixed beforehand,
/// and integers add up the same in any order. One partial a thread and rank instead of one a block.
namespace firesteel {

/// For each sum the power of two by which terms are multiplied: count terms of magnitude ≤ bound stay below
/// 2⁶¹ together, so 61 − log₂(count) bits are left for each.
std::vector<double> fixed_point_scales(std::span<const double> bound, std::span<const std::int64_t> count);

/// Adds up scale.size() sums over all blocks of the partition. add_block(block, sums) adds a block's terms,
/// each rounded to a whole number after multiplication by its scale. Collective; the same bytes on all ranks.
/// Memory: threads x sums. Cost: one allreduce of the sums.
std::vector<double> sum_fixed_point(const Context& context, const BlockPartition& partition,
                                    std::span<const double> scale,
                                    FunctionRef<void(Index block, std::span<std::int64_t> sums)> add_block);

}  // namespace firesteel
