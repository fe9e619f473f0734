// SPDX-License-Identifier: Apache-2.0
#include "firesteel/core/stall.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <optional>
#include <thread>
#include <vector>

#include "firesteel/core/background_thread.hpp"
#include "firesteel/core/context.hpp"
#include "firesteel/core/dataset.hpp"

namespace firesteel {
namespace {

constexpr double kStall_s = 10;
constexpr double kInterval_s = 1;

PeerAge waiting(int rank, Index ticks = 7) {
  return {.rank = rank, .host = "h", .operation = "agree", .ticks = ticks};
}
PeerAge busy(int rank, Index ticks = 7) { return {.rank = rank, .host = "h", .ticks = ticks}; }
PeerAge silent(PeerAge age) {
  age.heard_s = 9;
  return age;
}
PeerAge ended(PeerAge age) {
  age.ended = true;
  return age;
}

std::vector<int> ranks_of(const std::vector<PeerAge>& ages) {
  std::vector<int> ranks;
  for (const auto& age : ages) ranks.push_back(age.rank);
  return ranks;
}
using Ranks = std::vector<int>;

/// Looks once a second, `looks` times from `start` on, at ranks that do not move; what the last look found.
std::optional<Stall> look_on(StallFinder& finder, const std::vector<PeerAge>& ages, int looks,
                             double start = 100) {
  std::optional<Stall> stall;
  for (int i = 0; i < looks; ++i) stall = finder.look(ages, start + i);
  return stall;
}

TEST(StallFinder, names_the_rank_that_is_in_no_operation) {
  StallFinder finder(kStall_s, kInterval_s, true);
  const std::vector<PeerAge> ages{waiting(0), busy(1), waiting(2)};
  EXPECT_FALSE(look_on(finder, ages, 10));
  const auto stall = finder.look(ages, 110);
  ASSERT_TRUE(stall);
  EXPECT_EQ(ranks_of(stall->waiting), (Ranks{0, 2}));
  EXPECT_EQ(ranks_of(stall->busy), Ranks{1});
  EXPECT_TRUE(stall->silent.empty());
  EXPECT_DOUBLE_EQ(stall->seconds, 10);
  EXPECT_FALSE(finder.moved());
}

TEST(StallFinder, names_the_silent_rank_whatever_it_did_last) {
  StallFinder finder(kStall_s, kInterval_s, true);
  const auto stall = look_on(finder, {waiting(0), silent(waiting(1)), silent(busy(2))}, 20);
  ASSERT_TRUE(stall);
  EXPECT_EQ(ranks_of(stall->waiting), Ranks{0});
  EXPECT_EQ(ranks_of(stall->silent), (Ranks{1, 2}));
}

TEST(StallFinder, blames_nobody_where_every_rank_is_in_an_operation) {
  StallFinder finder(kStall_s, kInterval_s, true);
  const auto stall = look_on(finder, {waiting(0), waiting(1)}, 20);
  ASSERT_TRUE(stall);
  EXPECT_TRUE(stall->silent.empty() && stall->busy.empty());
}

TEST(StallFinder, a_job_in_which_every_rank_computes_is_no_stall) {
  StallFinder finder(kStall_s, kInterval_s, true);
  EXPECT_FALSE(look_on(finder, {busy(0), busy(1), silent(busy(2))}, 1000));
}

TEST(StallFinder, one_rank_that_moves_is_enough) {
  StallFinder finder(kStall_s, kInterval_s, true);
  for (int i = 0; i < 100; ++i) {
    EXPECT_FALSE(finder.look(std::vector{waiting(0), busy(1), busy(2, i / 5)}, i));
    EXPECT_EQ(finder.moved(), i % 5 == 0);
  }
}

TEST(StallFinder, is_over_when_a_rank_moves_and_begins_anew) {
  StallFinder finder(kStall_s, kInterval_s, true);
  ASSERT_TRUE(look_on(finder, {waiting(0), busy(1)}, 20));
  EXPECT_FALSE(finder.look(std::vector{waiting(0, 8), busy(1, 8)}, 120));
  EXPECT_TRUE(finder.moved());
  EXPECT_FALSE(look_on(finder, {waiting(0, 8), busy(1, 8)}, 9, 121));
  EXPECT_TRUE(look_on(finder, {waiting(0, 8), busy(1, 8)}, 2, 130));
}

TEST(StallFinder, time_in_which_it_did_not_look_does_not_count) {
  StallFinder finder(kStall_s, kInterval_s, true);
  const std::vector<PeerAge> ages{waiting(0), silent(busy(1))};
  look_on(finder, ages, 2);
  EXPECT_FALSE(finder.look(ages, 1e6));  // the job was suspended
  EXPECT_FALSE(finder.look(ages, 2e6));
}

TEST(StallFinder, ranks_that_have_ended_neither_wait_nor_are_waited_for) {
  StallFinder finder(kStall_s, kInterval_s, true);
  EXPECT_FALSE(look_on(finder, {busy(0), ended(waiting(1))}, 20));
  const auto stall = look_on(finder, {waiting(0), ended(busy(1)), busy(2)}, 20, 200);
  ASSERT_TRUE(stall);
  EXPECT_EQ(ranks_of(stall->busy), Ranks{2});
}

TEST(StallFinder, another_rank_than_zero_speaks_only_of_zeros_silence) {
  StallFinder finder(kStall_s, kInterval_s, false);
  EXPECT_FALSE(look_on(finder, {busy(0), waiting(1)}, 100));
  const auto stall = look_on(finder, {silent(busy(0)), waiting(1)}, 20, 200);
  ASSERT_TRUE(stall);
  EXPECT_EQ(ranks_of(stall->silent), Ranks{0});
}

/// A rank that is long in a map while the others have done theirs and wait for its sum.
TEST(StallFinder, finds_a_rank_in_a_long_map) {
  constexpr double kBeat_s = 0.05;
  const Context context(MPI_COMM_WORLD, {.watchdog = {.beat_s = kBeat_s}});
  Communicator& comm = context.comm();
  if (comm.size() == 1) return;
  ASSERT_EQ(context.watchdog()->problem(), "");
  const int slow = comm.size() - 1;
  std::atomic<bool> found{false};
  StallFinder finder(1, kBeat_s, comm.rank() == 0);
  std::optional<PeriodicThread> looks;
  if (comm.rank() == 0)
    looks.emplace(std::chrono::duration<double>(kBeat_s), [&] {
      const double now =
          std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
      if (const auto stall = finder.look(context.watchdog()->ages(), now)) {
        EXPECT_EQ(ranks_of(stall->busy), Ranks{slow});
        EXPECT_EQ(stall->waiting.size(), static_cast<std::size_t>(slow));
        EXPECT_TRUE(stall->silent.empty());
        comm.activity().iteration = 1;
      }
    });
  std::atomic<bool> slept{false};
  const auto numbers = Dataset<Index>::range(context, 10000);
  const Index sum = numbers
                        .map([&](Index number) {
                          if (comm.rank() == slow && !slept.exchange(true))
                            for (int i = 0; i < 1500 && !found; ++i) {
                              std::this_thread::sleep_for(std::chrono::milliseconds(20));
                              found = context.watchdog()->ages().front().iteration == 1;
                            }
                          return number;
                        })
                        .reduce(Index{0}, [](Index a, Index b) { return a + b; });
  EXPECT_EQ(sum, 9999 * 10000 / 2);
  if (comm.rank() == slow) {
    EXPECT_TRUE(found) << "rank 0 did not see for whom it waits";
  }
  looks.reset();
}

}  // namespace
}  // namespace firesteel
