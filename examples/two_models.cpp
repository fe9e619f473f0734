// SPDX-License-Identifier: Apache-2.0
// Two models at once: the ranks are split into two groups, each of which fits with its own penalty. The
// program starts MPI itself; Firesteel works inside the communicator that it is given and leaves the others
// alone. Run:
//   mpirun -n 2 build/release/examples/two_models
//   mpirun -n 4 build/release/examples/two_models
// Prints: log-loss 0.118329 at 0.0001, 0.330174 at 0.1: the first is better
#include <mpi.h>

#include <array>
#include <cstdio>

#include "firesteel/firesteel.hpp"

namespace fs = firesteel;

/// Rows whose label depends on their first three of ten columns. Drawn by row number: the same for any group.
fs::RowBlocks make_rows(const fs::Context& context, fs::Index rows, std::uint64_t seed) {
  return fs::pack(fs::Dataset<fs::Index>::range(context, rows), 10, [=](fs::Index i, fs::PackedRow& row) {
    const auto counter = static_cast<std::uint64_t>(i);
    for (std::size_t j = 0; j < row.features.size(); ++j)
      row.features[j] = fs::philox_uniform(seed, j, counter) - 0.5;
    const double margin = 4 * row.features[0] - 2 * row.features[1] + row.features[2];
    row.label = margin > fs::philox_uniform(seed, 10, counter) - 0.5 ? 1.0 : 0.0;
  });
}

double log_loss(const fs::LogisticRegressionModel& model, const fs::RowBlocks& rows) {
  for (const auto& [name, value] : model.evaluate(rows))
    if (name == "log_loss") return value;
  throw fs::internal_error("the model has no log_loss");
}

int main(int argc, char** argv) {
  MPI_Init(&argc, &argv);
  int rank = 0;
  int size = 1;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  const int group = rank * 2 / size;  // the first half of the ranks, the second half
  MPI_Comm comm = MPI_COMM_NULL;
  MPI_Comm_split(MPI_COMM_WORLD, group, rank, &comm);
  constexpr std::array<double, 2> kPenalties{1e-4, 1e-1};
  try {
    const fs::Context context(comm);
    const fs::LogisticRegression learner{.reg_param = kPenalties[static_cast<std::size_t>(group)]};
    const auto model = learner.fit(make_rows(context, 4000, 1));
    std::array<double, 2> losses{};
    const double mine = log_loss(model, make_rows(context, 1000, 2));
    if (context.rank() == 0) losses[static_cast<std::size_t>(group)] = mine;
    // The program's own message, on its own communicator.
    MPI_Allreduce(MPI_IN_PLACE, losses.data(), 2, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
    if (rank == 0)
      std::printf("log-loss %.6f at %g, %.6f at %g: the %s is better\n", losses[0], kPenalties[0], losses[1],
                  kPenalties[1], losses[0] < losses[1] ? "first" : "second");
  } catch (const fs::Error& error) {
    // Only this group has the error: end the whole job.
    std::fprintf(stderr, "two_models: %s\n", error.what());
    MPI_Abort(MPI_COMM_WORLD, static_cast<int>(error.code()));
  }
  MPI_Comm_free(&comm);
  MPI_Finalize();
}
