// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "firesteel/core/block_partition.hpp"
#include "firesteel/core/canonical_reduce.hpp"
#include "firesteel/core/context.hpp"
#include "firesteel/core/dataset/block_source.hpp"
#include "firesteel/core/dataset/cache.hpp"
#include "firesteel/core/dataset/map.hpp"
#include "firesteel/core/dataset/sample.hpp"
#include "firesteel/core/dataset/sources.hpp"
#include "firesteel/core/parallel.hpp"
#include "firesteel/core/serializer.hpp"

namespace firesteel {

/// An ordered sequence of T, partitioned over the ranks of a Context, lazy: map, filter and the other narrow
/// operations only describe; an action (reduce, collect, …) runs the whole chain in one pass over the rows.
///
/// The chain is the second template parameter, so that the compiler fuses it: no virtual call and no
/// intermediate row. `Dataset<T>` without it accepts any chain (one virtual call a block): the type for
/// function parameters and members. Write `auto` elsewhere.
///
/// One answer: source rows are numbered 0 … rows − 1 and cut by number into blocks (1,024 rows;
/// FIRESTEEL_BLOCK_ROWS overrides it in tests). Filter and flat_map keep an element in its row's block. A
/// block is worked on by one thread in row order and blocks are combined in the order of CanonicalTree, so
/// that results are the same bytes for any number of ranks and threads, floating point included.
///
/// Functions are shared by the threads of a rank: they are called as const, at once for different blocks, and
/// must not call the communicator or start an action. An exception becomes the same Error on every rank, of
/// the smallest failing row, and names it ("row 17: …"). Actions are collective; narrow operations are local
/// unless marked. Copies share sources and caches.
template <class T, class Pipeline = ErasedPipeline<T>>
class Dataset {
 public:
  using value_type = T;

  Dataset(Context context, std::shared_ptr<const BlockPartition> partition, Pipeline pipeline)
      : context_(std::move(context)), partition_(std::move(partition)), pipeline_(std::move(pipeline)) {}

  /// Any chain as a Dataset<T>.
  template <class Other>
  requires(!std::is_same_v<Other, Pipeline> && std::is_same_v<Pipeline, ErasedPipeline<T>>)
      Dataset(Dataset<T, Other> other)  // NOLINT(google-explicit-constructor): the conversion is the purpose
      : context_(other.context()),
        partition_(other.shared_partition()),
        pipeline_{std::make_shared<PipelineSource<Other>>(other.pipeline())} {}

  /// The numbers 0 … n − 1. Collective; n is the same on all ranks.
  static Dataset<Index, RangePipeline> range(const Context& context, Index n);

  const Context& context() const { return context_; }
  /// Blocks and ranks of the source rows.
  const BlockPartition& partition() const { return *partition_; }
  const std::shared_ptr<const BlockPartition>& shared_partition() const { return partition_; }
  const Pipeline& pipeline() const { return pipeline_; }

  // Narrow operations.

  /// f(element) for each element.
  template <class F>
  auto map(F f) const {
    return chain(MapPipeline<Pipeline, F>{pipeline_, std::move(f)});
  }
  /// The elements for which predicate(element) holds.
  template <class F>
  auto filter(F predicate) const {
    return chain(FilterPipeline<Pipeline, F>{pipeline_, std::move(predicate)});
  }
  /// All elements of the ranges f(element), one after another.
  template <class F>
  auto flat_map(F f) const {
    return chain(FlatMapPipeline<Pipeline, F>{pipeline_, std::move(f)});
  }
  /// All elements of the ranges f(std::vector<T> elements of a block). A partition is a block, cut by row
  /// numbers, not what a rank happens to hold: so the result does not depend on ranks.
  template <class F>
  auto map_partitions(F f) const {
    return chain(MapPartitionsPipeline<Pipeline, F>{pipeline_, std::move(f), partition_->block_rows()});
  }
  /// Each element with probability `fraction` in [0, 1].
  auto sample(double fraction, std::uint64_t seed) const {
    if (!(fraction >= 0.0 && fraction <= 1.0))
      throw bad_parameter("sample: fraction = " + std::to_string(fraction) + ", must be in [0, 1]");
    return chain(SamplePipeline<Pipeline>{pipeline_, fraction, seed});
  }
  /// (position, element). Collective: where the number of elements is not that of source rows it runs the
  /// chain once to count.
  auto zip_with_index() const;
  /// Keeps the elements in this rank's memory as the next action computes them; later actions start here.
  /// Memory: the elements, freed with the last copy of the dataset.
  auto cache() const {
    using Cached = CachePipeline<Pipeline>;
    const auto own = partition_->end_block(context_.rank()) - first_block();
    return chain(Cached{pipeline_,
                        std::make_shared<std::vector<typename Cached::Entry>>(static_cast<std::size_t>(own)),
                        first_block()});
  }

