// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <span>
#include <vector>

#include "firesteel/core/dataset/bulk.hpp"
#include "firesteel/core/dataset/sorted_order.hpp"
#include "firesteel/core/parallel.hpp"

namespace firesteel::detail {

/// Moves elements within their memory to where an order wants them: values[i] = values[order[i].place], all
/// at once. A chain lifts an element from its place, fills the place from where the order says, and then that
/// place, and so on, until it is to be filled with an element that was lifted: its own, or that of another
/// chain, which has begun in the same cycle. Several chains in each thread hide each other's waits for
/// memory. Memory: a bit an element. Cost: each element is read and written once.
template <MovesInBulk T>
class Permutation {
 public:
  Permutation(std::span<T> values, std::span<const SortEntry> order, int threads)
      : values_(values), order_(order), threads_(threads), taken_(values.size() / 64 + 1) {
    lifted_.reserve(at(threads) * kChains);
  }

  void run() {
    parallel_for(threads_, threads_, [&](Index part, int) { run_chains(at(part)); });
  }

 private:
  static constexpr std::size_t kChains = 16;  ///< of a thread

  /// Where a chain begins, and the element that it has lifted there.
  struct Lifted {
    std::size_t place;
    T element;
  };
  struct Chain {
    std::size_t hole = 0;  ///< to be filled
    std::size_t from = 0;  ///< by the element there
    std::size_t next = 0;  ///< places from here to `end` may be where the next one begins
    std::size_t end = 0;
    enum class Step { begin, find, fill, done };
    Step step = Step::begin;
  };

  /// False where another chain has it.
  bool take(std::size_t place) {
    const std::uint64_t bit = std::uint64_t{1} << place % 64;
    return (taken_[place / 64].fetch_or(bit, std::memory_order_relaxed) & bit) == 0;
  }
  bool is_taken(std::size_t place) const {
    return (taken_[place / 64].load(std::memory_order_relaxed) >> place % 64 & 1) != 0;
  }

  void run_chains(std::size_t part) {
    // Chains begin far from each other: neighbours are often of one cycle.
    std::array<Chain, kChains> chains;
    const std::size_t all = at(threads_) * kChains;
    for (std::size_t i = 0; i < kChains; ++i) {
      const std::size_t number = part * kChains + i;
      chains[i].next = values_.size() * number / all;
      chains[i].end = values_.size() * (number + 1) / all;
    }
    for (std::size_t left = kChains; left > 0;)
      for (Chain& chain : chains)
        if (chain.step != Chain::Step::done && !advance(chain)) --left;
  }

  /// A step, before which what it reads has been fetched. False at the end.
  bool advance(Chain& chain) {
    switch (chain.step) {
      case Chain::Step::begin:
        if (!lift(chain)) {
          chain.step = Chain::Step::done;
          return false;
        }
        __builtin_prefetch(&order_[chain.hole]);
        chain.step = Chain::Step::find;
        return true;
      case Chain::Step::find:
        chain.from = at(order_[chain.hole].place);
        __builtin_prefetch(&values_[chain.from], 1);
        if constexpr (sizeof(T) > 64)
          __builtin_prefetch(reinterpret_cast<const char*>(&values_[chain.from]) + sizeof(T) - 1, 1);
        __builtin_prefetch(&taken_[chain.from / 64], 1);
        chain.step = Chain::Step::fill;
        return true;
      case Chain::Step::fill:
        if (!take(chain.from)) {
          values_[chain.hole] = put_down(chain.from);
          chain.step = Chain::Step::begin;
          return true;
        }
        values_[chain.hole] = values_[chain.from];
        chain.hole = chain.from;
        __builtin_prefetch(&order_[chain.hole]);
        chain.step = Chain::Step::find;
        return true;
      case Chain::Step::done:
        break;
    }
    return true;
  }

  /// Begins a chain at a place that none has come to yet. False where there is none left.
  bool lift(Chain& chain) {
    for (; chain.next < chain.end; ++chain.next) {
      const std::size_t place = chain.next;
      if (is_taken(place) || at(order_[place].place) == place) continue;
      const std::lock_guard lock(mutex_);  // who finds it taken finds it lifted
      if (!take(place)) continue;
      lifted_.push_back({place, values_[place]});
      chain.hole = place;
      ++chain.next;
      return true;
    }
    return false;
  }

  /// What was lifted at a place. A chain takes one when it ends: there are never more than chains.
  T put_down(std::size_t place) {
    const std::lock_guard lock(mutex_);
    for (Lifted& lifted : lifted_)
      if (lifted.place == place) {
        const T element = lifted.element;
        lifted = lifted_.back();
        lifted_.pop_back();
        return element;
      }
    throw internal_error("a permutation names a place twice");
  }

  std::span<T> values_;
  std::span<const SortEntry> order_;
  int threads_;
  std::vector<std::atomic<std::uint64_t>> taken_;
  std::mutex mutex_;
  std::vector<Lifted> lifted_;
};

/// The elements in the order of `order`, which names each place once. By several threads. Local.
template <MovesInBulk T>
void permute(int threads, BulkVector<T>& values, std::span<const SortEntry> order) {
  const auto parts = static_cast<int>(cut_evenly(static_cast<Index>(values.size()), threads).size()) - 1;
  Permutation<T>(values, order, parts).run();
}

}  // namespace firesteel::detail
