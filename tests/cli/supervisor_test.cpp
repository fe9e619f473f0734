// SPDX-License-Identifier: Apache-2.0
// The rules of restarting: which codes, how long to wait, on how many ranks.
#include "firesteel/cli/supervisor.hpp"

#include <gtest/gtest.h>

#include <cstdlib>

namespace firesteel::cli {
namespace {

TEST(Supervisor, deaths_and_passing_troubles_are_worth_another_try) {
  for (const int code : {1, 69, 70, 74, 134, 135, 137, 139, 143}) EXPECT_TRUE(worth_restarting(code)) << code;
  for (const int code : {0, 64, 65, 66, 71, 73, 75, 130}) EXPECT_FALSE(worth_restarting(code)) << code;
}

TEST(Supervisor, pauses_double_up_to_a_minute) {
  EXPECT_EQ(pause_before_restart(1, 1), 1);
  EXPECT_EQ(pause_before_restart(1, 2), 2);
  EXPECT_EQ(pause_before_restart(1, 6), 32);
  EXPECT_EQ(pause_before_restart(1, 7), 60);
  EXPECT_EQ(pause_before_restart(1, 1000000), 60);
  EXPECT_EQ(pause_before_restart(0, 5), 0);
  EXPECT_EQ(pause_before_restart(90, 3), 90);  // what was asked for is never shortened
}

TEST(Supervisor, ranks_of_one_machine_are_bounded_generously) {
  EXPECT_EQ(most_ranks_here(1), 256);
  EXPECT_EQ(most_ranks_here(4), 256);
  EXPECT_EQ(most_ranks_here(96), 6144);
  unsetenv("SLURM_JOB_ID");
  unsetenv("OMPI_MCA_orte_default_hostfile");
  EXPECT_FALSE(hosts_are_given());
  setenv("OMPI_MCA_orte_default_hostfile", "hosts", 1);
  EXPECT_TRUE(hosts_are_given());
  unsetenv("OMPI_MCA_orte_default_hostfile");
  setenv("SLURM_JOB_ID", "7", 1);
  EXPECT_TRUE(hosts_are_given());
  unsetenv("SLURM_JOB_ID");
}

TEST(Supervisor, ranks_follow_the_cpus_and_halve_when_nothing_moves) {
  EXPECT_EQ(ranks_to_be_had(8, 16, 16, 1), 8);
  EXPECT_EQ(ranks_to_be_had(8, 16, 32, 1), 8);  // never more than asked for
  EXPECT_EQ(ranks_to_be_had(8, 16, 8, 1), 4);
  EXPECT_EQ(ranks_to_be_had(8, 16, 15, 1), 7);
  EXPECT_EQ(ranks_to_be_had(8, 16, 1, 1), 1);
  EXPECT_EQ(ranks_to_be_had(8, 16, 16, 2), 4);
  EXPECT_EQ(ranks_to_be_had(8, 16, 16, 3), 4);
  EXPECT_EQ(ranks_to_be_had(8, 16, 16, 4), 2);
  EXPECT_EQ(ranks_to_be_had(8, 16, 8, 100), 1);
}

}  // namespace
}  // namespace firesteel::cli
