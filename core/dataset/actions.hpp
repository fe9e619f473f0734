// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "firesteel/core/dataset.hpp"
#include "firesteel/core/dataset/deal.hpp"
#include "firesteel/core/dataset/exchange.hpp"

namespace firesteel {

namespace detail {

/// Texts and other elements of the ranks one after another, as bytes through `gather`.
template <Serializable T, class Gather>
std::vector<T> gather_serialised(Communicator& comm, const std::vector<T>& values, const Gather& gather) {
  const auto mine = comm.collectively([&] {
    ByteWriter out;
    for (const auto& value : values) out.write(static_cast<const T&>(value));
    return out.take();
  });
  const std::vector<std::byte> bytes = gather(std::span<const std::byte>(mine));
  return comm.collectively([&] {
    std::vector<T> all;
    ByteReader in(bytes);
    while (!in.at_end()) all.push_back(in.template read<T>());
    return all;
  });
}

template <Serializable T>
std::vector<T> allgather_values(Communicator& comm, const std::vector<T>& values) {
  if constexpr (MovesInBulk<T>)
    return comm.allgatherv(std::span<const T>(values));
  else
    return gather_serialised(comm, values,
                             [&](std::span<const std::byte> mine) { return comm.allgatherv(mine); });
}

template <class T>
std::vector<T> joined(std::vector<std::vector<T>> blocks) {
  std::size_t size = 0;
  for (const auto& block : blocks) size += block.size();
  std::vector<T> all;
  all.reserve(size);
  for (auto& block : blocks) {
    all.insert(all.end(), std::make_move_iterator(block.begin()), std::make_move_iterator(block.end()));
    block = {};
  }
  return all;
}

/// merge(left, right) whose exceptions are the user's, not bugs of ours.
template <class Merge>
auto named_merge(const Merge& merge) {
  return [&merge](auto& left, auto&& right) {
    try {
      apply_into(merge, left, std::forward<decltype(right)>(right));
    } catch (...) {
      rethrow_at(RowCursor{});
    }
  };
}

}  // namespace detail

template <class T, class Pipeline>
auto Dataset<T, Pipeline>::zip_with_index() const {
  std::shared_ptr<std::vector<Index>> first_of_block;
  if constexpr (!Pipeline::kOneToOne) {
    Index own = 0;
    context_.comm().collectively([&] {
      const Index blocks = partition_->end_block(context_.rank()) - first_block();
      first_of_block = std::make_shared<std::vector<Index>>(static_cast<std::size_t>(blocks));
      parallel_for(context_.threads(), blocks, [&](Index i, int) {
        Index elements = 0;
        run_block(first_block() + i, [&](auto&&) { ++elements; });
        (*first_of_block)[static_cast<std::size_t>(i)] = elements;
      });
      for (auto& elements : *first_of_block) own += std::exchange(elements, own);
    });
    const Index before = context_.comm().exclusive_scan(own);
    for (auto& first : *first_of_block) first += before;
  }
  return chain(IndexedPipeline<Pipeline>{pipeline_, std::move(first_of_block), first_block()});
}

template <class T, class Pipeline>
template <Serializable A, class Add, class Merge>
A Dataset<T, Pipeline>::aggregate(const A& zero, const Add& add, const Merge& merge) const {
  return canonical_reduce(
      context_, *partition_, zero,
      [&](Index block) {
        A partial = zero;
        run_block(block, [&](auto&& value) {
          detail::apply_into(add, partial, std::forward<decltype(value)>(value));
        });
        return partial;
      },
      detail::named_merge(merge));
}

template <class T, class Pipeline>
template <class F>
std::optional<T> Dataset<T, Pipeline>::reduce(const F& f) const {
  using Partial = std::optional<T>;
  return canonical_reduce(
      context_, *partition_, Partial(),
      [&](Index block) {
        Partial partial;
        run_block(block, [&](auto&& value) {
          if (partial)
            detail::apply_into(f, *partial, std::forward<decltype(value)>(value));
          else
            partial.emplace(std::forward<decltype(value)>(value));
        });
        return partial;
      },
      detail::named_merge([&](Partial& left, Partial&& right) {
        if (!right) return;
        if (left)
          detail::apply_into(f, *left, std::move(*right));
        else
          left = std::move(right);
      }));
}

template <class T, class Pipeline>
Index Dataset<T, Pipeline>::count() const {
  const Index own = context_.comm().collectively([&] { return detail::count_own(*this); });
  return context_.comm().sum(own);
}

template <class T, class Pipeline>
std::vector<std::vector<T>> Dataset<T, Pipeline>::own_blocks(Index begin, Index end) const {
  begin = std::max(begin, first_block());
  end = std::max(begin, std::min(end, partition_->end_block(context_.rank())));
  std::vector<std::vector<T>> blocks(static_cast<std::size_t>(end - begin));
  parallel_for(context_.threads(), end - begin, [&](Index i, int) {
    auto& rows = blocks[static_cast<std::size_t>(i)];
    run_block(begin + i, [&](auto&& value) { rows.push_back(std::forward<decltype(value)>(value)); });
  });
  return blocks;
}

template <class T, class Pipeline>
std::vector<T> Dataset<T, Pipeline>::take(Index n) const {
  Communicator& comm = context_.comm();
  std::vector<T> taken;
  Index begin = 0;
  for (Index width = 1; begin < partition_->blocks() && static_cast<Index>(taken.size()) < n; width *= 4) {
    const Index end = std::min(partition_->blocks(), begin + width);
    const auto missing = static_cast<std::size_t>(n) - taken.size();
    const auto own = comm.collectively([&] {
      auto rows = detail::joined(own_blocks(begin, end));
      if (rows.size() > missing) rows.erase(rows.begin() + static_cast<std::ptrdiff_t>(missing), rows.end());
      return rows;
    });
    auto found = detail::allgather_values(comm, own);
    const auto used = static_cast<std::ptrdiff_t>(std::min(missing, found.size()));
    taken.insert(taken.end(), std::make_move_iterator(found.begin()),
                 std::make_move_iterator(found.begin() + used));
    begin = end;
  }
  return taken;
}

template <class T, class Pipeline>
std::vector<T> Dataset<T, Pipeline>::collect_local() const {
  return context_.comm().collectively([&] {
    if (context_.threads() > 1) return detail::joined(own_blocks(0, partition_->blocks()));
    std::vector<T> all;
    const Index end = partition_->end_block(context_.rank());
    for (Index block = first_block(); block < end; ++block) {
      run_block(block, [&](auto&& value) { all.push_back(std::forward<decltype(value)>(value)); });
      if (block != first_block()) continue;
      // The others are about as many.
      const Index rows = partition_->row_of_block(block + 1) - partition_->row_of_block(block);
      const Index own_rows = partition_->local_rows(context_.rank());
      all.reserve(all.size() * static_cast<std::size_t>(own_rows / std::max<Index>(1, rows) + 1));
    }
    return all;
  });
}

template <class T, class Pipeline>
std::vector<T> Dataset<T, Pipeline>::collect() const {
  return detail::allgather_values(context_.comm(), collect_local());
}

template <class T, class Pipeline>
std::vector<T> Dataset<T, Pipeline>::collect_on(int root) const {
  Communicator& comm = context_.comm();
  const auto own = collect_local();
  if constexpr (detail::MovesInBulk<T>)
    return comm.gatherv(std::span<const T>(own), root);
  else
    return detail::gather_serialised(
        comm, own, [&](std::span<const std::byte> mine) { return comm.gatherv(mine, root); });
}

template <class T, class Pipeline>
template <class F>
void Dataset<T, Pipeline>::for_each_partition(const F& f) const {
  context_.comm().collectively([&] {
    const Index blocks = partition_->end_block(context_.rank()) - first_block();
    parallel_for(context_.threads(), blocks, [&](Index i, int) {
      const Index block = first_block() + i;
      std::vector<T> rows;
      run_block(block, [&](auto&& value) { rows.push_back(std::forward<decltype(value)>(value)); });
      const Index first_row = partition_->row_of_block(block);
      try {
        f(std::move(rows));
      } catch (...) {
        rethrow_at({.row = first_row, .end_row = partition_->row_of_block(block + 1)});
      }
    });
  });
}

}  // namespace firesteel
