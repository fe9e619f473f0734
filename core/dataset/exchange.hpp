// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <span>
#include <tuple>
#include <utility>
#include <vector>

#include "firesteel/core/block_partition.hpp"
#include "firesteel/core/communicator.hpp"
#include "firesteel/core/dataset/round_trip.hpp"
#include "firesteel/core/parallel.hpp"
#include "firesteel/core/serializer.hpp"

/// How wide operations move elements between ranks. Nothing here decides a result: where a rank's share ends
/// depends on ranks and samples, the order of all elements together does not.
namespace firesteel::detail {

inline std::size_t at(Index i) { return static_cast<std::size_t>(i); }

template <class T>
concept MovesInBulk = Flat<T> && std::default_initializable<T> && !std::is_same_v<T, bool>;

/// What the ranks sent, one after another: values from rank s are [begin[s], begin[s + 1]).
template <class T>
struct Runs {
  std::vector<T> values;
  std::vector<Index> begin;
};

/// Elements [begin[r], begin[r + 1]) of `values` go to rank r; `begin` has one more than ranks. Collective.
/// Cost: one alltoallv of the elements, as their bytes or serialised. Memory: the elements once more here and
/// once more where they arrive, while they travel.
template <Serializable T>
Runs<T> exchange_runs(Communicator& comm, std::vector<T> values, std::span<const Index> begin) {
  const auto ranks = static_cast<std::size_t>(comm.size());
  std::vector<Index> counts;
  std::vector<Index> received_counts;
  Runs<T> runs;
  comm.collectively([&] {
    counts.resize(ranks);
    received_counts.resize(ranks);
    runs.begin.reserve(ranks + 1);
    runs.begin.push_back(0);
  });
  if constexpr (MovesInBulk<T>) {
    for (std::size_t r = 0; r < ranks; ++r) counts[r] = begin[r + 1] - begin[r];
    runs.values = comm.alltoallv(std::span<const T>(values).subspan(at(begin[0])),
                                 std::span<const Index>(counts), &received_counts);
    for (const Index count : received_counts) runs.begin.push_back(runs.begin.back() + count);
    return runs;
  } else {
    ByteWriter out;
    comm.collectively([&] {
      if (begin[0] < begin[ranks]) check_round_trip(static_cast<const T&>(values[at(begin[0])]));
      for (std::size_t r = 0; r < ranks; ++r) {
        const auto before = out.buffer().size();
        for (Index i = begin[r]; i < begin[r + 1]; ++i) out.write(static_cast<const T&>(values[at(i)]));
        counts[r] = static_cast<Index>(out.buffer().size() - before);
      }
      values = {};
    });
    const auto bytes = comm.alltoallv(out.buffer(), std::span<const Index>(counts), &received_counts);
    comm.collectively([&] {
      std::size_t offset = 0;
      for (const Index length : received_counts) {
        const auto from_rank = std::span<const std::byte>(bytes).subspan(offset, at(length));
        ByteReader in(from_rank);
        while (!in.at_end()) runs.values.push_back(in.template read<T>());
        offset += at(length);
        runs.begin.push_back(static_cast<Index>(runs.values.size()));
      }
    });
    return runs;
  }
}

struct FirstOf {
  template <class Pair>
  const auto& operator()(const Pair& pair) const {
    return pair.first;
  }
};

inline constexpr Index kRunsPerThread = 4;

/// Runs of about equal length of this rank's blocks, a few a thread.
inline std::vector<Index> cut_blocks(const BlockPartition& partition, int rank, int threads,
                                     Index runs_per_thread = kRunsPerThread) {
  const Index first = partition.first_block(rank);
  const Index own = partition.end_block(rank) - first;
  const Index runs = threads == 1 ? 1 : std::clamp<Index>(own, 1, runs_per_thread * threads);
  std::vector<Index> begin;
  for (Index i = 0; i <= runs; ++i) begin.push_back(first + own * i / runs);
  return begin;
}

/// Merges neighbouring sorted runs [begin[i], begin[i + 1]) of `values` until one is left; of equal elements
/// those of the earlier run come first. Local.
template <class Values, class Less>
void merge_runs(int threads, Values& values, std::vector<Index> begin, const Less& less) {
  const auto place = [&](Index i) { return values.begin() + static_cast<std::ptrdiff_t>(i); };
  while (begin.size() > 2) {
    parallel_for(threads, static_cast<Index>(begin.size() - 1) / 2, [&](Index pair, int) {
      const std::size_t left = at(2 * pair);
      std::inplace_merge(place(begin[left]), place(begin[left + 1]), place(begin[left + 2]), less);
    });
    std::vector<Index> merged;
    for (std::size_t i = 0; i < begin.size(); i += 2) merged.push_back(begin[i]);
    if (begin.size() % 2 == 0) merged.push_back(begin.back());
    begin = std::move(merged);
  }
}

/// A stable sort by several threads. Local.
template <class Values, class Less>
void sort_stably(int threads, Values& values, const Less& less) {
  constexpr Index kSmallest = 4096;  // elements that are worth a thread of their own
  const auto count = static_cast<Index>(values.size());
  const Index parts = std::clamp<Index>(count / kSmallest, 1, threads);
  std::vector<Index> begin;
  for (Index i = 0; i <= parts; ++i) begin.push_back(count * i / parts);
  parallel_for(threads, parts, [&](Index i, int) {
    std::stable_sort(values.begin() + static_cast<std::ptrdiff_t>(begin[at(i)]),
                     values.begin() + static_cast<std::ptrdiff_t>(begin[at(i + 1)]), less);
  });
  merge_runs(threads, values, std::move(begin), less);
}

/// One element of a rank's sorted sequence that stands for `weight` of its neighbours.
template <class K>
struct KeySample {
  K key;
  Index rank = 0;
  Index position = 0;
  Index weight = 0;
};

/// Evenly spaced samples of this rank's `count` sorted elements. Local.
template <class K, class KeyAt>
void add_samples(std::vector<KeySample<K>>& samples, int rank, int ranks, Index count, const KeyAt& key_at) {
  constexpr Index kSamplesPerRank = 32;  // an uneven share of about 1/32
  const Index wanted = std::min(count, kSamplesPerRank * ranks);
  for (Index i = 0; i < wanted; ++i) {
    const Index position = count * i / wanted;
    samples.push_back({key_at(position), rank, position, count * (i + 1) / wanted - position});
  }
}

/// The same of elements in any order: more, as they lie at random. Local.
template <class K, class KeyAt>
void add_unsorted_samples(std::vector<KeySample<K>>& samples, int rank, int ranks, Index count,
                          const KeyAt& key_at) {
  constexpr Index kFewest = 1024;  // an uneven share of about 1/32
  const Index wanted = std::min(count, std::max<Index>(kFewest, Index{32} * ranks));
  for (Index i = 0; i < wanted; ++i) {
    const Index position = count * i / wanted;
    samples.push_back({key_at(position), rank, position, count * (i + 1) / wanted - position});
  }
}

/// The number of splitters that are not behind an element: the share that it belongs to. Equal keys stay
/// together, or are cut by rank and position. Local.
template <class K, class Less>
Index share_of(const std::vector<KeySample<K>>& splitters, const K& key, int rank, Index position,
               const Less& less, bool together) {
  const auto behind = [&](const KeySample<K>& splitter) {
    if (less(key, splitter.key)) return true;
    if (together || less(splitter.key, key)) return false;
    return splitter.rank != rank ? splitter.rank > rank : splitter.position > position;
  };
  const auto found = std::partition_point(splitters.begin(), splitters.end(),
                                          [&](const auto& splitter) { return !behind(splitter); });
  return found - splitters.begin();
}

/// The first element of each rank but the first, chosen so that shares are about even; the same on every
/// rank. Fewer where there are fewer samples. `shares`: not one a rank, but so many. Collective.
template <Serializable K, class Less>
std::vector<KeySample<K>> choose_splitters(Communicator& comm, const std::vector<KeySample<K>>& samples,
                                           const Less& less, Index shares = 0) {
  if (shares == 0) shares = comm.size();
  using Travelling = std::tuple<K, Index, Index, Index>;
  ByteWriter out;
  comm.collectively([&] {
    for (const auto& s : samples) out.write(Travelling(s.key, s.rank, s.position, s.weight));
  });
  const auto bytes = comm.allgatherv(out.buffer());
  return comm.collectively([&] {
    std::vector<KeySample<K>> all;
    Index total = 0;
    ByteReader in(bytes);
    while (!in.at_end()) {
      auto [key, rank, position, weight] = in.template read<Travelling>();
      total += weight;
      all.push_back({std::move(key), rank, position, weight});
    }
    // Gathered in order of rank and position: a stable sort by key leaves ties so.
    std::stable_sort(all.begin(), all.end(),
                     [&](const auto& a, const auto& b) { return less(a.key, b.key); });
    std::vector<KeySample<K>> splitters;
    Index before = 0;
    for (const auto& sample : all) {
      const auto next = static_cast<Index>(splitters.size()) + 1;
      if (next >= shares) break;
      if (before >= total / shares * next) splitters.push_back(sample);
      before += sample.weight;
    }
    return splitters;
  });
}

/// Where this rank's `count` sorted elements are cut into shares: begin[r] … begin[r + 1]. Equal keys stay on
/// one rank where `together`; else a tie is cut by rank and position, so that equal keys spread. Local.
template <class K, class KeyAt, class Less>
std::vector<Index> cut_at(const std::vector<KeySample<K>>& splitters, int rank, int ranks, Index count,
                          const KeyAt& key_at, const Less& less, bool together) {
  const auto first_that = [&](const auto& holds) {
    Index low = 0;
    Index high = count;
    while (low < high) {
      const Index middle = low + (high - low) / 2;
      if (holds(key_at(middle)))
        high = middle;
      else
        low = middle + 1;
    }
    return low;
  };
  std::vector<Index> begin{0};
  for (const auto& splitter : splitters) {
    Index cut = 0;
    if (!together && splitter.rank == rank)
      cut = splitter.position;
    else if (!together && splitter.rank > rank)
      cut = first_that([&](const K& key) { return less(splitter.key, key); });
    else
      cut = first_that([&](const K& key) { return !less(key, splitter.key); });
    begin.push_back(std::max(begin.back(), cut));
  }
  begin.resize(static_cast<std::size_t>(ranks) + 1, count);
  return begin;
}

}  // namespace firesteel::detail
