// SPDX-License-Identifier: Apache-2.0
#include "firesteel/io/near_blocks.hpp"

#include <gtest/gtest.h>

#include <cstdlib>

#include "firesteel/core/error.hpp"

using namespace firesteel;

TEST(NearBlocks, numbers_are_those_that_were_asked_for) {
  const Context context;
  const int number = context.size() - 1 - context.rank();
  const Context turned = context.renumbered(number);
  EXPECT_EQ(turned.rank(), number);
  EXPECT_EQ(turned.size(), context.size());
  EXPECT_EQ(turned.threads(), context.threads());
  const auto before = turned.comm().allgather(context.rank());
  for (int rank = 0; rank < turned.size(); ++rank)
    EXPECT_EQ(before[static_cast<std::size_t>(rank)], context.size() - 1 - rank);
}

TEST(NearBlocks, ranks_stay_without_blocks) {
  ::setenv("FIRESTEEL_HOST", ("host" + std::to_string(Context().rank())).c_str(), 1);
  const Context context;
  for (const char* input : {"a.csv", "/absent/*.csv", "https://host.invalid/a.csv"})
    EXPECT_EQ(&near_blocks(context, {input}).comm(), &context.comm()) << input;
  ::unsetenv("FIRESTEEL_HOST");
}

TEST(NearBlocks, a_store_that_does_not_answer_is_told_of_at_once) {
  const Context context;
  if (context.size() == 1) GTEST_SKIP() << "one rank asks nobody";
  ::setenv("FIRESTEEL_HOST", ("host" + std::to_string(context.rank())).c_str(), 1);
  ::setenv("FIRESTEEL_STORE_ATTEMPTS", "1", 1);
  ::setenv("no_proxy", "*", 1);
  try {
    near_blocks(context, {"hdfs://127.0.0.1:9/a.csv"});
    ADD_FAILURE() << "expected an error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::unavailable) << error.what();
  }
  ::unsetenv("FIRESTEEL_HOST");
}

TEST(NearBlocks, numbers_stay_where_ranks_may_be_lost) {
  const Context context(ContextOptions{.rank_loss = Communicator::RankLoss::interrupts});
  EXPECT_THROW(context.renumbered(context.rank()), Error);
}

TEST(NearBlocks, one_host_asks_nobody) {
  const Context context;
  // Nobody answers there: a request would end with 69.
  EXPECT_EQ(&near_blocks(context, {"hdfs://127.0.0.1:9/a.csv"}).comm(), &context.comm());
}
