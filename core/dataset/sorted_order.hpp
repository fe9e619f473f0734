// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "firesteel/core/dataset/bulk.hpp"
#include "firesteel/core/dataset/exchange.hpp"
#include "firesteel/core/dataset/key_prefix.hpp"
#include "firesteel/core/dataset/radix_sort.hpp"
#include "firesteel/core/huge_pages.hpp"
#include "firesteel/core/parallel.hpp"

namespace firesteel::detail {

using SortEntries = std::vector<SortEntry, BulkAllocator<SortEntry>>;

/// Parts of 0 … count − 1 for several threads: one where there are few.
inline std::vector<Index> cut_evenly(Index count, int threads) {
  constexpr Index kSmallest = 4096;  // elements that are worth a thread of their own
  const Index parts = std::clamp<Index>(count / kSmallest, 1, threads);
  std::vector<Index> begin;
  for (Index i = 0; i <= parts; ++i) begin.push_back(count * i / parts);
  return begin;
}

/// Ranges of prefixes of about equally many elements each, by some elements at even distances.
class PrefixRanges {
 public:
  template <class PrefixAt>
  PrefixRanges(Index count, const PrefixAt& prefix_at) {
    const Index ranges = std::clamp<Index>(count / kElements, 1, kMost);
    std::vector<std::uint64_t> samples;
    for (Index i = 0; i < ranges * kSamples && ranges > 1; ++i)
      samples.push_back(prefix_at(count / (ranges * kSamples) * i));
    std::sort(samples.begin(), samples.end());
    for (Index range = 1; range < ranges; ++range) starts_.push_back(samples[at(range * kSamples)]);
    starts_.erase(std::unique(starts_.begin(), starts_.end()), starts_.end());
  }
  std::size_t size() const { return starts_.size() + 1; }
  std::size_t operator()(std::uint64_t prefix) const {
    // Halves without branches: no processor foresees them.
    std::size_t before = 0;
    for (std::size_t left = starts_.size(); left > 0;) {
      const std::size_t half = (left + 1) / 2;
      before += starts_[before + half - 1] <= prefix ? half : 0;
      left -= half;
    }
    return before;
  }

 private:
  static constexpr Index kElements = 32 * 1024;  ///< sorted within the nearest caches
  static constexpr Index kMost = 512;            ///< lines that are written to in turn
  static constexpr Index kSamples = 16;          ///< of a range
  std::vector<std::uint64_t> starts_;
};

/// sorted_order() where keys have a prefix: entries are dealt to ranges of prefixes as they are made, and
/// each range is sorted by itself. Memory: 16 bytes an element, 24 where keys are texts, and as much again
/// for the largest range of each thread.
template <class Prefix, class KeyAt, class ByKey>
SortEntries order_by_prefix(int threads, Index count, const KeyAt& key_at, const ByKey& by_key) {
  using K = std::remove_cvref_t<std::invoke_result_t<const KeyAt&, Index>>;
  constexpr bool kCheap = std::is_trivially_copyable_v<K>;  // to be had twice; texts are kept as numbers
  const auto prefix_at = [&](Index place) { return Prefix::of(key_at(place)); };
  const PrefixRanges range_of(count, prefix_at);
  BulkVector<std::uint64_t> prefixes(at(kCheap ? 0 : count));
  const auto begin = cut_evenly(count, threads);
  const auto parts = static_cast<Index>(begin.size()) - 1;
  std::vector<std::vector<std::size_t>> next(at(parts), std::vector<std::size_t>(range_of.size()));
  parallel_for(threads, parts, [&](Index part, int) {
    for (Index place = begin[at(part)]; place < begin[at(part + 1)]; ++place) {
      const std::uint64_t prefix = prefix_at(place);
      if constexpr (!kCheap) prefixes[at(place)] = prefix;
      ++next[at(part)][range_of(prefix)];
    }
  });
  std::vector<std::size_t> ends;
  std::size_t before = 0;
  for (std::size_t range = 0; range < range_of.size(); ++range) {
    for (auto& own : next) before += std::exchange(own[range], before);
    ends.push_back(before);
  }
  SortEntries entries(at(count));
  parallel_for(threads, parts, [&](Index part, int) {
    for (Index place = begin[at(part)]; place < begin[at(part + 1)]; ++place) {
      const std::uint64_t prefix = kCheap ? prefix_at(place) : prefixes[at(place)];
      entries[next[at(part)][range_of(prefix)]++] = {prefix, place};
    }
  });
  std::vector<SortEntries> spare(at(threads));
  parallel_for(threads, static_cast<Index>(ends.size()), [&](Index range, int thread) {
    const std::size_t first = range == 0 ? 0 : ends[at(range - 1)];
    const auto own = std::span(entries).subspan(first, ends[at(range)] - first);
    auto& other = spare[at(thread)];
    if (other.size() < own.size()) other.resize(own.size());
    radix_sort(own, std::span(other).first(own.size()));
    if constexpr (!Prefix::kWhole)
      for (auto run = own.begin(); run != own.end();) {
        auto end = run + 1;
        while (end != own.end() && end->prefix == run->prefix) ++end;
        if (end - run > 1) std::stable_sort(run, end, by_key);
        run = end;
      }
  });
  return entries;
}

/// The places 0 … count − 1 in the order of key_at(place) by `less`, equal keys as they stand. By several
/// threads. Local.
template <class KeyAt, class Less>
SortEntries sorted_order(int threads, Index count, const KeyAt& key_at, const Less& less) {
  using K = std::remove_cvref_t<std::invoke_result_t<const KeyAt&, Index>>;
  using Prefix = OrderPrefix<K, Less>;
  const auto by_key = [&](const SortEntry& a, const SortEntry& b) {
    return less(key_at(a.place), key_at(b.place));
  };
  if constexpr (Prefix::kKnown) {
    return order_by_prefix<Prefix>(threads, count, key_at, by_key);
  } else {
    SortEntries entries(at(count));
    auto begin = cut_evenly(count, threads);
    parallel_for(threads, static_cast<Index>(begin.size()) - 1, [&](Index part, int) {
      const Index first = begin[at(part)];
      const auto own = std::span(entries).subspan(at(first), at(begin[at(part + 1)] - first));
      for (std::size_t i = 0; i < own.size(); ++i) own[i] = {0, first + static_cast<Index>(i)};
      std::stable_sort(own.begin(), own.end(), by_key);
    });
    merge_runs(threads, entries, std::move(begin), by_key);
    return entries;
  }
}

/// Appends the elements that `order` names to `rows`, in its order: moved out of `share`. Local.
template <class Share, class T>
void move_in_order(Share& share, std::span<const SortEntry> order, std::vector<T>& rows) {
  constexpr std::size_t kAhead = 16;  // elements lie anywhere in memory: several are fetched at once
  reserve_huge(rows, rows.size() + order.size());
  for (std::size_t i = 0; i < order.size(); ++i) {
    if (i + kAhead < order.size()) __builtin_prefetch(&share[at(order[i + kAhead].place)]);
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
