// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "firesteel/core/aligned_vector.hpp"
#include "firesteel/core/dataset/exchange.hpp"
#include "firesteel/core/dataset/key_prefix.hpp"
#include "firesteel/core/dataset/radix_sort.hpp"
#include "firesteel/core/huge_pages.hpp"
#include "firesteel/core/parallel.hpp"

namespace firesteel::detail {

/// The places 0 … count − 1 in the order of key_at(place) by `less`, equal keys as they stand. By several
/// threads. Memory: 32 bytes an element. Local.
template <class KeyAt, class Less>
AlignedVector<SortEntry> sorted_order(int threads, Index count, const KeyAt& key_at, const Less& less) {
  using K = std::remove_cvref_t<std::invoke_result_t<const KeyAt&, Index>>;
  using Prefix = OrderPrefix<K, Less>;
  constexpr Index kSmallest = 4096;  // elements that are worth a thread of their own
  const Index parts = std::clamp<Index>(count / kSmallest, 1, threads);
  std::vector<Index> begin;
  for (Index i = 0; i <= parts; ++i) begin.push_back(count * i / parts);
  const auto by_key = [&](const SortEntry& a, const SortEntry& b) {
    return less(key_at(a.place), key_at(b.place));
  };
  AlignedVector<SortEntry> entries(at(count));
  AlignedVector<SortEntry> spare(at(Prefix::kKnown ? count : 0));
  parallel_for(threads, parts, [&](Index part, int) {
    const Index first = begin[at(part)];
    const auto own = std::span(entries).subspan(at(first), at(begin[at(part + 1)] - first));
    for (std::size_t i = 0; i < own.size(); ++i) {
      const Index place = first + static_cast<Index>(i);
      if constexpr (Prefix::kKnown)
        own[i] = {Prefix::of(key_at(place)), place};
      else
        own[i] = {0, place};
    }
    if constexpr (!Prefix::kKnown) {
      std::stable_sort(own.begin(), own.end(), by_key);
      return;
    } else {
      radix_sort(own, std::span(spare).subspan(at(first), own.size()));
      if constexpr (!Prefix::kWhole)
        for (auto run = own.begin(); run != own.end();) {
          auto end = run + 1;
          while (end != own.end() && end->prefix == run->prefix) ++end;
          if (end - run > 1) std::stable_sort(run, end, by_key);
          run = end;
        }
    }
  });
  merge_runs(threads, entries, std::move(begin), [&](const SortEntry& a, const SortEntry& b) {
    if (a.prefix != b.prefix) return a.prefix < b.prefix;
    return !Prefix::kWhole && by_key(a, b);
  });
  return entries;
}

/// Appends the elements that `order` names to `rows`, in its order: moved out of `share`. By several threads,
/// where elements are bytes. Local.
template <class Share, class T>
void move_in_order(int threads, Share& share, std::span<const SortEntry> order, std::vector<T>& rows) {
  constexpr std::size_t kAhead = 16;  // elements lie anywhere in memory: several are fetched at once
  const auto fetch = [&](std::size_t i) {
    if (i >= order.size()) return;
    const auto* const element = reinterpret_cast<const char*>(&share[at(order[i].place)]);
    __builtin_prefetch(element);
    if constexpr (sizeof(T) > 64) __builtin_prefetch(element + sizeof(T) - 1);
  };
  reserve_huge(rows, rows.size() + order.size());
  if constexpr (MovesInBulk<T>) {
    if (threads > 1) {
      constexpr std::size_t kChunk = 16384;
      const std::size_t first = rows.size();
      rows.resize(first + order.size());
      const auto chunks = static_cast<Index>((order.size() + kChunk - 1) / kChunk);
      parallel_for(threads, chunks, [&](Index chunk, int) {
        const std::size_t begin = at(chunk) * kChunk;
        for (std::size_t i = begin; i < std::min(order.size(), begin + kChunk); ++i) {
          fetch(i + kAhead);
          rows[first + i] = share[at(order[i].place)];
        }
      });
      return;
    }
  }
  for (std::size_t i = 0; i < order.size(); ++i) {
    fetch(i + kAhead);
    rows.push_back(std::move(share[at(order[i].place)]));
  }
}

/// A stable sort by key_of(element) by several threads. Local.
template <class T, class KeyOf, class Less>
void sort_by_key(int threads, std::vector<T>& values, const KeyOf& key_of, const Less& less) {
  // Small elements are moved as easily as their places.
  if constexpr (sizeof(T) < 2 * sizeof(SortEntry)) {
    sort_stably(threads, values, [&](const T& a, const T& b) { return less(key_of(a), key_of(b)); });
  } else {
    const auto order = sorted_order(
        threads, static_cast<Index>(values.size()),
        [&](Index place) -> decltype(auto) { return key_of(std::as_const(values[at(place)])); }, less);
    std::vector<T> sorted;
    sorted.reserve(values.size());
    for (const SortEntry& entry : order) sorted.push_back(std::move(values[at(entry.place)]));
    values = std::move(sorted);
  }
}

}  // namespace firesteel::detail
