// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <atomic>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "firesteel/core/aligned_vector.hpp"
#include "firesteel/core/context.hpp"
#include "firesteel/core/dataset/exchange.hpp"
#include "firesteel/core/dataset/key_prefix.hpp"
#include "firesteel/core/parallel.hpp"

/// Elements that are bytes, many of them: how they come from blocks and travel with as few copies as can be.
/// Most of the time of sorting records went into memory that was touched for the first time.
namespace firesteel::detail {

/// As AlignedAllocator; what is not given a value has none.
template <class T>
struct BulkAllocator : AlignedAllocator<T> {
  template <class U>
  struct rebind {
    using other = BulkAllocator<U>;
  };
  BulkAllocator() = default;
  template <class U>
  BulkAllocator(const BulkAllocator<U>&) {}  // NOLINT(google-explicit-constructor): allocators convert

  template <class U>
  void construct(U* place) {
    ::new (static_cast<void*>(place)) U;
  }
  template <class U, class... Args>
  void construct(U* place, Args&&... args) {
    ::new (static_cast<void*>(place)) U(std::forward<Args>(args)...);
  }
};

/// On huge pages, and not zeroed.
template <MovesInBulk T>
using BulkVector = std::vector<T, BulkAllocator<T>>;

/// The elements of this rank's blocks as they come: each block at its rows' places while every block has an
/// element a row, as most chains have that are sorted; else block by block.
template <MovesInBulk T>
class BlocksInBulk {
 public:
  BlocksInBulk(const BlockPartition& partition, int rank)
      : partition_(partition),
        first_block_(partition.first_block(rank)),
        first_row_(partition.first_row(rank)),
        of_block_(at(partition.end_block(rank) - first_block_)),
        in_place_(of_block_.size(), 0) {
    // Some more than there are rows: a rank's share after dealing is a little uneven.
    const Index rows = partition.local_rows(rank);
    all_.reserve(at(rows + rows / 16));
    all_.resize(at(rows));
  }

  /// By any thread, for different blocks at once.
  template <class Data>
  void add(const Data& data, Index block) {
    auto& rest = of_block_[at(block - first_block_)];
    if (!full_.load(std::memory_order_relaxed)) {
      data.run_block(block, [&](auto&& value) { rest.push_back(std::forward<decltype(value)>(value)); });
      return;
    }
    const auto rows = rows_of(block);
    std::size_t found = 0;
    data.run_block(block, [&](auto&& value) {
      if (found < rows.size())
        rows[found++] = std::forward<decltype(value)>(value);
      else
        rest.push_back(std::forward<decltype(value)>(value));
    });
    if (found == rows.size() && rest.empty()) {
      in_place_[at(block - first_block_)] = 1;
    } else {
      full_.store(false, std::memory_order_relaxed);
      rest.insert(rest.begin(), rows.begin(), rows.begin() + static_cast<std::ptrdiff_t>(found));
    }
  }

  /// All, in order. Ends the use of this object.
  BulkVector<T> take() {
    if (full_.load()) return std::move(all_);
    std::size_t count = 0;
    for (std::size_t i = 0; i < of_block_.size(); ++i) count += elements_of(i).size();
    BulkVector<T> joined;
    joined.reserve(count + count / 16);
    for (std::size_t i = 0; i < of_block_.size(); ++i) {
      const auto elements = elements_of(i);
      joined.insert(joined.end(), elements.begin(), elements.end());
      of_block_[i] = {};
    }
    return joined;
  }

 private:
  std::span<T> rows_of(Index block) {
    const Index first = partition_.row_of_block(block);
    return std::span(all_).subspan(at(first - first_row_), at(partition_.row_of_block(block + 1) - first));
  }
  std::span<const T> elements_of(std::size_t i) {
    if (in_place_[i] != 0) return rows_of(first_block_ + static_cast<Index>(i));
    return of_block_[i];
  }

  const BlockPartition& partition_;
  Index first_block_;
  Index first_row_;
  BulkVector<T> all_;
  std::vector<std::vector<T>> of_block_;  ///< those that are not in place
  std::vector<char> in_place_;
  std::atomic<bool> full_ = true;
};

/// The elements of this rank's blocks, in order. Collective.
template <class Data>
auto collect_in_bulk(const Data& data) {
  const Context& context = data.context();
  return context.comm().collectively([&] {
    const BlockPartition& partition = data.partition();
    BlocksInBulk<typename Data::value_type> blocks(partition, context.rank());
    const Index first = partition.first_block(context.rank());
    parallel_for(context.threads(), partition.end_block(context.rank()) - first,
                 [&](Index i, int) { blocks.add(data, first + i); });
    return blocks.take();
  });
}

/// share_of() by the start of keys, where that decides.
template <class K, class Less>
class ShareOf {
 public:
  ShareOf(const std::vector<KeySample<K>>& splitters, int rank, const Less& less)
      : splitters_(splitters), rank_(rank), less_(less) {
    if constexpr (Prefix::kKnown)
      for (const auto& splitter : splitters) prefixes_.push_back(Prefix::of(splitter.key));
  }
  Index operator()(const K& key, Index position) const {
    if constexpr (Prefix::kKnown) {
      const std::uint64_t prefix = Prefix::of(key);
      const auto found = std::lower_bound(prefixes_.begin(), prefixes_.end(), prefix);
      if (found == prefixes_.end() || *found != prefix) return found - prefixes_.begin();
    }
    return share_of<K>(splitters_, key, rank_, position, less_, false);
  }

