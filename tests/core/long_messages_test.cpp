// SPDX-License-Identifier: Apache-2.0
#include "firesteel/core/long_messages.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "firesteel/core/context.hpp"

namespace firesteel {
namespace {

TEST(LongMessages, a_chain_from_every_root) {
  const Context context;
  Communicator& comm = context.comm();
  for (int root = 0; root < comm.size(); ++root)
    for (const std::size_t length : {0, 1, 999, 32768, 32769, 1000003})
      for (const std::size_t most : {std::size_t{8192}, std::size_t{1} << 30}) {
        const auto value = [&](std::size_t i) {
          return static_cast<std::byte>(i * 7 + i / 251 + static_cast<unsigned>(root));
        };
        std::vector<std::byte> expected(length);
        for (std::size_t i = 0; i < length; ++i) expected[i] = value(i);
        std::vector<std::byte> bytes(length);
        if (comm.rank() == root) bytes = expected;
        std::size_t messages = 0;
        const auto sent = detail::chain_broadcast(comm.native(), bytes, root, most, messages);
        EXPECT_TRUE(bytes == expected) << root << ' ' << length << ' ' << most;
        const bool last = (root + comm.size() - 1) % comm.size() == comm.rank();
        EXPECT_EQ(sent, last ? 0 : length);
        EXPECT_GE(messages * most, sent);
        EXPECT_EQ(messages == 0, sent == 0);
      }
}

TEST(LongMessages, a_ring_sums_vectors_of_any_length) {
  const Context context;
  Communicator& comm = context.comm();
  const int ranks = comm.size();
  for (const std::size_t length : {0, 1, 2, 3, 5, 1000, 100001}) {
    std::vector<std::int64_t> values(length);
    for (std::size_t i = 0; i < length; ++i)
      values[i] = static_cast<std::int64_t>(i) * (comm.rank() + 1) + (std::int64_t{1} << 40);
    const auto bytes = std::as_writable_bytes(std::span(values));
    std::vector<std::byte> scratch(detail::ring_scratch_bytes(bytes.size(), 8, ranks));
    std::size_t messages = 0;
    const auto sent = static_cast<Index>(
        detail::ring_allreduce(comm.native(), bytes, 8, MPI_INT64_T, MPI_SUM, scratch, messages));
    for (std::size_t i = 0; i < length; ++i)
      ASSERT_EQ(values[i],
                static_cast<std::int64_t>(i) * ranks * (ranks + 1) / 2 + (std::int64_t{ranks} << 40))
          << i << " of " << length;
    EXPECT_EQ(messages, static_cast<std::size_t>(2 * (ranks - 1)));
    EXPECT_EQ(comm.sum(sent), static_cast<Index>(16 * length) * (ranks - 1));
  }
}

TEST(LongMessages, the_communicator_uses_the_ring_from_8_MiB_a_rank) {
  const Context context;
  Communicator& comm = context.comm();
  if (comm.size() != 2 || comm.node_size() != comm.size()) return;
  const std::size_t count = std::size_t{2} << 20;
  std::vector<std::int64_t> values(count, comm.rank() + 1);
  values.back() = 10 * comm.rank();
  comm.allreduce_sum(values);
  EXPECT_EQ(std::count(values.begin(), values.end() - 1, 3), static_cast<std::ptrdiff_t>(count - 1));
  EXPECT_EQ(values.back(), 10);
  EXPECT_EQ(comm.traffic().at("allreduce_sum").messages, 2);
  EXPECT_EQ(comm.traffic().at("allreduce_sum").bytes_sent, static_cast<Index>(8 * count));
  std::vector<double> most(count, -1.5 - comm.rank());
  comm.allreduce_max(most);
  EXPECT_EQ(std::count(most.begin(), most.end(), -1.5), static_cast<std::ptrdiff_t>(count));
}

}  // namespace
}  // namespace firesteel
