// SPDX-License-Identifier: Apache-2.0
#include "firesteel/linalg/column_exchange.hpp"

#include <algorithm>

namespace firesteel {

ColumnExchange::ColumnExchange(const Communicator& comm, const BlockPartition& slices,
                               std::vector<std::int32_t> columns)
    : comm_(comm),
      slice_columns_(static_cast<std::size_t>(slices.local_rows(comm.rank()))),
      columns_(std::move(columns)) {
  comm_.collectively([&] {
    for (int owner = 0; owner < comm_.size(); ++owner) {
      const auto begin = std::lower_bound(columns_.begin(), columns_.end(), slices.first_row(owner));
      const auto end = std::lower_bound(begin, columns_.end(), slices.end_row(owner));
      asked_counts_.push_back(end - begin);
    }
  });
  requested_ = comm_.alltoallv(std::span<const std::int32_t>(columns_), asked_counts_, &requested_counts_);
  const auto first = static_cast<std::int32_t>(slices.first_row(comm_.rank()));
  for (auto& column : requested_) column -= first;
}

std::vector<Index> ColumnExchange::scaled(std::span<const Index> counts, Index width) const {
  std::vector<Index> result(counts.begin(), counts.end());
  for (auto& count : result) count *= width;
  return result;
}

std::vector<double> ColumnExchange::gather(std::span<const double> slice, Index width) const {
  const auto group = static_cast<std::size_t>(width);
  const auto values = comm_.collectively([&] {
    std::vector<double> wanted;
    wanted.reserve(requested_.size() * group);
    for (const std::int32_t column : requested_) {
      const auto own = slice.subspan(static_cast<std::size_t>(column) * group, group);
      wanted.insert(wanted.end(), own.begin(), own.end());
    }
    return wanted;
  });
  return comm_.alltoallv(std::span<const double>(values), scaled(requested_counts_, width));
}

template <class T, class Combine>
std::vector<T> ColumnExchange::combine(std::span<const T> values, Index width, Combine&& combine_one) const {
  const auto group = static_cast<std::size_t>(width);
  auto result = comm_.collectively([&] { return std::vector<T>(slice_columns_ * group, T{0}); });
  const auto received = comm_.alltoallv(values, scaled(asked_counts_, width));
  for (std::size_t i = 0; i < requested_.size(); ++i)
    for (std::size_t k = 0; k < group; ++k)
      combine_one(result[static_cast<std::size_t>(requested_[i]) * group + k], received[i * group + k]);
  return result;
}

std::vector<std::int64_t> ColumnExchange::sum(std::span<const std::int64_t> values, Index width) const {
  return combine(values, width, [](std::int64_t& total, std::int64_t value) { total += value; });
}

std::vector<double> ColumnExchange::max(std::span<const double> values) const {
  return combine(values, 1, [](double& largest, double value) { largest = std::max(largest, value); });
}

}  // namespace firesteel
