// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

#include "firesteel/core/dataset/keyed_partials.hpp"
#include "firesteel/core/dataset/range_spool.hpp"
#include "firesteel/core/dataset/rounds.hpp"

namespace firesteel::detail {

/// The pairs of a dataset in scratch by ranges of keys: those of a key are combined first, as far as memory
/// goes. What goes to scratch is not one pair an element but for an exact function one a key, thread and
/// table full of keys, else one a key and node of the tree over blocks (TreeOrder) of which all is known: a
/// table is written at the end of a block, as if the run of blocks ended there, so that the values of a key
/// are grouped as they are in memory.
template <class K, class A, bool kExact, class Data, class Fold, class Merge>
class CombinedSpool {
 public:
  using Stored = std::pair<Index, std::pair<K, A>>;

  /// Computes the elements once. Collective.
  CombinedSpool(const Data& data, const Fold& fold, const Merge& merge)
      : context_(data.context()),
        begin_(cut_blocks(data.partition(), context_.rank(), context_.threads(), 1)) {
    context_.comm().collectively([&] {
      tables_ = std::make_unique<RangeSpool<Kept>>(context_.scratch(), 1, runs());
      of_run_.resize(at(runs()));
      const Index room = std::max(kLeastTable, context_.memory()->available() / (8 * context_.threads()));
      parallel_for(context_.threads(), runs(), [&](Index run, int) {
        if constexpr (kExact)
          combine_exactly(data, fold, run, room);
        else
          combine_by_blocks(data, fold, merge, run, room);
      });
      for (auto& found : of_run_) {
        bytes_ += found.bytes;
        samples_.insert(samples_.end(), std::make_move_iterator(found.samples.begin()),
                        std::make_move_iterator(found.samples.end()));
        found = {};
      }
      thin_out(samples_);
    });
  }

  Index bytes() const { return bytes_; }
  const std::vector<KeySample<K>>& samples() const { return samples_; }

  /// Writes the pairs by ranges, see SpooledData; those of an exact function all as of block 0. Collective.
  void cut(const std::vector<KeySample<K>>& splitters, Index ranges) {
    context_.comm().collectively([&] {
      spool_ = std::make_unique<RangeSpool<Stored>>(context_.scratch(), ranges, runs());
      parallel_for(context_.threads(), runs(), [&](Index run, int) {
        RangeBuffers<Stored> buffers(context_, *spool_, ranges, run);
        tables_->for_each_of_run(0, run, [&](std::vector<Kept> pairs) {
          for (auto& kept : pairs) {
            Stored stored = stored_of(std::move(kept));
            const K& key = stored.second.first;
            const Index range = share_of<K>(splitters, key, context_.rank(), 0, Ascending(), true);
            const Index bytes = static_cast<Index>(sizeof(Stored)) + heap_bytes(stored.second);
            buffers.put(range, std::move(stored), bytes);
          }
        });
        buffers.flush();
      });
      tables_ = nullptr;
    });
  }

  const RangeSpool<Stored>& spool() const { return *spool_; }

 private:
  using Kept = std::conditional_t<kExact, std::pair<K, A>, Stored>;
  using Value = typename Data::value_type::second_type;
  static constexpr Index kLeastTable = Index{64} << 10;
  static constexpr std::size_t kTogether = 1024;  // pairs that are written, and read, at once

  struct OfRun {
    Index bytes = 0;
    std::vector<KeySample<K>> samples;
  };

  static Stored stored_of(Kept&& kept) {
    if constexpr (kExact)
      return {0, std::move(kept)};
    else
      return std::move(kept);
  }

  Index runs() const { return static_cast<Index>(begin_.size()) - 1; }

  void combine_exactly(const Data& data, const Fold& fold, Index run, Index room) {
    using Partials = ExactPartials<K, A, Value, Fold>;
    std::optional<Partials> partials(fold);
    for (Index block = begin_[at(run)]; block < begin_[at(run + 1)]; ++block)
      data.run_block(block, [&](auto&& pair) {
        partials->put(block, std::forward<decltype(pair)>(pair));
        if (partials->bytes() < room) return;
        write(partials->take(), run);
        partials.emplace(fold);
      });
    write(partials->take(), run);
  }

  void combine_by_blocks(const Data& data, const Fold& fold, const Merge& merge, Index run, Index room) {
    const Index blocks = data.partition().blocks();
    const Index end = begin_[at(run + 1)];
    for (Index first = begin_[at(run)]; first < end;) {
      KeyedPartials<K, A, Fold, Merge> partials(TreeOrder(first, end, blocks), fold, merge);
      Index block = first;
      do {
        data.run_block(block, [&](auto&& pair) { partials.put(block, std::forward<decltype(pair)>(pair)); });
        ++block;
      } while (block < end && partials.bytes() < room);
      partials.end_at(TreeOrder(first, block, blocks));
      write(partials.take(), run);
      first = block;
    }
  }

  void write(std::vector<KeyedPartial<K, A>> partials, Index run) {
    auto& found = of_run_[at(run)];
    std::vector<Kept> pairs;
    std::optional<K> middle;
    for (auto& partial : partials) {
      found.bytes += static_cast<Index>(sizeof(Stored)) + heap_bytes(partial.key) + heap_bytes(partial.value);
      if (pairs.empty() || pairs.size() == kTogether / 2) middle = partial.key;
      std::pair<K, A> pair(std::move(partial.key), std::move(partial.value));
      if constexpr (kExact)
        pairs.push_back(std::move(pair));
      else
        pairs.emplace_back(partial.block, std::move(pair));
      if (pairs.size() < kTogether && &partial != &partials.back()) continue;
      found.samples.push_back({std::move(*middle), context_.rank(), 0, static_cast<Index>(pairs.size())});
      tables_->append(0, run, pairs);
      pairs.clear();
    }
    thin_out(found.samples);
  }

  Context context_;
  std::vector<Index> begin_;
  std::unique_ptr<RangeSpool<Kept>> tables_;
  std::unique_ptr<RangeSpool<Stored>> spool_;
  std::vector<OfRun> of_run_;
  Index bytes_ = 0;
  std::vector<KeySample<K>> samples_;
};

}  // namespace firesteel::detail
