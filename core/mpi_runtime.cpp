// SPDX-License-Identifier: Apache-2.0
#include "firesteel/core/mpi_runtime.hpp"

#include <dlfcn.h>
#include <mpi.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <string_view>

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

std::string mpi_compiled() {
#if defined(OMPI_MAJOR_VERSION)
  return "Open MPI " + std::to_string(OMPI_MAJOR_VERSION) + "." + std::to_string(OMPI_MINOR_VERSION) + "." +
         std::to_string(OMPI_RELEASE_VERSION);
#elif defined(MPICH_VERSION)
  return "MPICH " MPICH_VERSION;
#else
  return "MPI " + std::to_string(MPI_VERSION) + "." + std::to_string(MPI_SUBVERSION);
#endif
}

std::string mpi_found() {
#if defined(OMPI_MAJOR_VERSION) || defined(MPICH_VERSION)
  std::array<char, MPI_MAX_LIBRARY_VERSION_STRING> buffer{};
  int length = 0;
  MPI_Get_library_version(buffer.data(), &length);
  // "Open MPI v4.1.4, package: …"; "MPICH Version:      4.0.2\nMPICH Release date: …".
  std::string_view text(buffer.data(), static_cast<std::size_t>(length));
  text = text.substr(0, text.find_first_of(",\n"));
  const auto number = text.find_first_of("0123456789");
  if (number == std::string_view::npos) return std::string(text);
  return std::string(text.starts_with("MPICH") ? "MPICH " : "Open MPI ") + std::string(text.substr(number));
#else
  int version = 0;
  int subversion = 0;
  MPI_Get_version(&version, &subversion);
  return "MPI " + std::to_string(version) + "." + std::to_string(subversion);
#endif
}

std::string mpi_library_path() {
  Dl_info info{};
  void* symbol = dlsym(RTLD_DEFAULT, "MPI_Init");
  if (symbol == nullptr || dladdr(symbol, &info) == 0 || info.dli_fname == nullptr) return {};
  const std::unique_ptr<char, decltype(&std::free)> resolved(realpath(info.dli_fname, nullptr), &std::free);
  return resolved ? resolved.get() : info.dli_fname;
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
