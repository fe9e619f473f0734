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
#include "firesteel/core/dataset/accumulator.hpp"
#include "firesteel/core/dataset/block_source.hpp"
#include "firesteel/core/dataset/cache.hpp"
#include "firesteel/core/dataset/exact.hpp"
#include "firesteel/core/dataset/keys.hpp"
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
  /// f(element, emit) calls emit(U) for each new element: flat_map without a range to hold them. Views, as
  /// the words of a line, need to be valid only while emit runs; the wide operations by key keep texts of
  /// their own.
  template <class U, class F>
  auto flat_map_to(F f) const {
    return chain(EmitPipeline<Pipeline, U, F>{pipeline_, std::move(f)});
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
    return chain(SamplePipeline<Pipeline>{pipeline_, 0.0, fraction, seed});
  }
  /// Cuts the elements at random into one dataset a weight: each element goes into exactly one, with
  /// probability weight / Σ weights. Weights are >= 0 and not all 0. The parts read the same source; cache()
  /// before splitting what is costly to compute.
  auto random_split(const std::vector<double>& weights, std::uint64_t seed) const;
  /// (f(element), element): a dataset by key.
  template <class F>
  auto key_by(F f) const {
    return map(
        [f = std::move(f)](const T& value) { return std::pair<MappedType<F, T>, T>(f(value), value); });
  }
  /// (key, f(value)) for each pair.
  template <class F>
  auto map_values(F f) const {
    return map([f = std::move(f)](const auto& pair) {
      using Mapped = MappedType<F, std::remove_cvref_t<decltype(pair.second)>>;
      return std::pair<std::remove_cvref_t<decltype(pair.first)>, Mapped>(pair.first, f(pair.second));
    });
  }
  auto keys() const {
    return map([](const auto& pair) { return pair.first; });
  }
  auto values() const {
    return map([](const auto& pair) { return pair.second; });
  }
  /// (position, element). Collective: where the number of elements is not that of source rows it runs the
  /// chain once to count.
  auto zip_with_index() const;
  /// Keeps the elements, as the next action computes them, where the level says; later actions start here.
  /// Memory is taken from the context's pool. What goes to scratch is serialised, block by block, so that its
  /// elements must have a Serializer. Freed with the last copy of the dataset. Throws 73, 74.
  auto persist(StorageLevel level) const {
    static_assert(Serializable<T>, "persist() needs a Serializer for the elements; cache() does not");
    return kept(level);
  }
  /// Keeps the elements in this rank's memory: persist(StorageLevel::memory), for any type.
  auto cache() const { return kept(StorageLevel::memory); }
  /// Forgets what persist() or cache() has kept, in all copies of the dataset: from now on it is computed.
  /// Local, outside of actions.
  void unpersist() const requires requires(const Pipeline& p) { p.cache->drop(); }
  { pipeline_.cache->drop(); }

  // Wide operations: elements move between ranks. Collective. They run the chain when they are called, and
  // their result is a dataset in the ranks' memory, or within a bound on it partly in scratch, whose rows are
  // numbered afresh, in the order that is stated, which is the same for any number of ranks and threads.
  //
  // Keys need `<`, `==`-like equality by it, and a hash (KeyHash). "Ascending" is the order of Ascending.
  // Memory of a rank, beyond its share of the result: its elements once or twice while they travel.

  /// The same elements, in order, dealt evenly over the ranks: for what is left after a filter.
  auto repack() const;
  /// Elements by ascending key(element), or by another order of keys; equal keys keep their order. Elements
  /// of equal keys are spread over ranks, too. Source: sample sort, Frazer & McKellar 1970,
  /// doi:10.1145/321592.321600.
  template <class Key, class Less = Ascending>
  auto sort_by(const Key& key, const Less& less = {}) const;
  /// This dataset's elements, then the other's.
  template <class Other>
  auto union_(const Dataset<T, Other>& other) const;  // NOLINT(readability-identifier-naming): a keyword
  /// Pairs of elements at the same position. Throws bad_input where the numbers of elements differ.
  template <class U, class Other>
  auto zip(const Dataset<U, Other>& other) const;
  /// Element i is f(…f(f(x₀, x₁), x₂)…, xᵢ), where f is associative but for rounding: elements of a block are
  /// added first, blocks from the left. Memory: one sum a block on every rank.
  template <class F>
  auto prefix_sum(const F& f) const;
  /// f(std::span<const T> of `size` neighbours) for each run of that many elements, by its first: rows − size
  /// + 1 results. A rank needs memory for size − 1 elements of its neighbours, and within a bound of as many
  /// beyond each block.
  template <class F>
  auto window(Index size, const F& f) const;

  // Of datasets of pairs (key, value). In what each says of order, values of a key are in order of rows.

  /// (key, A) by ascending key. A key's values are folded by add(accumulator, value) in each block, starting
  /// from `zero`, and blocks combined by merge(left, right) in the shape of CanonicalTree, blocks without the
  /// key left out: see aggregate. Cost: one pass; a rank sends one partial for each of its keys and maximal
  /// subtrees. exact(merge) says that merge is associative and that add(a, value) is merge(a, add(zero,
  /// value)), both to the last bit: then a key has one partial a rank.
  template <Serializable A, class Add, class Merge>
  auto aggregate_by_key(const A& zero, const Add& add, const Merge& merge) const;
  /// (key, value) by ascending key: the values of a key combined by f(left, right), as above. With
  /// std::plus<>() and the like on whole numbers, or exact(f), a key has one partial a rank.
  template <class F>
  auto reduce_by_key(const F& f) const;
  /// (key, Index) by ascending key.
  auto count_by_key() const;
  /// (key, std::vector of its values in order) by ascending key. All values of a key come to one rank.
  auto group_by_key() const;
  /// (key, (left value, right value)) for each pair of values of equal keys: by ascending key, then left,
  /// then right order. All values of a key come to one rank.
  template <class U, class Other>
  auto join(const Dataset<U, Other>& right) const;
  /// As join, with every left value: the right one is a std::optional.
  template <class U, class Other>
  auto left_join(const Dataset<U, Other>& right) const;
  /// As join, with every right value: the left one is a std::optional.
  template <class U, class Other>
  auto right_join(const Dataset<U, Other>& right) const;
  /// As join, with every value of either side: both are std::optional.
  template <class U, class Other>
  auto full_join(const Dataset<U, Other>& right) const;
  /// (key, (left values, right values)) for every key of either side, ascending; values in order.
  template <class U, class Other>
  auto cogroup(const Dataset<U, Other>& right) const;

  // Of datasets whose elements can be keys.

  /// (element, Index how often) by ascending element.
  auto count_by_value() const;
  /// Each element once, ascending.
  auto distinct() const;
  /// The distinct elements that both datasets have, ascending.
  template <class Other>
  auto intersection(const Dataset<T, Other>& other) const;
  /// The elements that the other dataset has not, as often as this one has them, ascending.
  template <class Other>
  auto subtract(const Dataset<T, Other>& other) const;

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
  /// The n smallest elements by `less`, in its order, of equal ones the earlier; on every rank.
  template <class Less = Ascending>
  std::vector<T> take_ordered(Index n, const Less& less = {}) const;
  /// The n largest elements, the largest first, of equal ones the earlier; on every rank.
  std::vector<T> top(Index n) const;
  /// The exact quantiles of numbers for probabilities in [0, 1], between two elements by linear interpolation
  /// (type 7 of Hyndman & Fan 1996, doi:10.2307/2684934, as R and numpy do by default). NaN where there are
  /// no elements; throws bad_input for an element that is NaN. Cost: a sort.
  std::vector<double> quantiles(const std::vector<double>& probabilities) const;
  /// Numbers of elements in [edges[i], edges[i + 1]), the last one closed; others are not counted.
  std::vector<Index> histogram(const std::vector<double>& edges) const;
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
  auto kept(StorageLevel level) const {
    const auto own = partition_->end_block(context_.rank()) - first_block();
    return chain(PersistPipeline<Pipeline>{
        pipeline_, std::make_shared<detail::BlockCache<T>>(level, context_.memory(), context_.scratch(), own),
        first_block()});
  }
  Index first_block() const { return partition_->first_block(context_.rank()); }
  static constexpr Index kWindowsATime = 1024;
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
Dataset<T, VectorPipeline<T>> from_local(const Context& context, std::vector<T> values);

/// Every rank leaves with the root's value. Collective.
template <Serializable T>
T broadcast(const Context& context, const T& value, int root = 0);

}  // namespace firesteel

#include "firesteel/core/dataset/actions.hpp"
#include "firesteel/core/dataset/by_key.hpp"
#include "firesteel/core/dataset/create.hpp"
#include "firesteel/core/dataset/join.hpp"
#include "firesteel/core/dataset/sequence.hpp"
#include "firesteel/core/dataset/sort.hpp"
