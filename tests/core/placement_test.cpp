// SPDX-License-Identifier: Apache-2.0
#include "firesteel/core/placement.hpp"

#include <gtest/gtest.h>

#include "firesteel/core/context.hpp"

namespace firesteel {
namespace {

TEST(Placement, of_this_job_adds_up) {
  const Context context({.threads = 3, .monitor = nullptr});
  const auto& placement = context.placement();
  EXPECT_EQ(placement.ranks, context.size());
  EXPECT_EQ(placement.threads, 3);
  EXPECT_EQ(placement.total_threads, 3 * context.size());
  EXPECT_EQ(placement.nodes, 1);
  EXPECT_EQ(placement.node_threads, placement.total_threads);
  EXPECT_GE(placement.node_cpus, placement.allowed_cpus);
  EXPECT_GE(placement.allowed_cpus, 1);
}

TEST(Placement, by_itself_never_takes_more_threads_than_cpus) {
  const Context context;
  EXPECT_GE(context.threads(), 1);
  EXPECT_LE(context.threads(), context.placement().allowed_cpus);
}

TEST(Placement, is_said_in_one_line) {
  Placement placement{.ranks = 2, .threads = 1, .total_threads = 2, .node_cpus = 2, .node_threads = 2};
  EXPECT_EQ(placement.describe(), "2 ranks x 1 thread on 2 CPUs");
  placement.nodes = 2;
  EXPECT_EQ(placement.describe(), "2 ranks x 1 thread on 2 CPUs a node, 2 nodes");
}

TEST(Placement, warns_where_cores_idle_or_are_shared) {
  const Placement shared{.ranks = 4, .threads = 2, .total_threads = 8, .node_cpus = 2, .node_threads = 8};
  EXPECT_NE(shared.warning().find("8 threads share 2 CPUs: oversubscribed"), std::string::npos);
  EXPECT_TRUE(shared.warning().ends_with("; use fewer ranks or --threads 1")) << shared.warning();
  const Placement crowded{.ranks = 4, .threads = 1, .total_threads = 4, .node_cpus = 2, .node_threads = 4};
  EXPECT_TRUE(crowded.warning().ends_with("; use fewer ranks")) << crowded.warning();
  const Placement idle{.ranks = 1, .threads = 1, .total_threads = 1, .node_cpus = 3, .node_threads = 1};
  EXPECT_NE(idle.warning().find("2 CPUs idle"), std::string::npos);
}

}  // namespace
}  // namespace firesteel
