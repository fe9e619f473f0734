// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "firesteel/core/dataset.hpp"
#include "firesteel/core/dataset/create.hpp"
#include "firesteel/core/dataset/exchange.hpp"

namespace firesteel::detail {

/// True where wide operations keep within a bound. The same on all ranks.
inline bool is_bounded(const Context& context) { return context.memory()->strict(); }

/// The elements of this rank's blocks. Local, by several threads.
template <class Data>
Index count_own(const Data& data) {
  const int rank = data.context().rank();
  const Index first = data.partition().first_block(rank);
  std::vector<Index> counts(at(data.partition().end_block(rank) - first));
  parallel_for(data.context().threads(), static_cast<Index>(counts.size()), [&](Index i, int) {
    Index elements = 0;
    data.run_block(first + i, [&](auto&&) { ++elements; });
    counts[at(i)] = elements;
  });
  Index total = 0;
  for (const Index elements : counts) total += elements;
  return total;
}

/// Sequences that lie over the ranks one after another, made into a dataset of even shares in bounded memory:
/// elements travel by and by and wait in scratch, from each rank apart, until a rank's blocks can be filled
/// in order.
template <Serializable T>
class RowDealer {
 public:
  /// Of so many elements in all. Collective.
  RowDealer(const Context& context, Index rows) : RowDealer(context, partition_rows(context, rows)) {}
  /// Over these blocks; the result is kept where `level` says. Local.
  RowDealer(const Context& context, std::shared_ptr<const BlockPartition> partition,
            StorageLevel level = StorageLevel::memory_and_disk)
      : context_(context),
        partition_(std::move(partition)),
        level_(level),
        file_(context.scratch(), RecordFile::Through::page_cache) {}

  /// The elements of `data`, of which this rank's first has position `first` in the whole: behind those added
  /// before. Collective; throws what the chain throws, 73, 74. Cost: rounds of two collectives, each of about
  /// a 32nd of the room or a block a thread.
  template <class Data>
  void add(const Data& data, Index first) {
    Communicator& comm = context_.comm();
    Index block = data.partition().first_block(comm.rank());
    const Index end = data.partition().end_block(comm.rank());
    auto& from = places_.emplace_back(at(comm.size()));
    Index position = first;
    while (comm.any(block < end)) {
      std::vector<Index> cuts{0};
      auto chunk = comm.collectively([&] {
        std::vector<T> elements;
        const Index bytes = std::clamp<Index>(context_.memory()->available() / 32, kSmallest, kLargest);
        for (Index used = 0; block < end && used < bytes;) used += append_blocks(data, block, end, elements);
        const auto count = static_cast<Index>(elements.size());
        for (int rank = 0; rank < comm.size(); ++rank)
          cuts.push_back(
              std::clamp(partition_->end_row(rank) - position, cuts.back(), std::max(count, cuts.back())));
        position += count;
        return elements;
      });
      auto runs = exchange_runs(comm, std::move(chunk), cuts);
      comm.collectively([&] {
        for (std::size_t rank = 0; rank < from.size(); ++rank) keep(runs, rank, from[rank]);
      });
    }
  }

  /// All that was added. Collective.
  Dataset<T, VectorPipeline<T>> finish() {
    auto blocks = context_.comm().collectively([&] { return fill(); });
    VectorPipeline<T> pipeline{std::make_shared<const std::vector<T>>(), 0, partition_->block_rows(),
                               std::move(blocks), partition_->first_block(context_.rank())};
    return {context_, partition_, std::move(pipeline)};
  }

 private:
  static constexpr Index kSmallest = Index{16} << 10;
  static constexpr Index kLargest = Index{4} << 20;

  /// A block for each thread; `block` moves on. Returns their bytes.
  template <class Data>
  Index append_blocks(const Data& data, Index& block, Index end, std::vector<T>& elements) const {
    const Index count = std::min<Index>(context_.threads(), end - block);
    std::vector<std::vector<T>> rows(at(count));
    std::vector<Index> bytes(at(count), 0);
    parallel_for(context_.threads(), count, [&](Index i, int) {
      data.run_block(block + i, [&](auto&& value) {
        bytes[at(i)] += static_cast<Index>(sizeof(T)) + heap_bytes(value);
        rows[at(i)].push_back(std::forward<decltype(value)>(value));
      });
    });
    block += count;
    Index total = 0;
    for (const Index b : bytes) total += b;
    for (auto& part : rows) {
      elements.insert(elements.end(), std::make_move_iterator(part.begin()),
                      std::make_move_iterator(part.end()));
      part = {};
    }
    return total;
  }

