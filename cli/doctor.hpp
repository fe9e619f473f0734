// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "firesteel/cli/job.hpp"
#include "firesteel/core/context.hpp"

namespace firesteel::cli {

enum class Health { ok, warning, failed };

/// What one rank found of one thing that a job needs of its machine.
struct Check {
  std::string name;  ///< snake_case, as --json shows it
  Health health = Health::ok;
  std::string finding;  ///< what is there, with values
  std::string remedy;   ///< what to do; empty where ok
};

// Each is local, throws nothing but bad_alloc, and gives its check also where the system says nothing.

Check check_mpi_library();
Check check_mpirun();
Check check_root();
Check check_slots(const Placement& placement);
Check check_shared_memory(int ranks_of_node);
Check check_single_copy();

Check check_binding(const Placement& placement);
Check check_threads(const Placement& placement);
Check check_memory(int ranks_of_node);
Check check_simd();
Check check_huge_pages();

/// A directory that files go to: it takes new ones and has room. An absent one may be made by a job.
Check check_directory(const std::string& name, const std::string& directory, Index enough_bytes,
                      bool is_made);
/// Locks of files in a directory: those of checkpoints, and HDF5 as Firesteel and as other programs open it.
Check check_file_locking(const std::string& directory);
/// Whether a file that rank 0 makes in `directory` is there for every rank. Collective.
Check check_directory_is_shared(Communicator& comm, const std::string& directory);

/// "512.0 MiB".
std::string bytes_text(Index bytes);

}  // namespace firesteel::cli
