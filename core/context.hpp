// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mpi.h>

#include <memory>
#include <string>

#include "firesteel/core/communicator.hpp"
#include "firesteel/core/memory_pool.hpp"
#include "firesteel/core/monitor.hpp"
#include "firesteel/core/placement.hpp"
#include "firesteel/core/watchdog.hpp"

namespace firesteel {

class StateCopies;

/// Where and how often the fit loop saves the state of a learner.
struct CheckpointOptions {
  std::string directory;  ///< empty: no checkpoints
  Index every =
      1;  ///< iterations between two; 0: by time only. Put off while the one before is being written
  double seconds = 0;   ///< time between two; 0: by iterations only
  bool resume = false;  ///< go on from the newest whole checkpoint, or start afresh where there is none
};

struct ContextOptions {
  int threads = 0;                   ///< a rank's OpenMP threads; 0 decides by affinity and cgroup quota
  std::shared_ptr<Monitor> monitor;  ///< null: silent
  CheckpointOptions checkpoint;
  WatchdogOptions watchdog;  ///< off unless asked for
  Communicator::RankLoss rank_loss = Communicator::RankLoss::ends_the_job;
  std::shared_ptr<StateCopies> copies;  ///< of the fit's state, kept while it goes on; null: none are
  StorageOptions storage;
};

/// The place a job runs in: the ranks (a Communicator), each rank's threads, and who hears about progress.
/// Every dataset and learner works inside one. Cheap to copy; copies share the communicator.
///
/// MPI is initialised by the first Context if nobody did before (then also finalised by the last one), and
/// left alone if the caller called MPI_Init himself.
class Context {
 public:
  /// All ranks of MPI_COMM_WORLD. Collective.
  explicit Context(ContextOptions options = {});
  /// The ranks of `parent`, over a private duplicate of it. Collective over `parent`.
  explicit Context(MPI_Comm parent, ContextOptions options = {});

  /// The same ranks, threads and options over a communicator of its own, in which this rank has `number`:
  /// those of all ranks are 0 … size − 1 in some order. Rows lie in rank order, so this says who holds which.
  /// Throws bad_parameter where a lost rank interrupts. Collective.
  Context renumbered(int number) const;

  Communicator& comm() const;
  int rank() const { return comm().rank(); }
  int size() const { return comm().size(); }
  int threads() const;
  const Placement& placement() const;
  Monitor& monitor() const;
  const CheckpointOptions& checkpoint() const;
  /// This rank's account of memory; never null.
  const std::shared_ptr<MemoryPool>& memory() const;
  /// The directory for data that do not fit.
  const std::string& scratch() const;
  /// Never null; inactive unless asked for. May be kept longer than the context, so that it also watches over
  /// the end of MPI.
  const std::shared_ptr<Watchdog>& watchdog() const;
  /// Null where none are kept.
  StateCopies* copies() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace firesteel
