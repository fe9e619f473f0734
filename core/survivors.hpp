// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mpi.h>

#include <vector>

namespace firesteel {

/// The ranks of a job that are still there, where MPI goes on without those that die
/// (why_no_rank_may_be_lost() is empty).
///
/// A job is tries: each makes a Communicator of comm() whose lost ranks interrupt it, and works until it is
/// done or gets an MpiError. Then all ranks that are left meet in agree(): it is a common decision even where
/// some were done before others were interrupted. If the job is not done, remove_lost(), and the next try.
class Survivors {
 public:
  /// All ranks of MPI_COMM_WORLD, on which MPI's errors are returned from now on. Local.
  Survivors();
  Survivors(const Survivors&) = delete;
  Survivors& operator=(const Survivors&) = delete;

  /// Of the ranks that are left, in the order they had; never used but to duplicate. Local.
  MPI_Comm comm() const { return comm_; }
  int size() const;

  /// The bits that all ranks that are left give: the same on all of them. Collective, whatever has happened.
  int agree(int bits) const;
  /// Goes on without those that have died: their numbers until now, ascending, the same on all. Collective,
  /// whatever has happened.
  std::vector<int> remove_lost();

 private:
  MPI_Comm comm_ = MPI_COMM_WORLD;
};

}  // namespace firesteel
