// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "firesteel/core/dataset/keyed_partials.hpp"
#include "firesteel/core/dataset/range_spool.hpp"
#include "firesteel/core/dataset/rounds.hpp"

namespace firesteel::detail {

/// The pairs of a dataset for an exact function, in scratch by ranges of keys: those of a key are combined
/// first, as far as memory goes. What goes to scratch is one pair a key, thread and table full of keys, not
/// one an element.
template <class K, class A, class Data, class Fold>
class CombinedSpool {
 public:
  using Stored = std::pair<Index, std::pair<K, A>>;

  /// Computes the elements once. Collective.
  CombinedSpool(const Data& data, const Fold& fold)
      : context_(data.context()),
        begin_(cut_blocks(data.partition(), context_.rank(), context_.threads(), 1)) {
    context_.comm().collectively([&] {
      tables_ = std::make_unique<RangeSpool<std::pair<K, A>>>(context_.scratch(), 1, runs());
      of_run_.resize(at(runs()));
      const Index room = std::max(kLeastTable, context_.memory()->available() / (8 * context_.threads()));
      parallel_for(context_.threads(), runs(), [&](Index run, int) { combine(data, fold, run, room); });
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

  /// Writes the pairs by ranges, see SpooledData; all of them as of block 0. Collective.
  void cut(const std::vector<KeySample<K>>& splitters, Index ranges) {
    context_.comm().collectively([&] {
      spool_ = std::make_unique<RangeSpool<Stored>>(context_.scratch(), ranges, runs());
      parallel_for(context_.threads(), runs(), [&](Index run, int) {
        RangeBuffers<Stored> buffers(context_, *spool_, ranges, run);
        tables_->for_each_of_run(0, run, [&](std::vector<std::pair<K, A>> pairs) {
          for (auto& pair : pairs) {
            const Index range = share_of<K>(splitters, pair.first, context_.rank(), 0, Ascending(), true);
            const Index bytes = static_cast<Index>(sizeof(Stored)) + heap_bytes(pair);
            buffers.put(range, Stored(0, std::move(pair)), bytes);
          }
        });
        buffers.flush();
      });
      tables_ = nullptr;
    });
  }

  const RangeSpool<Stored>& spool() const { return *spool_; }

 private:
  using Partials = ExactPartials<K, A, typename Data::value_type::second_type, Fold>;
  static constexpr Index kLeastTable = Index{64} << 10;
  static constexpr std::size_t kTogether = 1024;  // pairs that are written, and read, at once

  struct OfRun {
    Index bytes = 0;
    std::vector<KeySample<K>> samples;
  };

  Index runs() const { return static_cast<Index>(begin_.size()) - 1; }

  void combine(const Data& data, const Fold& fold, Index run, Index room) {
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

  void write(std::vector<KeyedPartial<K, A>> partials, Index run) {
    auto& found = of_run_[at(run)];
    std::vector<std::pair<K, A>> pairs;
    for (auto& partial : partials) {
      found.bytes += static_cast<Index>(sizeof(Stored)) + heap_bytes(partial.key) + heap_bytes(partial.value);
      pairs.emplace_back(std::move(partial.key), std::move(partial.value));
      if (pairs.size() < kTogether && &partial != &partials.back()) continue;
      found.samples.push_back(
          {pairs[pairs.size() / 2].first, context_.rank(), 0, static_cast<Index>(pairs.size())});
      tables_->append(0, run, pairs);
      pairs.clear();
    }
    thin_out(found.samples);
  }

  Context context_;
  std::vector<Index> begin_;
  std::unique_ptr<RangeSpool<std::pair<K, A>>> tables_;
  std::unique_ptr<RangeSpool<Stored>> spool_;
  std::vector<OfRun> of_run_;
  Index bytes_ = 0;
  std::vector<KeySample<K>> samples_;
};

}  // namespace firesteel::detail
