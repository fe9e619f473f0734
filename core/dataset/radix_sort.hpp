// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>
#include <utility>

#include "firesteel/core/index.hpp"

namespace firesteel::detail {

/// An element to be sorted: the start of its key and where it stands.
struct SortEntry {
  std::uint64_t prefix;
  Index place;
};

/// Sorts entries by prefix, equal ones as they stand; `spare` is as long. Source: Knuth, The Art of Computer
/// Programming 3, §5.2.5. Local, one thread.
inline void radix_sort(std::span<SortEntry> entries, std::span<SortEntry> spare) {
  constexpr int kDigits = 8;
  constexpr std::size_t kFew = 256;
  if (entries.size() < kFew) {
    std::stable_sort(entries.begin(), entries.end(),
                     [](const SortEntry& a, const SortEntry& b) { return a.prefix < b.prefix; });
    return;
  }
  std::array<std::array<std::size_t, 256>, kDigits> counts{};
  for (const SortEntry& entry : entries)
    for (std::size_t digit = 0; digit < kDigits; ++digit) ++counts[digit][entry.prefix >> (8 * digit) & 255];
  auto from = entries;
  auto to = spare;
  for (std::size_t digit = 0; digit < kDigits; ++digit) {
    auto& next = counts[digit];
    if (next[from[0].prefix >> (8 * digit) & 255] == from.size()) continue;  // all alike
    std::size_t before = 0;
    for (auto& count : next) before += std::exchange(count, before);
    for (const SortEntry& entry : from) to[next[entry.prefix >> (8 * digit) & 255]++] = entry;
    std::swap(from, to);
  }
  if (from.data() != entries.data()) std::copy(from.begin(), from.end(), entries.begin());
}

}  // namespace firesteel::detail
