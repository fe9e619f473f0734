// SPDX-License-Identifier: Apache-2.0
// A program with an MPI life of its own: it calls MPI_Init, has messages of its own under way on every tag
// that Firesteel uses, and works on halves of its ranks. It fits every learner of the registry on all ranks
// and on its half, and prints one digest a learner, for comparison with a build under other compiler flags.
#include <mpi.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "firesteel/firesteel.hpp"

namespace {

using firesteel::Index;

constexpr std::uint64_t kSeed = 5;

void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "consumer: %s\n", what);
  MPI_Abort(MPI_COMM_WORLD, 1);
  std::abort();
}

/// Messages between neighbours on MPI_COMM_WORLD that stay open while Firesteel works.
class OwnTraffic {
 public:
  OwnTraffic() {
    MPI_Comm_rank(MPI_COMM_WORLD, &rank_);
    MPI_Comm_size(MPI_COMM_WORLD, &size_);
    for (std::size_t i = 0; i < kTags.size(); ++i)
      MPI_Irecv(&received_[i], 1, MPI_INT, MPI_ANY_SOURCE, kTags[i], MPI_COMM_WORLD, &requests_[i]);
  }
  void finish() {
    const int next = (rank_ + 1) % size_;
    for (const int tag : kTags) {
      const int value = 1000 * rank_ + tag;
      MPI_Send(&value, 1, MPI_INT, next, tag, MPI_COMM_WORLD);
    }
    MPI_Waitall(static_cast<int>(kTags.size()), requests_.data(), MPI_STATUSES_IGNORE);
    const int previous = (rank_ + size_ - 1) % size_;
    for (std::size_t i = 0; i < kTags.size(); ++i)
      require(received_[i] == 1000 * previous + kTags[i], "a message of the program itself went astray");
  }

 private:
  static constexpr std::array kTags{1, 2, 0x4000};
  int rank_ = 0;
  int size_ = 1;
  std::array<int, 3> received_{};
  std::array<MPI_Request, 3> requests_{};
};

double uniform(std::uint64_t purpose, Index row) {
  return firesteel::philox_uniform(kSeed, purpose, static_cast<std::uint64_t>(row));
}

/// Rows whose last column is of the size `tiny`, the others in [0, 1).
firesteel::RowBlocks make_rows(const firesteel::Context& context, double tiny) {
  const auto rows = firesteel::Dataset<Index>::range(context, 3000);
  return firesteel::pack(rows, 5, [=](Index row, firesteel::PackedRow& packed) {
    for (std::size_t j = 0; j < packed.features.size(); ++j) packed.features[j] = uniform(j, row);
    packed.features[4] *= tiny;
    packed.label = packed.features[0] + uniform(9, row) < 1.0 ? 1.0 : 0.0;
  });
}

firesteel::Ratings make_ratings(const firesteel::Context& context) {
  firesteel::Ratings ratings{.context = context};
  ratings.rows = 2000;
  ratings.first_row = ratings.rows * context.rank() / context.size();
  const Index end = ratings.rows * (context.rank() + 1) / context.size();
  std::vector<std::int64_t> users;
  std::vector<std::int64_t> items;
  for (Index row = ratings.first_row; row < end; ++row) {
    users.push_back(row % 61);
    items.push_back((row * 7 + row / 61) % 97);
    ratings.ratings.push_back(1.0 + static_cast<double>((row * row) % 5));
  }
  ratings.users = std::move(users);
  ratings.items = std::move(items);
  ratings.has_ratings = true;
  return ratings;
}

/// The digest of a fit; its error, where it fails.
std::string outcome(const firesteel::Context& context, const firesteel::LearnerEntry& entry, double tiny) {
  const auto learner = entry.make();
  for (const auto& [name, text] :
       {std::pair{"k", "4"}, {"rank", "3"}, {"max_iter", "6"}, {"reg_param", "0.01"}}) {
    firesteel::ParameterSetter setter(name, text);
    learner->describe(setter);
  }
  try {
    if (entry.task == firesteel::Task::recommendation)
      return learner->fit(make_ratings(context))->to_record().sha256();
    return learner->fit(make_rows(context, tiny))->to_record().sha256();
  } catch (const firesteel::Error& error) {
    return error.what();
  }
}

void use_firesteel() {
  int rank = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm half = MPI_COMM_NULL;
  MPI_Comm_split(MPI_COMM_WORLD, rank % 2, -rank, &half);  // ranks in reverse
  OwnTraffic traffic;
  {
    const firesteel::Context world(MPI_COMM_WORLD);
    const firesteel::Context part(half);
    for (const auto* context : {&world, &part})
      require(firesteel::Dataset<Index>::range(*context, 100000).reduce(0, std::plus<Index>()) == 4999950000,
              "a sum is wrong");
    for (const auto& entry : firesteel::learners()) {
      // The squares of 2^-515 are denormal, those of 2^-1040 are 0: flushing denormals would change a model
      // or an error.
      for (const double tiny : {1.0, 0x1p-515, 0x1p-1040}) {
        const std::string on_all = outcome(world, entry, tiny);
        require(outcome(part, entry, tiny) == on_all, "a model depends on the communicator");
        if (rank == 0) std::printf("%s %s\n", std::string(entry.name).c_str(), on_all.c_str());
      }
    }
  }
  traffic.finish();
  MPI_Comm_free(&half);
}

}  // namespace

int main(int argc, char** argv) {
  MPI_Init(&argc, &argv);
  use_firesteel();
  int finalized = 0;
  MPI_Finalized(&finalized);
  require(finalized == 0, "Firesteel finalised MPI, which it had not initialised");
  MPI_Finalize();
}
