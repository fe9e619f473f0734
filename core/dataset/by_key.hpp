// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "firesteel/core/dataset.hpp"
#include "firesteel/core/dataset/combined_spool.hpp"
#include "firesteel/core/dataset/keyed_partials.hpp"
#include "firesteel/core/dataset/rounds.hpp"

namespace firesteel {

namespace detail {

/// Sorted by key and block, at most O(log blocks) partials a key, or one where `kExact`: those of this
/// rank's blocks. Local.
template <class K, class A, bool kExact, class Data, class Fold, class Merge>
std::vector<KeyedPartial<K, A>> local_partials(const Data& data, const Fold& fold, const Merge& merge) {
  const BlockPartition& partition = data.partition();
  const int rank = data.context().rank();
  const int threads = data.context().threads();
  const auto begin = cut_blocks(partition, rank, threads, kExact ? 1 : kRunsPerThread);
  std::vector<std::vector<KeyedPartial<K, A>>> of_run(begin.size() - 1);
  parallel_for(threads, static_cast<Index>(of_run.size()), [&](Index run, int) {
    const Index first = begin[at(run)];
    const Index end = begin[at(run + 1)];
    auto partials = [&] {
      if constexpr (kExact)
        return ExactPartials<K, A, typename Data::value_type::second_type, Fold>(fold);
      else
        return KeyedPartials<K, A, Fold, Merge>(TreeOrder(first, end, partition.blocks()), fold, merge);
    }();
    for (Index block = first; block < end; ++block)
      data.run_block(block, [&](auto&& pair) { partials.put(block, std::forward<decltype(pair)>(pair)); });
    of_run[at(run)] = partials.take();
    sort_by_key(
        1, of_run[at(run)], [](const KeyedPartial<K, A>& p) -> const K& { return p.key; }, Ascending());
  });
  std::vector<KeyedPartial<K, A>> all;
  std::vector<Index> run_begin{0};
  for (auto& run : of_run) {
    all.insert(all.end(), std::make_move_iterator(run.begin()), std::make_move_iterator(run.end()));
    run = {};
    run_begin.push_back(static_cast<Index>(all.size()));
  }
  merge_runs(threads, all, std::move(run_begin), before_by_key<K, A>);
  const Index blocks = partition.blocks();
  merge_neighbours(all,
                   kExact ? TreeOrder(0, blocks, blocks)
                          : TreeOrder(partition.first_block(rank), partition.end_block(rank), blocks),
                   merge);
  return all;
}

/// Elements sorted by key on every rank → the same elements over all ranks in order of keys, ties in rank
/// order, equal keys on one rank. Collective.
template <class K, class T, class KeyOf, class Less>
std::vector<T> bring_keys_together(const Context& context, std::vector<T> sorted,
                                   const std::vector<KeySample<K>>& splitters, const KeyOf& key_of,
                                   const Less& less) {
  Communicator& comm = context.comm();
  const auto begin = comm.collectively([&] {
    return cut_at(
        splitters, comm.rank(), comm.size(), static_cast<Index>(sorted.size()),
        [&](Index i) -> decltype(auto) { return key_of(sorted[at(i)]); }, less, true);
  });
  auto runs = exchange_runs(comm, std::move(sorted), begin);
  comm.collectively([&] {
    merge_runs(context.threads(), runs.values, std::move(runs.begin),
               [&](const T& a, const T& b) { return less(key_of(a), key_of(b)); });
  });
  return std::move(runs.values);
}

template <class K, class T, class KeyOf>
std::vector<KeySample<K>> splitters_of(const Context& context, const std::vector<T>& sorted,
                                       const KeyOf& key_of) {
  const auto samples = context.comm().collectively([&] {
    std::vector<KeySample<K>> own;
    add_samples(own, context.rank(), context.size(), static_cast<Index>(sorted.size()),
                [&](Index i) -> const K& { return key_of(sorted[at(i)]); });
    return own;
  });
  return choose_splitters(context.comm(), samples, Ascending());
}

/// With its block.
struct WithBlock {
  template <class Pair>
  auto operator()(Index block, Pair&& pair) const {
    return std::pair<Index, std::remove_cvref_t<Pair>>(block, std::forward<Pair>(pair));
  }
};

/// The same of more than fits into memory: elements, or partials, lie in scratch by ranges of keys, and are
/// combined range by range, each as if there were no other keys. Collective.
template <class K, class A, class Stored, class Fold, class Merge>
auto combine_ranges(const Context& context, const BlockPartition& partition, const RangeSpool<Stored>& spool,
                    Index rounds, const Fold& fold, const Merge& merge) {
  const TreeOrder own_blocks(partition.first_block(context.rank()), partition.end_block(context.rank()),
                             partition.blocks());
  const TreeOrder all_blocks(0, partition.blocks(), partition.blocks());
  RoundsResult<std::pair<K, A>> result(context);
  for (Index round = 0; round < rounds; ++round) {
    std::vector<Index> begin{0};
    auto partials = context.comm().collectively([&] {
      std::vector<KeyedPartial<K, A>> own;
      for (Index rank = 0; rank < context.size(); ++rank) {
        KeyedPartials<K, A, Fold, Merge> of_range(own_blocks, fold, merge);
        spool.for_each(rank * rounds + round, [&](std::vector<Stored> elements) {
          for (auto& [block, pair] : elements) {
            try {
              of_range.put(block, std::move(pair));
            } catch (...) {
              // Which row of the block is not known any more.
              rethrow_at(
                  {.row = partition.row_of_block(block), .end_row = partition.row_of_block(block + 1)});
            }
          }
        });
        auto taken = of_range.take();
        std::stable_sort(taken.begin(), taken.end(), before_by_key<K, A>);
        own.insert(own.end(), std::make_move_iterator(taken.begin()), std::make_move_iterator(taken.end()));
        begin.push_back(static_cast<Index>(own.size()));
      }
      return own;
    });
    auto runs = exchange_runs(context.comm(), std::move(partials), begin);
    context.comm().collectively([&] {
      merge_runs(context.threads(), runs.values, std::move(runs.begin), before_by_key<K, A>);
      merge_neighbours(runs.values, all_blocks, merge);
      RowSink<std::pair<K, A>> pairs(result);
      for (auto& partial : runs.values) pairs.emplace_back(std::move(partial.key), std::move(partial.value));
      pairs.flush();
    });
  }
  return result.finish();
}

/// Collective.
template <class K, class A, class Data, class Fold, class Merge>
auto combine_by_rounds(const Data& data, const Fold& fold, const Merge& merge) {
  using Pair = typename Data::value_type;
  const Context& context = data.context();
  SpooledData<K, Data, FirstOf, std::pair<Index, Pair>> spooled(data, FirstOf());
  const Index rounds = rounds_for(context, spooled.bytes());
  const Index ranges = rounds * context.size();
  spooled.cut(choose_splitters(context.comm(), spooled.samples(), Ascending(), ranges), ranges, Ascending(),
              true, WithBlock());
  return combine_ranges<K, A>(context, data.partition(), spooled.spool(), rounds, fold, merge);
}

/// A key's values are combined before they go to scratch: an exact function's as they come, others' as the
/// tree over blocks groups them. Collective.
template <class K, class A, bool kExact, class Data, class Fold, class Merge>
auto combine_first_by_rounds(const Data& data, const Fold& fold, const Merge& merge) {
  const Context& context = data.context();
  CombinedSpool<K, A, kExact, Data, Fold, Merge> spooled(data, fold, merge);
  const Index rounds = rounds_for(context, spooled.bytes());
  const Index ranges = rounds * context.size();
  spooled.cut(choose_splitters(context.comm(), spooled.samples(), Ascending(), ranges), ranges);
  const auto first = [](A&& partial) { return std::move(partial); };
  const auto next = [&](A& result, A&& partial) { merge(result, std::move(partial)); };
  return combine_ranges<K, A>(context, data.partition(), spooled.spool(), rounds,
                              detail::Fold{first, next, false}, merge);
}

/// The elements of a dataset as they can be kept: views of characters become texts.
template <class T, class Pipeline>
auto owned(const Dataset<T, Pipeline>& data) {
  if constexpr (std::is_same_v<T, Owned<T>>)
    return data;
  else
    return data.map([](const T& value) { return Owned<T>(value); });
}

/// The whole of an operation that combines by key. `kExact`: it does not matter how a key's values are
/// grouped. Collective.
template <class K, class A, bool kExact, class Data, class Fold, class Merge>
auto combine_by_key(const Data& data, const Fold& fold, const Merge& user_merge) {
  const Context& context = data.context();
  const auto merge = named_merge(user_merge);
  using V = Owned<typename Data::value_type::second_type>;
  // Where a result may be much larger than a value, few values a key would make more of them.
  constexpr bool kSmall = std::is_same_v<A, V> || (Flat<A> && sizeof(A) <= 64);
  if constexpr ((kExact || kSmall) && Serializable<std::pair<K, A>>) {
    if (is_bounded(context)) return combine_first_by_rounds<K, A, kExact>(data, fold, merge);
  } else if constexpr (Serializable<Owned<typename Data::value_type>>) {
    if (is_bounded(context)) return combine_by_rounds<K, A>(owned(data), fold, merge);
  }
  auto partials =
      context.comm().collectively([&] { return local_partials<K, A, kExact>(data, fold, merge); });
  const auto key_of = [](const KeyedPartial<K, A>& partial) -> const K& { return partial.key; };
  const auto splitters = splitters_of<K>(context, partials, key_of);
  partials = bring_keys_together(context, std::move(partials), splitters, key_of, Ascending());
  auto results = context.comm().collectively([&] {
    const Index blocks = data.partition().blocks();
    merge_neighbours(partials, TreeOrder(0, blocks, blocks), merge);
    std::vector<std::pair<K, A>> pairs;
    pairs.reserve(partials.size());
    for (auto& partial : partials) pairs.emplace_back(std::move(partial.key), std::move(partial.value));
    partials = {};
    return pairs;
  });
  return from_local(context, std::move(results));
}

/// This rank's elements of a dataset of pairs, sorted by key, ties in order. Collective.
template <class Data>
auto sorted_pairs(const Data& data) {
  auto pairs = data.collect_local();
  data.context().comm().collectively(
      [&] { sort_by_key(data.context().threads(), pairs, FirstOf(), Ascending()); });
  return pairs;
}

}  // namespace detail

template <class T, class Pipeline>
template <Serializable A, class Add, class Merge>
auto Dataset<T, Pipeline>::aggregate_by_key(const A& zero, const Add& add, const Merge& merge) const {
  using K = detail::Owned<typename T::first_type>;
  using V = typename T::second_type;
  const auto next = [&](A& result, auto&& value) {
    detail::apply_into(add, result, std::forward<decltype(value)>(value));
  };
  const auto first = [&](auto&& value) {
    A result = zero;
    next(result, std::forward<decltype(value)>(value));
    return result;
  };
  return detail::combine_by_key<K, A, detail::kSaidToBeExact<Merge>>(
      *this, detail::Fold{first, next, std::is_nothrow_invocable_v<const Add&, A&, V>}, merge);
}

template <class T, class Pipeline>
template <class F>
auto Dataset<T, Pipeline>::reduce_by_key(const F& f) const {
  using K = detail::Owned<typename T::first_type>;
  using V = typename T::second_type;
  const auto first = [](auto&& value) -> V { return std::forward<decltype(value)>(value); };
  const auto next = [&](V& result, auto&& value) {
    detail::apply_into(f, result, std::forward<decltype(value)>(value));
  };
  return detail::combine_by_key<K, V, detail::kIsExact<F, V>>(
      *this,
      detail::Fold{first, next, detail::kIsStandard<F, V> || std::is_nothrow_invocable_v<const F&, V&, V>},
      f);
}

template <class T, class Pipeline>
auto Dataset<T, Pipeline>::count_by_key() const {
  return aggregate_by_key(
      Index{0}, [](Index& count, const auto&) noexcept { ++count; },
      exact([](Index a, Index b) { return a + b; }));
}

template <class T, class Pipeline>
auto Dataset<T, Pipeline>::count_by_value() const {
  return map([](const T& value) { return std::pair<T, char>(value, 0); }).count_by_key();
}

template <class T, class Pipeline>
auto Dataset<T, Pipeline>::distinct() const {
  return count_by_value().map([](const std::pair<detail::Owned<T>, Index>& pair) { return pair.first; });
}

template <class T, class Pipeline>
auto Dataset<T, Pipeline>::group_by_key() const {
  using K = typename T::first_type;
  using V = typename T::second_type;
  using Group = std::pair<K, std::vector<V>>;
  const auto group = [](std::vector<T> pairs) {
    std::vector<Group> found;
    for (auto& pair : pairs) {
      if (found.empty() || !detail::same_key(found.back().first, pair.first))
        found.emplace_back(std::move(pair.first), std::vector<V>());
      found.back().second.push_back(std::move(pair.second));
    }
    return found;
  };
  if (detail::is_bounded(context_))
    return detail::by_rounds<K, Group>(*this, detail::FirstOf(), Ascending(), true, group);
  auto pairs = detail::sorted_pairs(*this);
  const auto splitters = detail::splitters_of<K>(context_, pairs, detail::FirstOf());
  pairs = detail::bring_keys_together(context_, std::move(pairs), splitters, detail::FirstOf(), Ascending());
  auto groups = context_.comm().collectively([&] { return group(std::move(pairs)); });
  return from_local(context_, std::move(groups));
}

}  // namespace firesteel
