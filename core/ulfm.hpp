// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mpi.h>

#include <string>

namespace firesteel {

/// Whether the MPI library that was found at run time knows how to go on without a rank (user-level failure
/// mitigation: Open MPI 5). MPI need not be initialised. Local.
bool mpi_outlives_ranks();

/// Why this job cannot go on without a rank that dies, for people; empty: it can. Local.
std::string why_no_rank_may_be_lost();

namespace detail {

/// The calls of user-level failure mitigation, which the headers of Open MPI 4.1 do not have.
/// Source: Bland et al. 2013, doi:10.1177/1094342013488238.
struct Ulfm {
  int (*revoke)(MPI_Comm) = nullptr;
  int (*is_revoked)(MPI_Comm, int*) = nullptr;
  int (*get_failed)(MPI_Comm, MPI_Group*) = nullptr;
  int (*agree)(MPI_Comm, int*) = nullptr;
  int (*shrink)(MPI_Comm, MPI_Comm*) = nullptr;
};

/// Those of the library found at run time. Throws an internal error where it has none.
const Ulfm& ulfm();

}  // namespace detail

}  // namespace firesteel