 private:
  using Prefix = OrderPrefix<K, Less>;
  const std::vector<KeySample<K>>& splitters_;
  int rank_;
  const Less& less_;
  std::vector<std::uint64_t> prefixes_;
};

/// Elements that leave a rank, and how many go to each.
template <MovesInBulk T>
struct Leaving {
  BulkVector<T> values;
  std::vector<Index> counts;
};

/// Takes those of `values` out whose share is another rank's; those that stay move together, in order.
/// Several threads each work on a part. Local.
template <class T, class ShareAt>
Leaving<T> take_leaving(BulkVector<T>& values, int rank, int ranks, int threads, const ShareAt& share_at) {
  const auto count = static_cast<Index>(values.size());
  const auto first_of = [&](Index part) { return count * part / threads; };
  BulkVector<std::int32_t> share_of_each(values.size());
  std::vector<std::vector<Index>> next(at(threads), std::vector<Index>(at(ranks), 0));
  parallel_for(threads, threads, [&](Index part, int) {
    for (Index i = first_of(part); i < first_of(part + 1); ++i) {
      const Index share = share_at(i);
      share_of_each[at(i)] = static_cast<std::int32_t>(share);
      ++next[at(part)][at(share)];
    }
  });
  Leaving<T> leaving{.values = {}, .counts = std::vector<Index>(at(ranks), 0)};
  std::vector<Index> staying(at(threads), 0);
  Index before = 0;
  for (Index share = 0; share < ranks; ++share)
    for (Index part = 0; part < threads; ++part) {
      if (share == rank) {
        staying[at(part)] = next[at(part)][at(share)];
      } else {
        leaving.counts[at(share)] += next[at(part)][at(share)];
        before += std::exchange(next[at(part)][at(share)], before);
      }
    }
  leaving.values.resize(at(before));
  parallel_for(threads, threads, [&](Index part, int) {
    Index kept = first_of(part);
    for (Index i = first_of(part); i < first_of(part + 1); ++i) {
      const auto share = share_of_each[at(i)];
      if (share == rank)
        values[at(kept++)] = values[at(i)];
      else
        leaving.values[at(next[at(part)][at(share)]++)] = values[at(i)];
    }
  });
  Index kept = 0;
  for (Index part = 0; part < threads; ++part) {
    const auto from = values.begin() + static_cast<std::ptrdiff_t>(first_of(part));
    if (kept < first_of(part))
      std::copy_n(from, staying[at(part)], values.begin() + static_cast<std::ptrdiff_t>(kept));
    kept += staying[at(part)];
  }
  values.resize(at(kept));
  return leaving;
}

/// Sends each rank the elements of its range of keys: this rank's share is what came from ranks before it,
/// its own, and what came from later ones, each in order. Collective. Cost: one alltoallv of what leaves a
/// rank. Memory: beside the elements, those that leave.
template <class K, class T, class Key, class Less>
BulkVector<T> deal_in_bulk(const Context& context, BulkVector<T> values, const Key& key, const Less& less) {
  Communicator& comm = context.comm();
  if (comm.size() == 1) return values;
  const auto key_at = [&](Index i) -> decltype(auto) { return key(std::as_const(values[at(i)])); };
  const auto samples = comm.collectively([&] {
    std::vector<KeySample<K>> own;
    add_unsorted_samples(own, comm.rank(), comm.size(), static_cast<Index>(values.size()), key_at);
    return own;
  });
  const auto splitters = choose_splitters(comm, samples, less);
  const auto leaving = comm.collectively([&] {
    const ShareOf<K, Less> share(splitters, comm.rank(), less);
    return take_leaving<T>(values, comm.rank(), comm.size(), context.threads(),
                           [&](Index i) { return share(key_at(i), i); });
  });
  auto plan = comm.plan_alltoallv<T>(static_cast<Index>(leaving.values.size()), leaving.counts);
  comm.collectively([&] {
    // What stays lies between what comes.
    const auto rank = at(comm.rank());
    const std::size_t own = values.size();
    const auto before = at(plan.receive_offsets[rank]) / sizeof(T);
    values.resize(own + at(plan.receive_offsets.back()) / sizeof(T));
    const auto end = values.begin() + static_cast<std::ptrdiff_t>(own);
    std::copy_backward(values.begin(), end, end + static_cast<std::ptrdiff_t>(before));
    for (std::size_t r = rank + 1; r < plan.receive_offsets.size(); ++r)
      plan.receive_offsets[r] += static_cast<Index>(own * sizeof(T));
  });
  comm.alltoallv(std::span<const T>(leaving.values), plan, std::span<T>(values));
  return values;
}

}  // namespace firesteel::detail
