// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "firesteel/core/row_blocks.hpp"

/// What the sources of WideColumns share.
namespace firesteel::wide {

inline double power_of_two(int exponent) { return std::ldexp(1.0, std::clamp(exponent, -1024, 1023)); }

/// The power of two that brings `largest` to [½, 1).
inline double normalizing_scale(double largest) {
  if (!(largest > 0)) return 1;
  int exponent = 0;
  std::frexp(largest, &exponent);
  return power_of_two(-exponent);
}

/// body(the sparse rows of either precision).
template <class Body>
void visit_sparse(const RowBlocks& data, Body&& body) {
  if (const auto* single = std::get_if<SparseRows<float>>(&data.features))
    body(*single);
  else
    body(std::get<SparseRows<double>>(data.features));
}

/// Adds to sums that threads share. They are whole numbers: the order does not matter.
inline void add_shared(std::int64_t* sums, const std::int64_t* terms, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i)
    if (terms[i] != 0) std::atomic_ref<std::int64_t>(sums[i]).fetch_add(terms[i], std::memory_order_relaxed);
}

}  // namespace firesteel::wide
