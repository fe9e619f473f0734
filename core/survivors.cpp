// SPDX-License-Identifier: Apache-2.0
#include "firesteel/core/survivors.hpp"

#include <numeric>

#include "firesteel/core/long_messages.hpp"
#include "firesteel/core/ulfm.hpp"

namespace firesteel {

using detail::check_mpi;

Survivors::Survivors() {
  check_mpi(MPI_Comm_set_errhandler(comm_, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
}

int Survivors::size() const {
  int size = 0;
  MPI_Comm_size(comm_, &size);
  return size;
}

int Survivors::agree(int bits) const {
  // An error says that somebody has died; the bits are the same on all even so.
  detail::ulfm().agree(comm_, &bits);
  return bits;
}

std::vector<int> Survivors::remove_lost() {
  MPI_Comm left = MPI_COMM_NULL;
  check_mpi(detail::ulfm().shrink(comm_, &left), "MPIX_Comm_shrink");
  check_mpi(MPI_Comm_set_errhandler(left, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
  MPI_Group before = MPI_GROUP_NULL;
  MPI_Group after = MPI_GROUP_NULL;
  MPI_Group gone = MPI_GROUP_NULL;
  check_mpi(MPI_Comm_group(comm_, &before), "MPI_Comm_group");
  check_mpi(MPI_Comm_group(left, &after), "MPI_Comm_group");
  check_mpi(MPI_Group_difference(before, after, &gone), "MPI_Group_difference");
  int count = 0;
  MPI_Group_size(gone, &count);
  std::vector<int> places(static_cast<std::size_t>(count));
  std::vector<int> ranks(static_cast<std::size_t>(count));
  std::iota(places.begin(), places.end(), 0);
  check_mpi(MPI_Group_translate_ranks(gone, count, places.data(), before, ranks.data()),
            "MPI_Group_translate_ranks");
  for (MPI_Group* group : {&before, &after, &gone})
    if (*group != MPI_GROUP_EMPTY) MPI_Group_free(group);
  comm_ = left;  // the one before is left as it is: what was given up may still be under way in it
  return ranks;
}

}  // namespace firesteel
