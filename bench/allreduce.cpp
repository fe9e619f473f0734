// SPDX-License-Identifier: Apache-2.0
// A sum of MEGABYTES of doubles over the ranks, left on every rank: in canonical order (CanonicalSum, one
// block a rank) and by MPI_Allreduce, in turn, the first of each discarded. Medians in seconds, one JSON
// object. Run: mpirun -n P allreduce MEGABYTES [ROUNDS]
#include <mpi.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <vector>

#include "firesteel/core/canonical_sum.hpp"
#include "firesteel/core/context.hpp"

namespace {

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

}  // namespace

int main(int argc, char** argv) {
  using namespace firesteel;
  const Index length = (argc > 1 ? std::atoll(argv[1]) : 100) * 1'000'000 / 8;
  const int rounds = argc > 2 ? std::atoi(argv[2]) : 9;
  Context context({.threads = 1});
  Communicator& comm = context.comm();
  std::vector<Index> cuts(static_cast<std::size_t>(comm.size()) + 1);
  std::iota(cuts.begin(), cuts.end(), Index{0});
  const BlockPartition partition(kTileRows * comm.size(), kTileRows, cuts);
  CanonicalSum sum(comm, partition, length, 1);
  std::vector<double> mine(static_cast<std::size_t>(length), 1.0 + comm.rank());
  std::vector<double> total(mine.size());

  std::vector<double> ours;
  std::vector<double> theirs;
  double difference = 0;
  for (int round = 0; round <= rounds; ++round) {
    comm.barrier();
    double start = now();
    const auto canonical =
        sum([&](Index, std::span<double> out) { std::copy(mine.begin(), mine.end(), out.begin()); });
    comm.barrier();
    ours.push_back(now() - start);
    start = now();
    MPI_Allreduce(mine.data(), total.data(), static_cast<int>(length), MPI_DOUBLE, MPI_SUM, comm.native());
    comm.barrier();
    theirs.push_back(now() - start);
    for (std::size_t i = 0; i < total.size(); i += 997)
      difference = std::max(difference, std::abs(total[i] - canonical[i]));
  }
  ours.erase(ours.begin());
  theirs.erase(theirs.begin());
  if (comm.rank() != 0) return 0;
  std::printf(
      "{\"ranks\": %d, \"bytes\": %lld, \"canonical_seconds\": %.6f, \"mpi_seconds\": %.6f, "
      "\"difference\": %g, \"rounds\": %d}\n",
      comm.size(), static_cast<long long>(length) * 8, median(ours), median(theirs), difference, rounds);
  return difference == 0 ? 0 : 1;
}
