// SPDX-License-Identifier: Apache-2.0
#include "firesteel/core/context.hpp"

#include "firesteel/core/mpi_runtime.hpp"
#include "firesteel/core/scratch_file.hpp"

namespace firesteel {

struct Context::State {
  State(std::shared_ptr<MpiRuntime> mpi, MPI_Comm parent, ContextOptions options)
      : runtime(std::move(mpi)),
        comm(parent, Index{1} << 30, options.rank_loss),
        placement(place(comm, options.threads)),
        monitor(options.monitor ? std::move(options.monitor) : std::make_shared<Monitor>()),
        checkpoint(std::move(options.checkpoint)),
        copies(std::move(options.copies)),
        watchdog(std::make_shared<Watchdog>(comm, std::move(options.watchdog))),
        memory(make_memory_pool(comm, options.storage)),
        scratch(scratch_directory(options.storage.scratch)) {}

  std::shared_ptr<MpiRuntime> runtime;  // before comm: destroyed after it
  Communicator comm;
  Placement placement;
  std::shared_ptr<Monitor> monitor;
  CheckpointOptions checkpoint;
  std::shared_ptr<StateCopies> copies;
  std::shared_ptr<Watchdog> watchdog;
  std::shared_ptr<MemoryPool> memory;
  std::string scratch;
};

Context::Context(ContextOptions options) {
  auto runtime = MpiRuntime::acquire();
  state_ = std::make_shared<State>(std::move(runtime), MPI_COMM_WORLD, std::move(options));
}

Context::Context(MPI_Comm parent, ContextOptions options)
    : state_(std::make_shared<State>(MpiRuntime::acquire(), parent, std::move(options))) {}

Communicator& Context::comm() const { return state_->comm; }
int Context::threads() const { return state_->placement.threads; }
const Placement& Context::placement() const { return state_->placement; }
Monitor& Context::monitor() const { return *state_->monitor; }
const std::shared_ptr<MemoryPool>& Context::memory() const { return state_->memory; }
const std::string& Context::scratch() const { return state_->scratch; }
const CheckpointOptions& Context::checkpoint() const { return state_->checkpoint; }
const std::shared_ptr<Watchdog>& Context::watchdog() const { return state_->watchdog; }
StateCopies* Context::copies() const { return state_->copies.get(); }

}  // namespace firesteel
