// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "firesteel/core/checkpoint.hpp"
#include "firesteel/core/communicator.hpp"

namespace firesteel {

/// What a fit can go on from after ranks were lost.
struct RecoveryPoint {
  std::optional<Index> in_memory;  ///< the iteration of the copies that are whole
  std::optional<Index> on_disk;    ///< that of a checkpoint which the job itself has saved

  bool from_memory() const { return in_memory && (!on_disk || *in_memory >= *on_disk); }
};

/// Copies of a fit's state in the memory of the ranks, so that those that are left when some die can go on
/// from one (diskless checkpoints; Plank, Li and Puening 1998, doi:10.1109/71.730527). Replicated parts are
/// on every rank anyway; of partitioned parts a rank keeps its own values and those of the rank before it. So
/// any one loss is survived, and several at once where no two of them are neighbours.
///
/// Outlives communicators and contexts: each member that is collective is given the ranks of now. Memory: up
/// to four times the partitioned and twice the replicated state.
class StateCopies {
 public:
  /// Whether rank 0 wants a copy: at once for the first, then after twenty times what the last one took.
  /// Local.
  bool due(const Communicator& comm) const;
  /// Keeps a copy. All ranks must have agreed on something since the last one, so that it is whole.
  /// Collective.
  void keep(Communicator& comm, const CheckpointIdentity& identity, Index iteration,
            std::vector<StatePart> parts);
  /// The fit has saved a checkpoint of this iteration. Local, on all ranks.
  void saved_on_disk(Index iteration) { on_disk_ = iteration; }

  /// Settles what the ranks that are left can go on from, the newest that is whole. Collective.
  RecoveryPoint settle(Communicator& comm);
  /// As settled; nothing before the first loss. Local.
  const RecoveryPoint& point() const { return point_; }
  /// The state at point().in_memory, cut as `present` is. It then is kept anew. Collective. Throws bad_input
  /// where the fit is another one, or its data have changed meanwhile.
  Checkpoint restore(Communicator& comm, const CheckpointIdentity& identity,
                     const std::vector<StatePart>& present);

 private:
  /// Consecutive values of a partitioned part.
  struct Segment {
    std::size_t part = 0;
    Index first = 0;  ///< global position, in values
    std::vector<std::byte> bytes;
  };
  struct Copy {
    Index iteration = 0;
    std::vector<StatePart> parts;   ///< partitioned ones without bytes
    std::vector<Index> totals;      ///< values of each part over all ranks
    std::vector<Segment> segments;  ///< own and of the rank before
  };

  void add(Communicator& comm, Index iteration, std::vector<StatePart> parts);
  /// Where a run of values can be had.
  struct Source {
    Index first = 0;
    Index end = 0;
    Index rank = 0;
    Index segment = 0;  ///< among those of `iteration`, in order
  };
  std::vector<const Segment*> segments_of(Index iteration, std::size_t part) const;
  /// Disjoint runs that cover all values; empty where some are lost. Collective.
  std::optional<std::vector<Source>> find_sources(Communicator& comm, Index iteration, std::size_t part,
                                                  Index total) const;
  std::vector<std::byte> gather_part(Communicator& comm, const Copy& copy, std::size_t part,
                                     Index count) const;
  const Copy* copy_of(Index iteration) const;
  bool is_whole(Communicator& comm, Index iteration) const;

  std::optional<CheckpointIdentity> identity_;
  std::deque<Copy> copies_;  // oldest first
  std::optional<Index> on_disk_;
  RecoveryPoint point_;
  double kept_s_ = 0;       // when the last copy was done
  double kept_took_s_ = 0;  // how long it took
};

}  // namespace firesteel
