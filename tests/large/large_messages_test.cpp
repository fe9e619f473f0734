// SPDX-License-Identifier: Apache-2.0
// Messages of more than 2³² bytes really sent between two ranks: no count or offset is cut to 32 bits.
#include <gtest/gtest.h>

#include <span>
#include <vector>

#include "firesteel/core/context.hpp"
#include "firesteel/core/memory.hpp"

namespace firesteel {
namespace {

/// 4.25 GiB of 8-byte values, and three more, so that no piece is whole.
constexpr std::size_t kCount = (std::size_t{17} << 25) + 3;
static_assert(kCount * sizeof(std::int64_t) > (std::size_t{1} << 32) + (std::size_t{1} << 27));

/// The i-th value of a rank: differs wherever an offset is wrong by anything but a multiple of a prime.
std::int64_t value_of(std::size_t i, int rank) {
  return static_cast<std::int64_t>(i % 1'000'003) * (rank + 1) + (rank + 7);
}

std::vector<std::int64_t> values_of(int rank, std::size_t count) {
  std::vector<std::int64_t> values(count);
  for (std::size_t i = 0; i < count; ++i) values[i] = value_of(i, rank);
  return values;
}

/// Positions at which `values` are not those of `rank`.
std::size_t wrong(std::span<const std::int64_t> values, int rank) {
  std::size_t count = 0;
  for (std::size_t i = 0; i < values.size(); ++i) count += values[i] != value_of(i, rank) ? 1 : 0;
  return count;
}

class LargeMessages : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(comm().size(), 2);
    ASSERT_GE(context_.comm().broadcast_value(available_memory(), 0), Index{12} << 30) << "too little memory";
  }
  Communicator& comm() { return context_.comm(); }
  int rank() { return comm().rank(); }

  Context context_{{.threads = 1}};
};

TEST_F(LargeMessages, broadcast) {
  std::vector<std::int64_t> values = rank() == 1 ? values_of(1, kCount) : std::vector<std::int64_t>(kCount);
  comm().broadcast(std::span(values), 1);
  EXPECT_EQ(wrong(values, 1), 0U);
}

TEST_F(LargeMessages, allreduce) {
  auto values = values_of(rank(), kCount);
  comm().allreduce_sum(values);
  std::size_t wrong_sums = 0;
  for (std::size_t i = 0; i < kCount; ++i) wrong_sums += values[i] != value_of(i, 0) + value_of(i, 1) ? 1 : 0;
  EXPECT_EQ(wrong_sums, 0U);
}

TEST_F(LargeMessages, alltoallv) {
  const Index many = static_cast<Index>(kCount);
  const std::vector<Index> counts = rank() == 0 ? std::vector<Index>{2, many} : std::vector<Index>{5, 1};
  const auto total = static_cast<std::size_t>(counts[0] + counts[1]);
  std::vector<Index> received_counts;
  std::vector<std::int64_t> received;
  {
    const auto values = values_of(rank(), total);
    received = comm().alltoallv(std::span<const std::int64_t>(values), counts, &received_counts);
  }
  EXPECT_EQ(received_counts, (rank() == 0 ? std::vector<Index>{2, 5} : std::vector<Index>{many, 1}));
  ASSERT_EQ(received.size(), rank() == 0 ? 7U : kCount + 1);
  if (rank() == 0) {
    EXPECT_EQ(wrong(std::span(received).first(2), 0), 0U);
    EXPECT_EQ(wrong(std::span(received).last(5), 1), 0U);
    return;
  }
  std::size_t wrong_values = received.back() != value_of(5, 1) ? 1 : 0;
  for (std::size_t i = 0; i < kCount; ++i) wrong_values += received[i] != value_of(i + 2, 0) ? 1 : 0;
  EXPECT_EQ(wrong_values, 0U);
}

TEST_F(LargeMessages, gatherv) {
  std::vector<std::int64_t> received;
  {
    const auto values = values_of(rank(), rank() == 1 ? kCount : 11);
    received = comm().gatherv(std::span<const std::int64_t>(values), 0);
  }
  ASSERT_EQ(received.size(), rank() == 0 ? kCount + 11 : 0);
  if (rank() != 0) return;
  EXPECT_EQ(wrong(std::span(received).first(11), 0), 0U);
  EXPECT_EQ(wrong(std::span(received).subspan(11), 1), 0U);
}

TEST_F(LargeMessages, send_and_receive) {
  std::vector<std::int64_t> values = rank() == 0 ? values_of(0, kCount) : std::vector<std::int64_t>(kCount);
  if (rank() == 0) {
    comm().send(std::as_bytes(std::span(values)), 1, 3);
    return;
  }
  EXPECT_EQ(comm().receive(std::as_writable_bytes(std::span(values)), 0, 3), kCount * sizeof(std::int64_t));
  EXPECT_EQ(wrong(values, 0), 0U);
}

}  // namespace
}  // namespace firesteel
