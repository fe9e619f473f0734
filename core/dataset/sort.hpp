// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "firesteel/core/dataset.hpp"
#include "firesteel/core/dataset/exchange.hpp"
#include "firesteel/core/dataset/keys.hpp"
#include "firesteel/core/dataset/rounds.hpp"

namespace firesteel {

namespace detail {

/// The n elements of all ranks' `best` that come first, `best` sorted on each rank; ties in rank order.
template <class T, class Less>
std::vector<T> first_of_all(Communicator& comm, const std::vector<T>& best, Index n, const Less& less) {
  auto all = allgather_values(comm, best);
  return comm.collectively([&] {
    std::stable_sort(all.begin(), all.end(), less);
    if (static_cast<Index>(all.size()) > n)
      all.erase(all.begin() + static_cast<std::ptrdiff_t>(n), all.end());
    return std::move(all);
  });
}

/// Keeps the n first of `values`, in order; of equal ones the earlier. Local.
template <class T, class Less>
void keep_first(std::vector<T>& values, Index n, const Less& less) {
  std::stable_sort(values.begin(), values.end(), less);
  if (static_cast<Index>(values.size()) > n)
    values.erase(values.begin() + static_cast<std::ptrdiff_t>(n), values.end());
}

}  // namespace detail

template <class T, class Pipeline>
template <class Key, class Less>
auto Dataset<T, Pipeline>::sort_by(const Key& key, const Less& less) const {
  using K = std::remove_cvref_t<std::invoke_result_t<const Key&, const T&>>;
  if (detail::is_bounded(context_))
    return detail::by_rounds<K, T>(*this, key, less, false, [](std::vector<T> sorted) { return sorted; });
  Communicator& comm = context_.comm();
  auto values = collect_local();
  const auto before = [&](const T& a, const T& b) { return less(key(a), key(b)); };
  const auto key_at = [&](Index i) -> decltype(auto) { return key(values[detail::at(i)]); };
  const auto count = [&] { return static_cast<Index>(values.size()); };
  const auto samples = comm.collectively([&] {
    detail::sort_stably(context_.threads(), values, before);
    std::vector<detail::KeySample<K>> own;
    detail::add_samples(own, comm.rank(), comm.size(), count(), key_at);
    return own;
  });
  const auto splitters = detail::choose_splitters(comm, samples, less);
  const auto begin = comm.collectively(
      [&] { return detail::cut_at(splitters, comm.rank(), comm.size(), count(), key_at, less, false); });
  auto runs = detail::exchange_runs(comm, std::move(values), begin);
  comm.collectively(
      [&] { detail::merge_runs(context_.threads(), runs.values, std::move(runs.begin), before); });
  return from_local(context_, std::move(runs.values));
}

template <class T, class Pipeline>
template <class Less>
std::vector<T> Dataset<T, Pipeline>::take_ordered(Index n, const Less& less) const {
  const auto best = context_.comm().collectively([&] {
    if (n < 0) throw bad_parameter("take_ordered: n = " + std::to_string(n) + ", must be >= 0");
    const Index own = partition_->end_block(context_.rank()) - first_block();
    std::vector<std::vector<T>> of_block(detail::at(own));
    parallel_for(context_.threads(), own, [&](Index i, int) {
      auto& kept = of_block[detail::at(i)];
      run_block(first_block() + i, [&](auto&& value) {
        kept.push_back(std::forward<decltype(value)>(value));
        if (static_cast<Index>(kept.size()) >= 2 * n + 1024) detail::keep_first(kept, n, less);
      });
      detail::keep_first(kept, n, less);
    });
    auto all = detail::joined(std::move(of_block));
    detail::keep_first(all, n, less);
    return all;
  });
  return detail::first_of_all(context_.comm(), best, n, less);
}

template <class T, class Pipeline>
std::vector<T> Dataset<T, Pipeline>::top(Index n) const {
  return take_ordered(n, Descending());
}

template <class T, class Pipeline>
std::vector<double> Dataset<T, Pipeline>::quantiles(const std::vector<double>& probabilities) const {
  static_assert(std::is_arithmetic_v<T>, "quantiles are of numbers");
  Communicator& comm = context_.comm();
  comm.collectively([&] {
    for (const double p : probabilities)
      if (!(p >= 0 && p <= 1))
        throw bad_parameter("quantiles: probability " + std::to_string(p) + ", must be in [0, 1]");
  });
  const auto sorted = map([](const T& value) {
                        const auto number = static_cast<double>(value);
                        if (std::isnan(number)) throw bad_input("a NaN has no place among quantiles");
                        return number;
                      }).sort_by([](double value) { return value; });
  const Index n = sorted.count();
  if (n == 0) return std::vector<double>(probabilities.size(), std::numeric_limits<double>::quiet_NaN());
  // Each needed position is held by one rank, which adds it to zeros of the others: as bits, so that nothing
  // is rounded.
  std::vector<std::int64_t> bits(2 * probabilities.size(), 0);
  const auto own = sorted.collect_local();
  const Index first = sorted.partition().first_row(comm.rank());
  const auto lower = [&](double p) { return static_cast<Index>(std::floor(p * static_cast<double>(n - 1))); };
  for (std::size_t i = 0; i < probabilities.size(); ++i) {
    for (const Index k : {0, 1}) {
      const Index place = std::min(lower(probabilities[i]) + k, n - 1) - first;
      if (place >= 0 && place < static_cast<Index>(own.size()))
        bits[2 * i + detail::at(k)] = std::bit_cast<std::int64_t>(own[detail::at(place)]);
    }
  }
  comm.allreduce_sum(bits);
  std::vector<double> result;
  for (std::size_t i = 0; i < probabilities.size(); ++i) {
    const auto below = std::bit_cast<double>(bits[2 * i]);
    const auto above = std::bit_cast<double>(bits[2 * i + 1]);
    const double position = probabilities[i] * static_cast<double>(n - 1);
    const double fraction = position - std::floor(position);
    result.push_back(fraction == 0 ? below : below + fraction * (above - below));
  }
  return result;
}

template <class T, class Pipeline>
std::vector<Index> Dataset<T, Pipeline>::histogram(const std::vector<double>& edges) const {
  static_assert(std::is_arithmetic_v<T>, "a histogram is of numbers");
  context_.comm().collectively([&] {
    if (edges.size() < 2) throw bad_parameter("histogram: expected at least two edges");
    for (std::size_t i = 0; i + 1 < edges.size(); ++i)
      if (!(edges[i] < edges[i + 1])) throw bad_parameter("histogram: edges must ascend");
  });
  return aggregate(
      std::vector<Index>(edges.size() - 1, 0),
      [&](std::vector<Index>& counts, const T& element) {
        const auto value = static_cast<double>(element);
        if (!(value >= edges.front() && value <= edges.back())) return;
        const auto above = std::upper_bound(edges.begin(), edges.end() - 1, value);
        ++counts[static_cast<std::size_t>(above - edges.begin()) - 1];
      },
      [](std::vector<Index>& left, const std::vector<Index>& right) {
        for (std::size_t i = 0; i < left.size(); ++i) left[i] += right[i];
      });
}

}  // namespace firesteel
