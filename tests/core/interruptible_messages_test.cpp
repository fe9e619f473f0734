// SPDX-License-Identifier: Apache-2.0
// The operations of a communicator whose ranks may die, against MPI's own. That a death interrupts them is
// tested with an MPI that survives one: tests/faults/shrinking.py.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <numeric>
#include <vector>

#include "firesteel/core/communicator.hpp"
#include "firesteel/core/context.hpp"

namespace firesteel {
namespace {

/// Nothing, little, and around the length of a piece (64 KiB) and of all buffers together, in 64-bit words.
constexpr std::array<std::size_t, 6> kLengths{0, 1, 8191, 8192, 8193, 70000};

struct Both {
  Context context;
  Communicator plain{MPI_COMM_WORLD};
  Communicator guarded{MPI_COMM_WORLD, Index{1} << 30, Communicator::RankLoss::interrupts};
  int rank = plain.rank();
  int size = plain.size();

  std::vector<std::int64_t> values(std::size_t length, int salt = 0) const {
    std::vector<std::int64_t> made(length);
    for (std::size_t i = 0; i < length; ++i)
      made[i] = static_cast<std::int64_t>(i * 2654435761u % 1000003) + rank + salt;
    return made;
  }
};

TEST(InterruptibleMessages, broadcast_is_the_roots) {
  Both both;
  for (const int root : {0, both.size - 1})
    for (const std::size_t length : kLengths) {
      auto expected = both.values(length);
      auto got = expected;
      both.plain.broadcast(std::span(expected), root);
      both.guarded.broadcast(std::span(got), root);
      EXPECT_EQ(got, expected) << "length " << length << ", root " << root;
    }
}

TEST(InterruptibleMessages, reductions_are_those_of_mpi) {
  Both both;
  for (const std::size_t length : kLengths) {
    auto expected = both.values(length);
    auto got = expected;
    both.plain.allreduce_sum(expected);
    both.guarded.allreduce_sum(got);
    EXPECT_EQ(got, expected) << "sum of " << length;
    expected = got = both.values(length, 3);
    both.plain.allreduce_max(expected);
    both.guarded.allreduce_max(got);
    EXPECT_EQ(got, expected) << "max of " << length;
    std::vector<double> smallest(length, -0.5 * both.rank);
    both.guarded.allreduce_min(smallest);
    EXPECT_EQ(smallest, std::vector<double>(length, -0.5 * (both.size - 1))) << "min of " << length;
  }
  EXPECT_EQ(both.guarded.exclusive_scan(both.rank + 1), both.rank * (both.rank + 1) / 2);
  both.guarded.barrier();
}

TEST(InterruptibleMessages, gathers_keep_the_order_of_ranks) {
  Both both;
  for (const std::size_t length : kLengths) {
    const auto mine = both.values(length / 4 * static_cast<std::size_t>(both.rank + 1));
    const std::span<const std::int64_t> span(mine);
    EXPECT_EQ(both.guarded.allgatherv(span), both.plain.allgatherv(span)) << length;
    for (const int root : {0, both.size - 1})
      EXPECT_EQ(both.guarded.gatherv(span, root), both.plain.gatherv(span, root)) << length;
  }
}

TEST(InterruptibleMessages, alltoallv_delivers_to_each) {
  Both both;
  for (const std::size_t length : kLengths) {
    std::vector<Index> counts;
    for (int to = 0; to < both.size; ++to)
      counts.push_back((both.rank + to) % 3 == 0 ? 0 : static_cast<Index>(length) + to);
    const auto mine =
        both.values(static_cast<std::size_t>(std::accumulate(counts.begin(), counts.end(), Index{0})));
    std::vector<Index> from_each;
    std::vector<Index> expected_from_each;
    const auto expected =
        both.plain.alltoallv(std::span<const std::int64_t>(mine), counts, &expected_from_each);
    EXPECT_EQ(both.guarded.alltoallv(std::span<const std::int64_t>(mine), counts, &from_each), expected)
        << length;
    EXPECT_EQ(from_each, expected_from_each);
    std::vector<std::int64_t> into(expected.size());
    const auto plan = both.guarded.plan_alltoallv<std::int64_t>(static_cast<Index>(mine.size()), counts);
    both.guarded.alltoallv(std::span<const std::int64_t>(mine), plan, std::span(into));
    EXPECT_EQ(into, expected);
  }
}

TEST(InterruptibleMessages, messages_may_be_shorter_than_the_room_for_them) {
  Both both;
  for (const std::size_t length : kLengths) {
    const auto mine = both.values(length);
    std::vector<std::int64_t> room(length + 5, -1);
    // A message of more than 8 pieces waits for its receiver, so only one rank sends at a time.
    for (int from = 0; both.size > 1 && from < 2; ++from) {
      const int to = (from + 1) % both.size;
      if (both.rank == from) both.guarded.send(std::as_bytes(std::span(mine)), to, 5);
      if (both.rank != to) continue;
      EXPECT_EQ(both.guarded.receive(std::as_writable_bytes(std::span(room)), from, 5), length * 8);
      auto expected = mine;
      for (auto& value : expected) value += from - both.rank;
      EXPECT_TRUE(std::equal(expected.begin(), expected.end(), room.begin())) << length;
    }
  }
}

TEST(InterruptibleMessages, errors_are_agreed_on) {
  Both both;
  try {
    both.guarded.collectively([&] {
      if (both.rank == both.size - 1) throw bad_input("no", {3, 4});
    });
    ADD_FAILURE() << "did not throw";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "no");
    EXPECT_TRUE(error.agreed());
  }
}

}  // namespace
}  // namespace firesteel
