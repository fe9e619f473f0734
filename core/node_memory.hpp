// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "firesteel/core/communicator.hpp"
#include "firesteel/core/index.hpp"

namespace firesteel {

/// Memory that all ranks of a communicator map, where they share one node: a part of each rank, and one
/// common part. A file without a name (memfd) that rank 0 makes and the others open by its process: it counts
/// as memory of the processes, needs no room in /dev/shm, and is gone with the last of them however they end.
///
/// Nothing here waits: who writes and who reads is settled by collectives (Communicator::barrier) between
/// them, so that a lost rank is noticed as in any other operation.
class NodeMemory {
 public:
  /// `own_bytes` for this rank, which may differ between ranks, and `common_bytes`, the same on all. All of
  /// it is zero and there, not merely promised. Null, on all ranks, where they are alone or on several nodes,
  /// or where any of them cannot make, open or map it (limits of memory, files or address space; a process
  /// that may not look at another). Collective. Cost: three small collectives, and the first touch of this
  /// rank's share of the pages.
  static std::unique_ptr<NodeMemory> make(Communicator& comm, Index own_bytes, Index common_bytes);

  NodeMemory(const NodeMemory&) = delete;
  NodeMemory& operator=(const NodeMemory&) = delete;
  ~NodeMemory();

  /// The part of a rank, on a page. Local.
  std::byte* of(int rank) const { return memory_ + offsets_[static_cast<std::size_t>(rank)]; }
  /// The common part, on a page. Local.
  std::byte* common() const { return memory_ + offsets_.back(); }

 private:
  NodeMemory() = default;
  bool map(int file, const Communicator& comm, std::size_t common_bytes);

  std::vector<std::size_t> offsets_;  ///< of each rank's part, then of the common one
  std::size_t total_ = 0;             ///< bytes of the file
  std::byte* reserved_ = nullptr;     ///< the addresses taken, somewhat more than the file
  std::size_t reserved_bytes_ = 0;
  std::byte* memory_ = nullptr;
};

}  // namespace firesteel
