// SPDX-License-Identifier: Apache-2.0
#include "firesteel/core/ulfm.hpp"

#include <dlfcn.h>

#include <cstdlib>
#include <string_view>

#include "firesteel/core/error.hpp"
#include "firesteel/core/mpi_runtime.hpp"

namespace firesteel {

namespace {

/// False where the library has no function of that name.
template <class Function>
bool find(Function*& function, const char* name) {
  function = reinterpret_cast<Function*>(dlsym(RTLD_DEFAULT, name));
  return function != nullptr;
}

struct Found {
  detail::Ulfm calls;
  bool all = false;
};

const Found& find_all() {
  static const Found found = [] {
    Found now;
    auto& calls = now.calls;
    now.all = find(calls.revoke, "MPIX_Comm_revoke") && find(calls.is_revoked, "MPIX_Comm_is_revoked") &&
              find(calls.get_failed, "MPIX_Comm_get_failed") && find(calls.agree, "MPIX_Comm_agree") &&
              find(calls.shrink, "MPIX_Comm_shrink");
    return now;
  }();
  return found;
}

}  // namespace

bool mpi_outlives_ranks() { return find_all().all; }

std::string why_no_rank_may_be_lost() {
  if (!mpi_outlives_ranks()) return mpi_found() + " cannot go on without a rank, Open MPI 5 can";
  // What mpirun --with-ft sets; without it mpirun itself ends the job.
  const char* enabled = std::getenv("OMPI_MCA_mpi_ft_enable");
  if (enabled == nullptr || std::string_view(enabled) == "0")
    return "mpirun was started without --with-ft ulfm";
  return {};
}

namespace detail {

const Ulfm& ulfm() {
  if (!find_all().all) throw internal_error("this MPI knows no lost ranks");
  return find_all().calls;
}

}  // namespace detail

}  // namespace firesteel
