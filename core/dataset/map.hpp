// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ranges>
#include <type_traits>
#include <utility>
#include <vector>

#include "firesteel/core/dataset/row_cursor.hpp"

namespace firesteel {

/// What f returns for a T, as a value. f is shared by threads, so it is called as const.
template <class F, class T>
using MappedType = std::remove_cvref_t<std::invoke_result_t<const F&, const T&>>;

template <class Upstream, class F>
struct MapPipeline {
  using value_type = MappedType<F, typename Upstream::value_type>;
  static constexpr bool kOneToOne = Upstream::kOneToOne;

  Upstream upstream;
  F f;

  template <class Sink>
  void run(Index block, Index first_row, RowCursor& cursor, Sink&& sink) const {
    upstream.run(block, first_row, cursor,
                 [&](auto&& value) { sink(f(std::forward<decltype(value)>(value))); });
  }
};

template <class Upstream, class Predicate>
struct FilterPipeline {
  using value_type = typename Upstream::value_type;
  static constexpr bool kOneToOne = false;

  Upstream upstream;
  Predicate predicate;

  template <class Sink>
  void run(Index block, Index first_row, RowCursor& cursor, Sink&& sink) const {
    upstream.run(block, first_row, cursor, [&](auto&& value) {
      if (predicate(std::as_const(value))) sink(std::forward<decltype(value)>(value));
    });
  }
};

template <class Upstream, class F>
struct FlatMapPipeline {
  using Produced = std::invoke_result_t<const F&, const typename Upstream::value_type&>;
  using value_type = std::ranges::range_value_t<Produced>;
  static constexpr bool kOneToOne = false;
  static constexpr bool kOwned =
      !std::is_reference_v<Produced> && !std::ranges::view<std::remove_cvref_t<Produced>>;

  Upstream upstream;
  F f;

  template <class Sink>
  void run(Index block, Index first_row, RowCursor& cursor, Sink&& sink) const {
    upstream.run(block, first_row, cursor, [&](auto&& value) {
      for (auto&& element : f(std::forward<decltype(value)>(value))) {
        if constexpr (std::is_same_v<value_type, bool>)
          sink(static_cast<bool>(element));
        else if constexpr (kOwned)
          sink(std::move(element));
        else
          sink(std::forward<decltype(element)>(element));
      }
    });
  }
};

/// f(element, emit) calls emit(U) for each element that it makes: nothing is collected first, so that a U may
/// be a view that is valid only while emit runs.
template <class Upstream, class U, class F>
struct EmitPipeline {
  using value_type = U;
  static constexpr bool kOneToOne = false;

  Upstream upstream;
  F f;

  template <class Sink>
  void run(Index block, Index first_row, RowCursor& cursor, Sink&& sink) const {
    upstream.run(block, first_row, cursor, [&](auto&& value) {
      f(std::forward<decltype(value)>(value), [&](U element) { sink(std::move(element)); });
    });
  }
};

/// f sees all elements of a block at once.
template <class Upstream, class F>
struct MapPartitionsPipeline {
  using Input = std::vector<typename Upstream::value_type>;
  using value_type = std::ranges::range_value_t<std::invoke_result_t<const F&, Input>>;
  static constexpr bool kOneToOne = false;

  Upstream upstream;
  F f;
  Index block_rows;

  template <class Sink>
  void run(Index block, Index first_row, RowCursor& cursor, Sink&& sink) const {
    Input input;
    upstream.run(block, first_row, cursor,
                 [&](auto&& value) { input.push_back(std::forward<decltype(value)>(value)); });
    cursor.row = first_row;
    cursor.end_row = first_row + block_rows;
    for (auto&& element : f(std::move(input))) {
      if constexpr (std::is_same_v<value_type, bool>)
        sink(static_cast<bool>(element));
      else
        sink(std::forward<decltype(element)>(element));
    }
  }
};

}  // namespace firesteel
