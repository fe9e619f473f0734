// SPDX-License-Identifier: Apache-2.0
#include "firesteel/core/context.hpp"

#include "firesteel/core/long_messages.hpp"
#include "firesteel/core/mpi_runtime.hpp"
#include "firesteel/core/scratch_file.hpp"

namespace firesteel {

struct Context::State {
  State(std::shared_ptr<MpiRuntime> mpi, MPI_Comm parent, ContextOptions options)
      : runtime(std::move(mpi)),
        comm(parent, Index{1} << 30, options.rank_loss),
        placement(place(comm, options.threads)),
        monitor(options.monitor ? options.monitor : std::make_shared<Monitor>()),
        watchdog(std::make_shared<Watchdog>(comm, options.watchdog)),
        memory(make_memory_pool(comm, options.storage)),
        scratch(scratch_directory(options.storage.scratch)),
        asked(std::move(options)) {}

  std::shared_ptr<MpiRuntime> runtime;  // before comm: destroyed after it
  Communicator comm;
  Placement placement;
  std::shared_ptr<Monitor> monitor;
  std::shared_ptr<Watchdog> watchdog;
  std::shared_ptr<MemoryPool> memory;
  std::string scratch;
  ContextOptions asked;
};

Context::Context(ContextOptions options) {
  auto runtime = MpiRuntime::acquire();
  state_ = std::make_shared<State>(std::move(runtime), MPI_COMM_WORLD, std::move(options));
}

Context::Context(MPI_Comm parent, ContextOptions options)
    : state_(std::make_shared<State>(MpiRuntime::acquire(), parent, std::move(options))) {}

Context Context::renumbered(int number) const {
  if (state_->asked.rank_loss == Communicator::RankLoss::interrupts)
    throw bad_parameter("ranks keep their numbers where a lost one interrupts");
  MPI_Comm ordered = MPI_COMM_NULL;
  detail::check_mpi(MPI_Comm_split(comm().native(), 0, number, &ordered), "MPI_Comm_split");
  ContextOptions options = state_->asked;
  options.monitor = state_->monitor;
  Context context(ordered, std::move(options));
  MPI_Comm_free(&ordered);
  return context;
}

Communicator& Context::comm() const { return state_->comm; }
int Context::threads() const { return state_->placement.threads; }
const Placement& Context::placement() const { return state_->placement; }
Monitor& Context::monitor() const { return *state_->monitor; }
const std::shared_ptr<MemoryPool>& Context::memory() const { return state_->memory; }
const std::string& Context::scratch() const { return state_->scratch; }
const CheckpointOptions& Context::checkpoint() const { return state_->asked.checkpoint; }
const std::shared_ptr<Watchdog>& Context::watchdog() const { return state_->watchdog; }
StateCopies* Context::copies() const { return state_->asked.copies.get(); }

}  // namespace firesteel
