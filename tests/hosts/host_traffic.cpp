// SPDX-License-Identifier: Apache-2.0
// Runs one operation of the communicator and prints what each rank says it has sent, and on stderr the
// seconds of a call:
//   host_traffic OPERATION BYTES TIMES [SECONDS of silence after which a rank is lost]
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "firesteel/core/context.hpp"

int main(int argc, char** argv) {
  using firesteel::Index;
  if (argc != 4 && argc != 5) return 64;
  const std::string operation = argv[1];
  const auto count = static_cast<std::size_t>(std::atoll(argv[2]) / 8);
  firesteel::ContextOptions options;
  if (argc == 5) options.watchdog = {.beat_s = 0.5, .peer_timeout_s = std::atof(argv[4]), .on_loss = {}};
  const firesteel::Context context(options);
  firesteel::Communicator& comm = context.comm();
  const auto ranks = static_cast<std::size_t>(comm.size());
  const Index before = comm.bytes_sent();
  comm.barrier();  // all begin together
  const auto start = std::chrono::steady_clock::now();
  for (int time = std::atoi(argv[3]); time > 0; --time) {
    std::vector<std::int64_t> values(count, comm.rank());
    const std::span<const std::int64_t> given(values);
    if (operation == "broadcast") comm.broadcast(std::span(values), 0);
    if (operation == "allreduce_sum") comm.allreduce_sum(values);
    if (operation == "allgatherv") comm.allgatherv(given.first(count / ranks));
    if (operation == "gatherv") comm.gatherv(given, 0);
    if (operation == "alltoallv")
      comm.alltoallv(given, std::vector<Index>(ranks, static_cast<Index>(count / ranks)));
    if (operation == "send" && comm.rank() > 0) comm.send(std::as_bytes(given), comm.rank() - 1, 3);
    if (operation == "send" && comm.rank() + 1 < comm.size())
      comm.receive(std::as_writable_bytes(std::span(values)), comm.rank() + 1, 3);
  }
  comm.barrier();
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  if (comm.rank() == 0) std::fprintf(stderr, "%.9f seconds a call\n", seconds.count() / std::atof(argv[3]));
  const auto sent = comm.allgather(comm.bytes_sent() - before);
  if (comm.rank() == 0)
    for (const Index bytes : sent) std::printf("%lld\n", static_cast<long long>(bytes));
  return 0;
}