  void keep(Runs<T>& runs, std::size_t rank, std::vector<RecordFile::Place>& places) {
    const auto begin = runs.values.begin() + static_cast<std::ptrdiff_t>(runs.begin[rank]);
    const auto end = runs.values.begin() + static_cast<std::ptrdiff_t>(runs.begin[rank + 1]);
    constexpr std::ptrdiff_t kElements = 4096;  // to be read together
    for (auto from = begin; from < end; from += std::min(kElements, end - from)) {
      const std::vector<T> part(std::make_move_iterator(from),
                                std::make_move_iterator(from + std::min(kElements, end - from)));
      ByteWriter out;
      out.write(part);
      places.push_back(file_.append(out.buffer()));
    }
  }

  std::shared_ptr<BlockCache<T>> fill() const {
    const Index first = partition_->first_block(context_.rank());
    auto blocks = std::make_shared<BlockCache<T>>(level_, context_.memory(), context_.scratch(),
                                                  partition_->end_block(context_.rank()) - first);
    Index block = first;
    BlockRows<T> rows{.first_row = partition_->row_of_block(block)};
    const auto add = [&](T&& row) {
      rows.values.push_back(std::move(row));
      if (rows.first_row + static_cast<Index>(rows.values.size()) < partition_->row_of_block(block + 1))
        return;
      blocks->put(block - first, std::move(rows));
      ++block;
      rows = {.first_row = partition_->row_of_block(block)};
    };
    for (const auto& source : places_)
      for (const auto& from : source)
        for (const auto& place : from) {
          const PageMemory pages = file_.read(place);
          ByteReader in({pages.data(), at(place.bytes)});
          for (auto&& row : in.template read<std::vector<T>>()) add(T(std::forward<decltype(row)>(row)));
        }
    return blocks;
  }

  Context context_;
  std::shared_ptr<const BlockPartition> partition_;
  StorageLevel level_;
  RecordFile file_;
  std::vector<std::vector<std::vector<RecordFile::Place>>> places_;  ///< [what was added][from which rank]
};

/// Elements at the same position of two datasets of equal partitions.
template <class T, class U>
struct ZipPipeline {
  using value_type = std::pair<T, U>;
  static constexpr bool kOneToOne = true;

  VectorPipeline<T> left;
  VectorPipeline<U> right;

  template <class Sink>
  void run(Index block, Index first_row, RowCursor& cursor, Sink&& sink) const {
    std::vector<U> rights;
    RowCursor other;
    const auto keep = [&](auto&& value) { rights.push_back(std::forward<decltype(value)>(value)); };
    right.run(block, first_row, other, keep);
    std::size_t next = 0;
    const auto join = [&](auto&& value) {
      sink(value_type(std::forward<decltype(value)>(value), std::move(rights[next++])));
    };
    left.run(block, first_row, cursor, join);
  }
};

/// Sums of a block's elements up to each, added to the sum of all blocks before.
template <class Upstream, class F>
struct PrefixSumPipeline {
  using value_type = typename Upstream::value_type;
  static constexpr bool kOneToOne = Upstream::kOneToOne;

  Upstream upstream;
  F f;
  /// Of each own block: the sum of the blocks before it, if these have elements.
  std::shared_ptr<const std::vector<std::optional<value_type>>> before;
  Index first_block;

  template <class Sink>
  void run(Index block, Index first_row, RowCursor& cursor, Sink&& sink) const {
    const auto& start = (*before)[at(block - first_block)];
    std::optional<value_type> running;
    upstream.run(block, first_row, cursor, [&](auto&& value) {
      if (running)
        apply_into(f, *running, std::forward<decltype(value)>(value));
      else
        running.emplace(std::forward<decltype(value)>(value));
      if (!start) return sink(value_type(*running));
      value_type sum = *start;
      apply_into(f, sum, value_type(*running));
      sink(std::move(sum));
    });
  }
};

/// f of each run of `size` elements that begins in a block, of elements that lie in blocks as they are
/// numbered.
template <class T, class U, class F>
struct WindowPipeline {
  using value_type = U;
  static constexpr bool kOneToOne = true;

  VectorPipeline<T> elements;
  F f;
  Index size;
  std::shared_ptr<const BlockPartition> partition;  ///< of the elements
  Index end_block;                                  ///< of this rank
  std::shared_ptr<const std::vector<T>> halo;       ///< what follows there

  template <class Sink>
  void run(Index block, Index first_row, RowCursor& cursor, Sink&& sink) const {
    const Index own = partition->row_of_block(block + 1) - first_row;
    std::vector<T> values;
    const auto wanted = at(own + size - 1);
    const auto keep = [&](auto&& value) {
      if (values.size() < wanted) values.push_back(std::forward<decltype(value)>(value));
    };
    for (Index next = block; next < end_block && values.size() < wanted; ++next)
      elements.run(next, partition->row_of_block(next), cursor, keep);
    for (std::size_t i = 0; i < halo->size() && values.size() < wanted; ++i) values.push_back((*halo)[i]);
    cursor = {};
    for (Index i = 0; i < own && at(i + size) <= values.size(); ++i) {
      cursor.row = first_row + i;
      sink(f(std::span<const T>(values).subspan(at(i), at(size))));
    }
  }
};

}  // namespace firesteel::detail
