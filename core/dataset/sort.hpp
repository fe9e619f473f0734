// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "firesteel/core/dataset.hpp"
#include "firesteel/core/dataset/bulk.hpp"
#include "firesteel/core/dataset/exchange.hpp"
#include "firesteel/core/dataset/keys.hpp"
#include "firesteel/core/dataset/permute.hpp"
#include "firesteel/core/dataset/round_trip.hpp"
#include "firesteel/core/dataset/rounds.hpp"
#include "firesteel/core/dataset/sequence.hpp"
#include "firesteel/core/dataset/sorted_order.hpp"

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

/// A rank's share of elements dealt over the ranks: those from ranks before it, its own and those from later
/// ranks, each in order. Its own stay where they were.
template <class T>
class DealtShare {
 public:
  DealtShare(std::vector<T> own, std::vector<Index> staying, Runs<T> arrived, int rank)
      : own_(std::move(own)), staying_(std::move(staying)), arrived_(std::move(arrived.values)) {
    if (!arrived.begin.empty()) before_ = at(arrived.begin[at(rank)]);
  }
  std::size_t size() const { return staying_.size() + arrived_.size(); }
  T& operator[](std::size_t i) {
    if (i < before_) return arrived_[i];
    const std::size_t own = i - before_;
    return own < staying_.size() ? own_[at(staying_[own])] : arrived_[i - staying_.size()];
  }
  std::vector<T> in_order() && {
    if (static_cast<Index>(staying_.size()) == static_cast<Index>(own_.size()) && arrived_.empty())
      return std::move(own_);
    std::vector<T> all;
    all.reserve(size());
    for (std::size_t i = 0; i < size(); ++i) all.push_back(std::move((*this)[i]));
    return all;
  }

 private:
  std::vector<T> own_;
  std::vector<Index> staying_;
  std::vector<T> arrived_;
  std::size_t before_ = 0;
};

/// Sends each rank the elements of its range of keys. Collective. Cost: one alltoallv of what leaves a rank.
template <class K, Serializable T, class Key, class Less>
DealtShare<T> deal_by_key(const Context& context, std::vector<T> values, const Key& key, const Less& less) {
  Communicator& comm = context.comm();
  const auto count = static_cast<Index>(values.size());
  const auto key_at = [&](Index i) -> decltype(auto) { return key(std::as_const(values[at(i)])); };
  const auto samples = comm.collectively([&] {
    if (count > 0) check_round_trip(std::as_const(values.front()));  // on one rank too, where none travels
    std::vector<KeySample<K>> own;
    if (comm.size() > 1) add_unsorted_samples(own, comm.rank(), comm.size(), count, key_at);
    return own;
  });
  const auto splitters = choose_splitters(comm, samples, less);
  std::vector<std::vector<Index>> places(at(comm.size()));
  std::vector<Index> begin{0};
  auto leaving = comm.collectively([&] {
    places[at(comm.rank())].reserve(at(splitters.empty() ? count : 0));
    for (Index i = 0; i < count; ++i)
      places[at(share_of<K>(splitters, key_at(i), comm.rank(), i, less, false))].push_back(i);
    std::vector<T> out;
    Index most = 0;
    for (int r = 0; r < comm.size(); ++r)
      most += r == comm.rank() ? 0 : static_cast<Index>(places[at(r)].size());
    out.reserve(at(most));
    for (int r = 0; r < comm.size(); ++r) {
      if (r != comm.rank()) {
        for (const Index i : places[at(r)]) out.push_back(std::move(values[at(i)]));
        places[at(r)] = {};
      }
      begin.push_back(static_cast<Index>(out.size()));
    }
    return out;
  });
  auto arrived = exchange_runs(comm, std::move(leaving), begin);
  return {std::move(values), std::move(places[at(comm.rank())]), std::move(arrived), comm.rank()};
}

}  // namespace detail

template <class T, class Pipeline>
template <class Key, class Less>
auto Dataset<T, Pipeline>::sort_by(const Key& key, const Less& less) const {
  using K = std::remove_cvref_t<std::invoke_result_t<const Key&, const T&>>;
  if (detail::is_bounded(context_))
    return detail::by_rounds<K, T>(*this, key, less, false, [](std::vector<T> sorted) { return sorted; });
  const int threads = context_.threads();
  const auto before = [&](const T& a, const T& b) { return less(key(a), key(b)); };
  auto share = [&] {
    if constexpr (detail::MovesInBulk<T>)
      return detail::deal_in_bulk<K>(context_, detail::collect_in_bulk(*this), key, less);
    else
      return detail::deal_by_key<K>(context_, collect_local(), key, less);
  }();
  const auto order_of_share = [&] {
    return detail::sorted_order(
        threads, static_cast<Index>(share.size()),
        [&](Index place) -> decltype(auto) { return key(std::as_const(share[detail::at(place)])); }, less);
  };
  constexpr bool kByPlaces =
      sizeof(T) >= 2 * sizeof(detail::SortEntry);  // else moved as easily as their places
  if constexpr (detail::MovesInBulk<T>) {
    context_.comm().collectively([&] {
      if constexpr (kByPlaces)
        detail::permute(threads, share, order_of_share());
      else
        detail::sort_stably(threads, share, before);
    });
    return detail::place_in_bulk<T>(context_, std::move(share));
  } else if constexpr (kByPlaces) {
    const auto order = context_.comm().collectively(order_of_share);
    return detail::place_in_order<T>(
        context_, static_cast<Index>(share.size()), [&](Index begin, Index end, std::vector<T>& rows) {
          detail::move_in_order(share, std::span(order).subspan(detail::at(begin), detail::at(end - begin)),
                                rows);
        });
  } else {
    return from_local(context_, context_.comm().collectively([&] {
      auto values = std::move(share).in_order();
      detail::sort_stably(threads, values, before);
      return values;
    }));
  }
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
