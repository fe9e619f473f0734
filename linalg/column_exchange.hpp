// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "firesteel/core/block_partition.hpp"
#include "firesteel/core/communicator.hpp"

namespace firesteel {

/// Values of columns on their way between the ranks that hold rows and the ranks that own columns. Columns
/// are dealt to ranks in runs (`slices`, whose "rows" are columns); a rank asks for some columns and has one
/// group of values for each of these, in the order asked. Planned once: 4 bytes for a column asked for, at
/// both ends. All transfers are exact, so results do not depend on the order of ranks.
///
/// Members are collective; each costs one alltoallv of `width` values for every column asked for.
class ColumnExchange {
 public:
  /// columns: ascending, without repetition, each below slices.rows().
  ColumnExchange(const Communicator& comm, const BlockPartition& slices, std::vector<std::int32_t> columns);

  /// Columns asked for by this rank.
  const std::vector<std::int32_t>& columns() const { return columns_; }

  /// The owners' values (`width` for each column of the own slice) of the columns asked for.
  std::vector<double> gather(std::span<const double> slice, Index width) const;
  /// Sums over ranks of their groups of `width` whole numbers, at the owners: width values for each column
  /// of the own slice, 0 where nobody asked.
  std::vector<std::int64_t> sum(std::span<const std::int64_t> values, Index width) const;
  /// Largest value over the ranks that asked, at the owners; 0 where nobody asked. Values are at least 0.
  std::vector<double> max(std::span<const double> values) const;

 private:
  template <class T, class Combine>
  std::vector<T> combine(std::span<const T> values, Index width, Combine&& combine_one) const;
  std::vector<Index> scaled(std::span<const Index> counts, Index width) const;

  mutable Communicator comm_;
  std::size_t slice_columns_ = 0;
  std::vector<std::int32_t> columns_;
  std::vector<Index> asked_counts_;      ///< of this rank, of each owner
  std::vector<std::int32_t> requested_;  ///< of this owner: columns of the slice, by rank that asks
  std::vector<Index> requested_counts_;
};

}  // namespace firesteel
