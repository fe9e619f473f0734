// SPDX-License-Identifier: Apache-2.0
#include "firesteel/core/mpi_runtime.hpp"

#include <mpi.h>
#include <unistd.h>

#include "firesteel/core/error.hpp"

namespace firesteel {

MpiRuntime::MpiRuntime() {
  int finalized = 0;
  MPI_Finalized(&finalized);
  if (finalized != 0) throw internal_error("MPI was finalised: a process can run MPI only once");
  int initialized = 0;
  MPI_Initialized(&initialized);
  if (initialized != 0) return;
  int provided = MPI_THREAD_SINGLE;
  if (MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &provided) != MPI_SUCCESS)
    throw internal_error("MPI_Init_thread failed");
  initialized_here_ = true;
}

MpiRuntime::~MpiRuntime() {
  int finalized = 0;
  MPI_Finalized(&finalized);
  if (initialized_here_ && finalized == 0) MPI_Finalize();
}

std::shared_ptr<MpiRuntime> MpiRuntime::acquire() {
  // Held for the life of the process: MPI cannot be initialised again, so it may not be finalised between two
  // contexts.
  static const std::shared_ptr<MpiRuntime> runtime(new MpiRuntime());
  return runtime;
}

void end_job(int code) noexcept {
  int initialized = 0;
  int finalized = 0;
  MPI_Initialized(&initialized);
  MPI_Finalized(&finalized);
  if (initialized != 0 && finalized == 0) MPI_Abort(MPI_COMM_WORLD, code);
  _exit(code);
}

}  // namespace firesteel
