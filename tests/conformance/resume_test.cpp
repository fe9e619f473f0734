// SPDX-License-Identifier: Apache-2.0
// Every learner of the registry, ended after an iteration and resumed, gives the model of an uninterrupted
// fit.
#include <gtest/gtest.h>
#include <mpi.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <ostream>

#include "conformance_data.hpp"
#include "firesteel/tests/algorithms/stop_after.hpp"

namespace firesteel {

/// What a failed test calls its learner.
void PrintTo(const LearnerEntry& entry, std::ostream* stream) { *stream << entry.name; }

namespace {

using conformance::Storage;

class Resume : public testing::TestWithParam<LearnerEntry> {
 protected:
  static constexpr Index kRows = 300;

  Resume() {
    setenv("FIRESTEEL_BLOCK_ROWS", "32", 1);
    directory_ = world_.comm().broadcast_text(
        (std::filesystem::temp_directory_path() / ("firesteel-resume-" + std::to_string(getpid()))).string(),
        0);
  }
  ~Resume() override { clear(); }

  void clear() {
    world_.comm().barrier();
    if (world_.rank() == 0) std::filesystem::remove_all(directory_);
    world_.comm().barrier();
  }

  static std::unique_ptr<AnyModel> fit(const Context& context, Storage storage = Storage::dense) {
    auto learner = GetParam().make();
    set_parameter(*learner, "max_iter", "6");
    set_parameter(*learner, "tol", "0");
    set_parameter(*learner, "k", "3");
    set_parameter(*learner, "rank", "4");
    set_parameter(*learner, "reg_param", "0.01");
    return learner->fit(conformance::make_data(context, GetParam().task, kRows, storage));
  }

  /// Fits until `iteration`, saves and stops; true if the fit had not ended before.
  bool stop_after(Index iteration, Storage storage = Storage::dense) const {
    const Context context(MPI_COMM_WORLD, {.threads = 2,
                                           .monitor = std::make_shared<StopAfter>(iteration),
                                           .checkpoint = {.directory = directory_, .every = 100}});
    try {
      fit(context, storage);
      return false;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::stopped) << error.what();
      return true;
    }
  }

  Context world_;
  std::string directory_;
};

TEST_P(Resume, after_any_iteration_gives_the_same_bytes_of_model) {
  const std::string whole = fit(Context(MPI_COMM_SELF, {.threads = 1}))->to_record().sha256();
  Index stopped = 0;
  for (Index iteration = 1; iteration <= 6; ++iteration) {
    clear();
    if (stop_after(iteration)) ++stopped;
    world_.comm().barrier();
    const Context again(MPI_COMM_WORLD,
                        {.threads = 1, .checkpoint = {.directory = directory_, .resume = true}});
    EXPECT_EQ(fit(again)->to_record().sha256(), whole) << "resumed after iteration " << iteration;
  }
  EXPECT_GE(stopped, 2) << "the fits were too short to be interrupted";
}

TEST_P(Resume, in_single_precision_gives_the_same_bytes_and_refuses_double) {
  const std::string whole =
      fit(Context(MPI_COMM_SELF, {.threads = 1}), Storage::dense_single)->to_record().sha256();
  ASSERT_TRUE(stop_after(2, Storage::dense_single));
  world_.comm().barrier();
  const auto resumed = [&](Storage storage) {
    const Context again(MPI_COMM_WORLD,
                        {.threads = 1, .checkpoint = {.directory = directory_, .resume = true}});
    return fit(again, storage)->to_record().sha256();
  };
  EXPECT_THROW(resumed(Storage::dense), Error);
  EXPECT_EQ(resumed(Storage::dense_single), whole);
}

TEST_P(Resume, by_one_rank_what_several_had_begun) {
  const std::string whole = fit(Context(MPI_COMM_SELF, {.threads = 1}))->to_record().sha256();
  ASSERT_TRUE(stop_after(2));
  world_.comm().barrier();
  if (world_.rank() == 0) {
    const Context alone(MPI_COMM_SELF,
                        {.threads = 1, .checkpoint = {.directory = directory_, .resume = true}});
    EXPECT_EQ(fit(alone)->to_record().sha256(), whole);
  }
  world_.comm().barrier();
}

INSTANTIATE_TEST_SUITE_P(Registry, Resume, testing::ValuesIn(learners()),
                         [](const auto& entry) { return std::string(entry.param.name); });

}  // namespace
}  // namespace firesteel