  // Actions. Collective.

  /// Folds add(accumulator, element) over each block, starting from `zero`, and combines blocks by
  /// merge(left, right). Both may return the result or change the first argument and return nothing. `zero`
  /// must change nothing when merged; it is the answer where there is no row. Replicated result.
  /// Cost: one pass; see canonical_reduce.
  template <Serializable A, class Add, class Merge>
  A aggregate(const A& zero, const Add& add, const Merge& merge) const;
  /// Combines all elements by f(left, right); nullopt where there are none.
  template <class F>
  std::optional<T> reduce(const F& f) const;
  /// As above; `identity` where there are none.
  template <class F>
  T reduce(const T& identity, const F& f) const {
    auto total = reduce(f);
    return total ? std::move(*total) : identity;
  }
  Index count() const;
  /// The first n elements, on every rank. Runs blocks from the front, more in each round, until n are found.
  /// Cost: O(log blocks) rounds of two collectives.
  std::vector<T> take(Index n) const;
  /// All elements in order, on every rank. Memory: all of them.
  std::vector<T> collect() const;
  /// As collect, on one rank; empty elsewhere.
  std::vector<T> collect_on(int root) const;
  /// The elements of this rank's blocks, in order.
  std::vector<T> collect_local() const;
  /// f(std::vector<T> elements of a block) for each block, for its effects, in parallel.
  template <class F>
  void for_each_partition(const F& f) const;

  /// Runs the chain over one own block: sink(element) in order, exceptions named by row. Local; a building
  /// stone for further actions.
  template <class Sink>
  void run_block(Index block, Sink&& sink) const {
    RowCursor cursor;
    try {
      pipeline_.run(block, partition_->row_of_block(block), cursor, sink);
    } catch (...) {
      rethrow_at(cursor);
    }
  }

 private:
  template <class Next>
  Dataset<typename Next::value_type, Next> chain(Next next) const {
    return {context_, partition_, std::move(next)};
  }
  Index first_block() const { return partition_->first_block(context_.rank()); }
  /// The elements of each block of [begin, end) ∩ own blocks. Local.
  std::vector<std::vector<T>> own_blocks(Index begin, Index end) const;

  Context context_;
  std::shared_ptr<const BlockPartition> partition_;
  Pipeline pipeline_;
};

/// fn(row) for the rows 0 … n − 1. Collective; n is the same on all ranks.
template <class F>
auto generate(const Context& context, Index n, F fn) {
  return Dataset<Index>::range(context, n).map(std::move(fn));
}

/// A dataset of `values`, which every rank holds alike; each keeps its share. Collective.
template <class T>
Dataset<T, VectorPipeline<T>> parallelize(const Context& context, const std::vector<T>& values);

/// A dataset of the ranks' vectors one after another, in rank order. Elements move between ranks so that
/// every rank holds whole blocks. Collective.
template <Serializable T>
Dataset<T, VectorPipeline<T>> from_local(const Context& context, const std::vector<T>& values);

/// Every rank leaves with the root's value. Collective.
template <Serializable T>
T broadcast(const Context& context, const T& value, int root = 0);

}  // namespace firesteel

#include "firesteel/core/dataset/actions.hpp"
#include "firesteel/core/dataset/create.hpp"
