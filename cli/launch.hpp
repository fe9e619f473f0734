// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

namespace firesteel::cli {

/// Who started this process.
struct Launcher {
  bool mpirun = false;  ///< one that Open MPI understands: mpirun, or srun with PMIx
  int rank = 0;         ///< as the launcher says it; 0 without one
};

/// Found at the first call, which must come before MPI is initialised: MPI sets the same variables itself.
const Launcher& launcher();

/// Sets Open MPI's parameters for quick starts and quiet ends, each unless it is set already. Call before MPI
/// is initialised. Measured in docs/decisions/0009-starting-and-ending.md.
void prepare_mpi_environment();

/// Makes OpenMP threads that wait sleep soon instead of spinning for milliseconds, which takes the CPU from
/// the thread they wait for where CPUs are shared. libgomp reads the setting when it is loaded, so the
/// program starts itself anew (same process, `words` after its name), once, unless the environment has a say
/// in it.
void restart_with_patient_threads(const std::vector<std::string>& words);

/// Why a job of one rank was meant to be a rank of a larger one: started by the launcher of another MPI, it
/// would be several jobs that write one file. Empty where all is well. `world_size` is what MPI says.
std::string split_job_explanation(int world_size);

/// Whether one process may read another's memory here. Containers often forbid it, and Open MPI's shared
/// memory then complains on stderr at the first long message.
bool can_copy_between_processes();

/// The file of this program.
std::string own_path();

}  // namespace firesteel::cli
