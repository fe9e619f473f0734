// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "firesteel/core/dataset.hpp"
#include "firesteel/core/dataset/bulk.hpp"
#include "firesteel/core/dataset/create.hpp"
#include "firesteel/core/dataset/deal.hpp"
#include "firesteel/core/dataset/exchange.hpp"
#include "firesteel/core/huge_pages.hpp"

namespace firesteel {

namespace detail {

/// A run of elements by the position of its first in the whole sequence.
template <class T>
struct PlacedRun {
  Index first = 0;
  std::vector<T> values;
};

/// Sends this rank's elements, whose positions are first, first + 1, …, to the ranks that own their rows.
/// Returns what arrived, a run from each sender. Collective.
template <Serializable T>
std::vector<PlacedRun<T>> send_to_owners(Communicator& comm, const BlockPartition& partition, Index first,
                                         std::vector<T> values) {
  const auto count = static_cast<Index>(values.size());
  const auto begin = comm.collectively([&] {
    std::vector<Index> cuts{0};
    for (int rank = 0; rank < comm.size(); ++rank)
      cuts.push_back(std::clamp(partition.end_row(rank) - first, cuts.back(), std::max(count, cuts.back())));
    return cuts;
  });
  const auto firsts = comm.allgather(first);
  auto runs = exchange_runs(comm, std::move(values), begin);
  return comm.collectively([&] {
    std::vector<PlacedRun<T>> placed;
    for (std::size_t s = 0; s < firsts.size(); ++s) {
      const auto source = runs.values.begin();
      placed.push_back({std::max(firsts[s], partition.first_row(comm.rank())),
                        {std::make_move_iterator(source + static_cast<std::ptrdiff_t>(runs.begin[s])),
                         std::make_move_iterator(source + static_cast<std::ptrdiff_t>(runs.begin[s + 1]))}});
    }
    return placed;
  });
}

/// The runs one after another by position, as a dataset over `partition`. Collective.
template <class T>
Dataset<T, VectorPipeline<T>> place_runs(const Context& context,
                                         std::shared_ptr<const BlockPartition> partition,
                                         std::vector<PlacedRun<T>> runs) {
  auto own = context.comm().collectively([&] {
    std::erase_if(runs, [](const PlacedRun<T>& run) { return run.values.empty(); });
    std::sort(runs.begin(), runs.end(),
              [](const PlacedRun<T>& a, const PlacedRun<T>& b) { return a.first < b.first; });
    std::vector<std::vector<T>> parts;
    for (auto& run : runs) parts.push_back(std::move(run.values));
    return std::make_shared<const std::vector<T>>(joined(std::move(parts)));
  });
  VectorPipeline<T> pipeline{std::move(own), partition->first_row(context.rank()), partition->block_rows()};
  return {context, std::move(partition), std::move(pipeline)};
}

}  // namespace detail

namespace detail {

/// What a rank keeps of its sequence when the ranks' sequences become a dataset of even shares, and what
/// leaves it.
struct OwnRange {
  std::shared_ptr<const BlockPartition> partition;
  Index begin = 0;  ///< of what stays
  Index end = 0;
  std::vector<Index> cuts;  ///< of what leaves, one part after another: [cuts[r], cuts[r + 1]) goes to rank r
};

/// This rank's sequence has `count` elements. `over`: the blocks that they are dealt to; null: even blocks.
/// Collective.
inline OwnRange own_range(const Context& context, Index count,
                          std::shared_ptr<const BlockPartition> over = nullptr) {
  Communicator& comm = context.comm();
  const Index first = comm.exclusive_scan(count);
  const Index total = comm.sum(count);
  OwnRange own{.partition = over ? std::move(over) : partition_rows(context, total), .cuts = {}};
  const BlockPartition& partition = *own.partition;
  const int rank = comm.rank();
  own.begin = std::clamp<Index>(partition.first_row(rank) - first, 0, count);
  own.end = std::clamp(partition.end_row(rank) - first, own.begin, count);
  comm.collectively([&] {
    own.cuts = {0};
    for (int r = 0; r < comm.size(); ++r) {
      const Index reach = partition.end_row(r) - first;
      own.cuts.push_back(r < rank    ? std::clamp<Index>(reach, own.cuts.back(), own.begin)
                         : r == rank ? own.begin
                                     : own.begin + std::clamp(reach, own.end, count) - own.end);
    }
  });
  return own;
}

/// The ranks' sequences one after another as a dataset: this rank's has `count` elements, of which
/// take(begin, end, std::vector<T>&) appends some, each once, first those that go to other ranks. Only what
/// lies beyond the rows that a rank is to hold moves, so that a rank has its elements once. `partition`: of
/// the result, of as many rows. Collective.
template <Serializable T, class Take>
Dataset<T, VectorPipeline<T>> place_in_order(const Context& context, Index count, const Take& take,
                                             std::shared_ptr<const BlockPartition> partition = nullptr) {
  Communicator& comm = context.comm();
  const int rank = comm.rank();
  auto range = own_range(context, count, std::move(partition));
  std::vector<T> leaving;
  comm.collectively([&] {
    take(Index{0}, range.begin, leaving);
    take(range.end, count, leaving);
  });
  auto arrived = exchange_runs(comm, std::move(leaving), range.cuts);
  auto own = comm.collectively([&] {
    const auto before = arrived.values.begin() + static_cast<std::ptrdiff_t>(arrived.begin[at(rank)]);
    std::vector<T> rows;
    if (!arrived.values.empty()) reserve_huge(rows, arrived.values.size() + at(range.end - range.begin));
    rows.insert(rows.end(), std::make_move_iterator(arrived.values.begin()), std::make_move_iterator(before));
    take(range.begin, range.end, rows);
    rows.insert(rows.end(), std::make_move_iterator(before), std::make_move_iterator(arrived.values.end()));
    return std::make_shared<const std::vector<T>>(std::move(rows));
  });
  VectorPipeline<T> pipeline{std::move(own), range.partition->first_row(rank), range.partition->block_rows()};
  return {context, std::move(range.partition), std::move(pipeline)};
}

/// The same of elements that lie in order already: what stays does so where it is, but for a move along the
/// memory where something leaves or arrives before it. Collective.
template <MovesInBulk T>
Dataset<T, VectorPipeline<T>> place_in_bulk(const Context& context, BulkVector<T> values) {
  Communicator& comm = context.comm();
  const int rank = comm.rank();
  auto range = own_range(context, static_cast<Index>(values.size()));
  const auto place = [&](Index i) { return values.begin() + static_cast<std::ptrdiff_t>(i); };
  auto leaving = comm.collectively([&] {
    std::vector<T> ends(values.begin(), place(range.begin));
    ends.insert(ends.end(), place(range.end), values.end());
    values.erase(place(range.end), values.end());
    values.erase(values.begin(), place(range.begin));
    return ends;
  });
  const auto arrived = exchange_runs(comm, std::move(leaving), range.cuts);
  auto own = comm.collectively([&] {
    const auto before = arrived.values.begin() + static_cast<std::ptrdiff_t>(arrived.begin[at(rank)]);
    values.insert(values.begin(), arrived.values.begin(), before);
    values.insert(values.end(), before, arrived.values.end());
    return std::make_shared<const BulkVector<T>>(std::move(values));
  });
  VectorPipeline<T> pipeline{std::move(own), range.partition->first_row(rank), range.partition->block_rows()};
  return {context, std::move(range.partition), std::move(pipeline)};
}

}  // namespace detail

namespace detail {

template <Serializable T>
Dataset<T, VectorPipeline<T>> local_in_order(const Context& context, std::vector<T> values,
                                             std::shared_ptr<const BlockPartition> partition) {
  const auto place = [&](Index i) { return values.begin() + static_cast<std::ptrdiff_t>(i); };
  const auto count = static_cast<Index>(values.size());
  Index taken = 0;
  const auto take = [&](Index begin, Index end, std::vector<T>& rows) {
    if (begin == end) return;
    taken += end - begin;
    if (begin == 0 && rows.empty() && taken == count) {  // the last, and nothing before it: as it lies
      values.erase(place(end), values.end());
      rows = std::move(values);
    } else {
      rows.insert(rows.end(), std::make_move_iterator(place(begin)), std::make_move_iterator(place(end)));
    }
  };
  return place_in_order<T>(context, count, take, std::move(partition));
}

/// The same elements, in order, over blocks of `block_rows` (of those that rows of features have, where
/// learners are to find them); within a bound on memory in scratch. Collective.
template <class Data>
auto dealt(const Data& data, Index block_rows) {
  using T = typename Data::value_type;
  const Context& context = data.context();
  Communicator& comm = context.comm();
  const auto even = [&](Index rows) {
    return comm.collectively([&] {
      return std::make_shared<const BlockPartition>(BlockPartition::even(rows, block_rows, comm.size()));
    });
  };
  if (!is_bounded(context)) {
    auto values = data.collect_local();
    auto partition = even(comm.sum(static_cast<Index>(values.size())));
    return local_in_order(context, std::move(values), std::move(partition));
  }
  const Index own = comm.collectively([&] { return count_own(data); });
  RowDealer<T> rows(context, even(comm.sum(own)), StorageLevel::disk);
  rows.add(data, comm.exclusive_scan(own));
  return rows.finish();
}

}  // namespace detail

template <Serializable T>
Dataset<T, VectorPipeline<T>> from_local(const Context& context, std::vector<T> values) {
  return detail::local_in_order(context, std::move(values), nullptr);
}

template <class T, class Pipeline>
auto Dataset<T, Pipeline>::repack() const {
  if (detail::is_bounded(context_)) {
    const auto kept = persist(StorageLevel::memory_and_disk);
    Communicator& comm = context_.comm();
    const Index own = comm.collectively([&] { return detail::count_own(kept); });
    detail::RowDealer<T> rows(context_, comm.sum(own));
    rows.add(kept, comm.exclusive_scan(own));
    kept.unpersist();
    return rows.finish();
  }
  return from_local(context_, collect_local());
}

template <class T, class Pipeline>
template <class Other>
auto Dataset<T, Pipeline>::union_(const Dataset<T, Other>& other) const {
  Communicator& comm = context_.comm();
  if (detail::is_bounded(context_)) {
    const auto first = persist(StorageLevel::memory_and_disk);
    const auto then = other.persist(StorageLevel::memory_and_disk);
    const Index own_first = comm.collectively([&] { return detail::count_own(first); });
    const Index own_then = comm.collectively([&] { return detail::count_own(then); });
    const Index before = comm.sum(own_first);
    detail::RowDealer<T> rows(context_, before + comm.sum(own_then));
    rows.add(first, comm.exclusive_scan(own_first));
    first.unpersist();
    rows.add(then, before + comm.exclusive_scan(own_then));
    then.unpersist();
    return rows.finish();
  }
  auto left = collect_local();
  auto right = other.collect_local();
  const auto left_count = static_cast<Index>(left.size());
  const auto right_count = static_cast<Index>(right.size());
  const Index left_rows = comm.sum(left_count);
  auto partition = partition_rows(context_, left_rows + comm.sum(right_count));
  const Index left_first = comm.exclusive_scan(left_count);
  const Index right_first = left_rows + comm.exclusive_scan(right_count);
  auto runs = detail::send_to_owners(comm, *partition, left_first, std::move(left));
  auto more = detail::send_to_owners(comm, *partition, right_first, std::move(right));
  comm.collectively([&] {
    runs.insert(runs.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
  });
  return detail::place_runs(context_, std::move(partition), std::move(runs));
}

template <class T, class Pipeline>
template <class U, class Other>
auto Dataset<T, Pipeline>::zip(const Dataset<U, Other>& other) const {
  using Row = std::pair<T, U>;
  const auto left = repack();
  const auto right = other.repack();
  context_.comm().collectively([&] {
    if (left.partition().rows() != right.partition().rows())
      throw bad_input("zip: expected as many elements on both sides, got " +
                      std::to_string(left.partition().rows()) + " and " +
                      std::to_string(right.partition().rows()));
  });
  return Dataset<Row, detail::ZipPipeline<T, U>>(context_, left.shared_partition(),
                                                 {left.pipeline(), right.pipeline()});
}

template <class T, class Pipeline>
template <class F>
auto Dataset<T, Pipeline>::prefix_sum(const F& f) const {
  Communicator& comm = context_.comm();
  const Index own = partition_->end_block(context_.rank()) - first_block();
  const auto kept = persist(StorageLevel::memory_and_disk);
  // Sums of blocks, none where a block has no element; then of all blocks before each, left to right.
  std::vector<std::optional<T>> totals(detail::at(own));
  comm.collectively([&] {
    parallel_for(context_.threads(), own, [&](Index i, int) {
      auto& total = totals[detail::at(i)];
      kept.run_block(first_block() + i, [&](auto&& value) {
        if (total)
          detail::apply_into(f, *total, std::forward<decltype(value)>(value));
        else
          total.emplace(std::forward<decltype(value)>(value));
      });
    });
  });
  const auto all_totals = detail::allgather_values(comm, totals);
  auto starts = comm.collectively([&] {
    std::optional<T> before;
    const auto add = [&](const std::optional<T>& total) {
      if (before && total)
        detail::named_merge(f)(*before, T(*total));
      else if (total)
        before = total;
    };
    for (Index block = 0; block < first_block(); ++block) add(all_totals[detail::at(block)]);
    std::vector<std::optional<T>> start;
    for (const auto& total : totals) {
      start.push_back(before);
      add(total);
    }
    return std::make_shared<const std::vector<std::optional<T>>>(std::move(start));
  });
  using Sums = detail::PrefixSumPipeline<std::remove_cvref_t<decltype(kept.pipeline())>, F>;
  return Dataset<T, Sums>(context_, partition_, Sums{kept.pipeline(), f, std::move(starts), first_block()})
      .repack();
}

namespace detail {

/// The windows of elements that lie in scratch, block by block. Collective.
template <class U, class T, class F>
auto windows_by_block(const Dataset<T, VectorPipeline<T>>& packed, Index size, const F& f) {
  const Context& context = packed.context();
  Communicator& comm = context.comm();
  const BlockPartition& partition = packed.partition();
  // The first elements of this rank go to those before it whose windows reach so far.
  const Index first = partition.first_row(comm.rank());
  const Index end = partition.end_row(comm.rank());
  std::vector<T> outgoing;
  std::vector<Index> begin{0};
  comm.collectively([&] {
    std::vector<T> head;
    const auto wanted = at(std::min(size - 1, end - first));
    for (Index block = partition.first_block(comm.rank()); head.size() < wanted; ++block)
      packed.run_block(block, [&](auto&& value) {
        if (head.size() < wanted) head.push_back(std::forward<decltype(value)>(value));
      });
    for (int rank = 0; rank < comm.size(); ++rank) {
      const Index reach = partition.local_rows(rank) == 0 ? 0 : partition.end_row(rank) + size - 1;
      if (rank < comm.rank())
        for (Index row = first; row < std::min(end, reach); ++row) outgoing.push_back(head[at(row - first)]);
      begin.push_back(static_cast<Index>(outgoing.size()));
    }
  });
  auto halo = exchange_runs(comm, std::move(outgoing), begin);
  const Index windows = std::max<Index>(0, partition.rows() - size + 1);
  auto own = comm.collectively([&] {
    const Index blocks = (windows + partition.block_rows() - 1) / partition.block_rows();
    std::vector<Index> cuts;
    for (int rank = 0; rank < comm.size(); ++rank)
      cuts.push_back(std::min(blocks, partition.first_block(rank)));
    cuts.push_back(blocks);
    return std::make_shared<const BlockPartition>(windows, partition.block_rows(), std::move(cuts));
  });
  using Windows = WindowPipeline<T, U, F>;
  return Dataset<U, Windows>(
             context, std::move(own),
             Windows{packed.pipeline(), f, size, packed.shared_partition(), partition.end_block(comm.rank()),
                     std::make_shared<const std::vector<T>>(std::move(halo.values))})
      .repack();
}

}  // namespace detail

template <class T, class Pipeline>
template <class F>
auto Dataset<T, Pipeline>::window(Index size, const F& f) const {
  using U = std::remove_cvref_t<std::invoke_result_t<const F&, std::span<const T>>>;
  Communicator& comm = context_.comm();
  comm.collectively([&] {
    if (size < 1) throw bad_parameter("window: size = " + std::to_string(size) + ", must be >= 1");
  });
  const auto packed = [&] {
    if constexpr (std::is_same_v<Pipeline, VectorPipeline<T>>)
      if (!pipeline_.blocks || detail::is_bounded(context_)) return *this;  // as it lies
    return repack();
  }();
  if (detail::is_bounded(context_)) return detail::windows_by_block<U>(packed, size, f);
  const std::span<const T> own = packed.pipeline().values.span();
  const BlockPartition& partition = packed.partition();
  // A rank's windows begin at its own elements and reach at most size − 1 into those of later ranks.
  const Index first = partition.first_row(comm.rank());
  const Index end = partition.end_row(comm.rank());
  std::vector<T> outgoing;
  std::vector<Index> begin{0};
  comm.collectively([&] {
    for (int rank = 0; rank < comm.size(); ++rank) {
      const Index reach = partition.local_rows(rank) == 0 ? 0 : partition.end_row(rank) + size - 1;
      if (rank < comm.rank())
        for (Index row = first; row < std::min(end, reach); ++row)
          outgoing.push_back(own[detail::at(row - first)]);
      begin.push_back(static_cast<Index>(outgoing.size()));
    }
  });
  const auto halo = detail::exchange_runs(comm, std::move(outgoing), begin);
  auto results = comm.collectively([&] {
    const auto count = static_cast<Index>(own.size());
    // Windows that lie in `own`, and those that reach beyond, of which the last size − 1 elements are a part.
    const Index inside = std::clamp<Index>(count - size + 1, 0, count);
    std::vector<T> values(own.begin() + static_cast<std::ptrdiff_t>(inside), own.end());
    values.insert(values.end(), halo.values.begin(), halo.values.end());
    const Index windows =
        inside + std::clamp<Index>(static_cast<Index>(values.size()) - size + 1, 0, count - inside);
    std::vector<std::optional<U>> computed(detail::at(windows));
    parallel_for(context_.threads(), (windows + kWindowsATime - 1) / kWindowsATime, [&](Index chunk, int) {
      for (Index i = chunk * kWindowsATime; i < std::min(windows, (chunk + 1) * kWindowsATime); ++i)
        computed[detail::at(i)] = f((i < inside ? own.subspan(detail::at(i))
                                                : std::span<const T>(values).subspan(detail::at(i - inside)))
                                        .first(detail::at(size)));
    });
    std::vector<U> all;
    all.reserve(computed.size());
    for (auto& value : computed) all.push_back(std::move(*value));
    return all;
  });
  return from_local(context_, std::move(results));
}

template <class T, class Pipeline>
auto Dataset<T, Pipeline>::random_split(const std::vector<double>& weights, std::uint64_t seed) const {
  double total = 0;
  for (const double weight : weights) {
    if (!(weight >= 0 && std::isfinite(weight)))
      throw bad_parameter("random_split: weight " + std::to_string(weight) + ", must be >= 0 and finite");
    total += weight;
  }
  if (!(total > 0)) throw bad_parameter("random_split: expected weights whose sum is > 0");
  using Part = Dataset<T, SamplePipeline<Pipeline>>;
  std::vector<Part> parts;
  double before = 0;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const double low = before / total;
    before += weights[i];
    const double high = i + 1 == weights.size() ? 1.0 : before / total;
    parts.push_back(Part(context_, partition_, {pipeline_, low, high, seed}));
  }
  return parts;
}

}  // namespace firesteel
