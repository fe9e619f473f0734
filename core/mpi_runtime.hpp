// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

namespace firesteel {

/// Keeps MPI initialised. The process-wide MPI runtime is the library's only global.
class MpiRuntime {
 public:
  /// Initialises MPI (funnelled threads) unless it is; holds it until the last holder goes. Throws Error if
  /// MPI was already finalised, which cannot be undone in a process.
  static std::shared_ptr<MpiRuntime> acquire();

  ~MpiRuntime();
  MpiRuntime(const MpiRuntime&) = delete;
  MpiRuntime& operator=(const MpiRuntime&) = delete;

 private:
  MpiRuntime();
  bool initialized_here_ = false;
};

/// "Open MPI 4.1.4": the MPI whose headers this program was compiled with. Local.
std::string mpi_compiled();
/// The MPI library that was found at run time, in the same words where it is the same. MPI need not be
/// initialised. Local.
std::string mpi_found();

/// The file of the MPI library that was found at run time, links resolved; empty where that is not known.
/// Local, MPI need not be initialised.
std::string mpi_library_path();

/// Ends all ranks of this process's MPI job with an exit code, or this process alone where MPI does not run.
/// For a failure that cannot be agreed on. Local.
[[noreturn]] void end_job(int code) noexcept;

}  // namespace firesteel
