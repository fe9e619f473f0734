// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "firesteel/core/dataset/by_key.hpp"

namespace firesteel {

namespace detail {

/// Two datasets of pairs, sorted by key, equal keys of both on the same rank.
template <class Left, class Right>
struct Matched {
  std::vector<Left> left;
  std::vector<Right> right;

  /// each(key, values of the left, values of the right) for every key of either, ascending.
  template <class Each>
  void for_each_key(const Each& each) {
    const Ascending less;
    std::size_t l = 0;
    std::size_t r = 0;
    while (l < left.size() || r < right.size()) {
      const bool from_left = r == right.size() || (l < left.size() && !less(right[r].first, left[l].first));
      const auto key = from_left ? left[l].first : right[r].first;
      const std::size_t left_begin = l;
      const std::size_t right_begin = r;
      while (l < left.size() && same_key(left[l].first, key)) ++l;
      while (r < right.size() && same_key(right[r].first, key)) ++r;
      each(key, std::span(left).subspan(left_begin, l - left_begin),
           std::span(right).subspan(right_begin, r - right_begin));
    }
  }
};

/// Collective. Cost: both datasets are sorted on their ranks and travel once.
template <class LeftData, class RightData>
auto match_keys(const LeftData& left_data, const RightData& right_data) {
  using Left = typename LeftData::value_type;
  using Right = typename RightData::value_type;
  using K = typename Left::first_type;
  static_assert(std::is_same_v<K, typename Right::first_type>, "both sides of a join need the same key type");
  const Context& context = left_data.context();
  auto left = sorted_pairs(left_data);
  auto right = sorted_pairs(right_data);
  const auto samples = context.comm().collectively([&] {
    std::vector<KeySample<K>> own;
    add_samples(own, context.rank(), context.size(), static_cast<Index>(left.size()),
                [&](Index i) -> const K& { return left[at(i)].first; });
    add_samples(own, context.rank(), context.size(), static_cast<Index>(right.size()),
                [&](Index i) -> const K& { return right[at(i)].first; });
    return own;
  });
  const auto splitters = choose_splitters(context.comm(), samples, Ascending());
  Matched<Left, Right> matched;
  matched.left = bring_keys_together(context, std::move(left), splitters, FirstOf(), Ascending());
  matched.right = bring_keys_together(context, std::move(right), splitters, FirstOf(), Ascending());
  return matched;
}

/// The rows of a join of more than fits into memory, range of keys by range. Collective.
template <class Row, class LeftData, class RightData, class Emit>
auto join_by_rounds(const LeftData& left_data, const RightData& right_data, const Emit& emit) {
  using Left = typename LeftData::value_type;
  using Right = typename RightData::value_type;
  using K = typename Left::first_type;
  const Context& context = left_data.context();
  SpooledData<K, LeftData, FirstOf> left(left_data, FirstOf());
  SpooledData<K, RightData, FirstOf> right(right_data, FirstOf());
  auto samples = left.samples();
  samples.insert(samples.end(), right.samples().begin(), right.samples().end());
  const Index rounds = rounds_for(context, left.bytes() + right.bytes());
  const Index ranges = rounds * context.size();
  const auto splitters = choose_splitters(context.comm(), samples, Ascending(), ranges);
  left.cut(splitters, ranges, Ascending(), true);
  right.cut(splitters, ranges, Ascending(), true);
  RoundsResult<Row> result(context);
  for (Index round = 0; round < rounds; ++round) {
    Matched<Left, Right> matched;
    matched.left = left.gather(round, rounds, Ascending());
    matched.right = right.gather(round, rounds, Ascending());
    context.comm().collectively([&] {
      RowSink<Row> rows(result);
      matched.for_each_key([&](const auto& key, auto lefts, auto rights) { emit(rows, key, lefts, rights); });
      rows.flush();
    });
  }
  return result.finish();
}

/// The rows of a join: emit(rows, key, left values, right values) for each key. Collective.
template <class Row, class LeftData, class RightData, class Emit>
auto join_rows(const LeftData& left, const RightData& right, const Emit& emit) {
  const Context& context = left.context();
  if (is_bounded(context)) return join_by_rounds<Row>(left, right, emit);
  auto matched = match_keys(left, right);
  auto rows = context.comm().collectively([&] {
    std::vector<Row> joined;
    matched.for_each_key([&](const auto& key, auto lefts, auto rights) { emit(joined, key, lefts, rights); });
    matched = {};
    return joined;
  });
  return from_local(context, std::move(rows));
}

/// f(value) for each; where there is none and the side may be absent, f(nullopt) once.
template <bool MayBeAbsent, class V, class Pairs, class F>
void for_each_value(Pairs pairs, const F& f) {
  if constexpr (MayBeAbsent) {
    if (pairs.empty()) f(std::optional<V>());
    for (const auto& pair : pairs) f(std::optional<V>(pair.second));
  } else {
    for (const auto& pair : pairs) f(pair.second);
  }
}

/// A join in which the left or the right side of a row may be absent: then it is a std::optional.
template <bool LeftMayBeAbsent, bool RightMayBeAbsent, class LeftData, class RightData>
auto join_as(const LeftData& left, const RightData& right) {
  using K = typename LeftData::value_type::first_type;
  using L = typename LeftData::value_type::second_type;
  using R = typename RightData::value_type::second_type;
  using Left = std::conditional_t<LeftMayBeAbsent, std::optional<L>, L>;
  using Right = std::conditional_t<RightMayBeAbsent, std::optional<R>, R>;
  using Row = std::pair<K, std::pair<Left, Right>>;
  return join_rows<Row>(left, right, [](auto& rows, const K& key, auto lefts, auto rights) {
    for_each_value<LeftMayBeAbsent, L>(lefts, [&](const Left& l) {
      for_each_value<RightMayBeAbsent, R>(
          rights, [&](const Right& r) { rows.emplace_back(key, std::pair<Left, Right>(l, r)); });
    });
  });
}

}  // namespace detail

template <class T, class Pipeline>
template <class U, class Other>
auto Dataset<T, Pipeline>::join(const Dataset<U, Other>& right) const {
  return detail::join_as<false, false>(*this, right);
}

template <class T, class Pipeline>
template <class U, class Other>
auto Dataset<T, Pipeline>::left_join(const Dataset<U, Other>& right) const {
  return detail::join_as<false, true>(*this, right);
}

template <class T, class Pipeline>
template <class U, class Other>
auto Dataset<T, Pipeline>::right_join(const Dataset<U, Other>& right) const {
  return detail::join_as<true, false>(*this, right);
}

template <class T, class Pipeline>
template <class U, class Other>
auto Dataset<T, Pipeline>::full_join(const Dataset<U, Other>& right) const {
  return detail::join_as<true, true>(*this, right);
}

template <class T, class Pipeline>
template <class U, class Other>
auto Dataset<T, Pipeline>::cogroup(const Dataset<U, Other>& right) const {
  using K = typename T::first_type;
  using Lefts = std::vector<typename T::second_type>;
  using Rights = std::vector<typename U::second_type>;
  using Row = std::pair<K, std::pair<Lefts, Rights>>;
  return detail::join_rows<Row>(*this, right, [](auto& rows, const K& key, auto lefts, auto rights) {
    rows.emplace_back(key, std::pair<Lefts, Rights>());
    for (auto& pair : lefts) rows.back().second.first.push_back(std::move(pair.second));
    for (auto& pair : rights) rows.back().second.second.push_back(std::move(pair.second));
  });
}

template <class T, class Pipeline>
template <class Other>
auto Dataset<T, Pipeline>::intersection(const Dataset<T, Other>& other) const {
  const auto with_nothing = [](const T& value) { return std::pair<T, char>(value, 0); };
  return detail::join_rows<T>(map(with_nothing), other.map(with_nothing),
                              [](auto& rows, const T& value, auto lefts, auto rights) {
                                if (!lefts.empty() && !rights.empty()) rows.push_back(value);
                              });
}

template <class T, class Pipeline>
template <class Other>
auto Dataset<T, Pipeline>::subtract(const Dataset<T, Other>& other) const {
  const auto with_nothing = [](const T& value) { return std::pair<T, char>(value, 0); };
  return detail::join_rows<T>(map(with_nothing), other.map(with_nothing),
                              [](auto& rows, const T&, auto lefts, auto rights) {
                                if (!rights.empty()) return;
                                for (auto& pair : lefts) rows.push_back(std::move(pair.first));
                              });
}

}  // namespace firesteel
