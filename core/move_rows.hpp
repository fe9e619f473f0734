// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <span>
#include <vector>

#include "firesteel/core/block_partition.hpp"
#include "firesteel/core/communicator.hpp"

namespace firesteel {

/// Moves rows to the ranks that own their blocks. `values` holds `width` values for each of this rank's rows,
/// which are the global rows from first_row on, the ranks' rows following one another in rank order. Returns
/// the rows that `partition` gives to this rank, in order. Collective; one exchange.
template <class T>
std::vector<T> move_rows(Communicator& comm, std::span<const T> values, Index width, Index first_row,
                         const BlockPartition& partition) {
  const Index end_row = first_row + static_cast<Index>(values.size()) / width;
  std::vector<Index> counts(static_cast<std::size_t>(comm.size()));
  for (int rank = 0; rank < comm.size(); ++rank) {
    const Index begin = std::max(first_row, partition.first_row(rank));
    const Index end = std::min(end_row, partition.end_row(rank));
    counts[static_cast<std::size_t>(rank)] = std::max<Index>(0, end - begin) * width;
  }
  return comm.alltoallv(values, std::span<const Index>(counts));
}

}  // namespace firesteel
