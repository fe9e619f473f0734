// SPDX-License-Identifier: Apache-2.0
#include "firesteel/core/node_sum.hpp"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstring>
#include <string>

#include "firesteel/core/canonical_sum.hpp"
#include "firesteel/core/context.hpp"
#include "firesteel/core/philox.hpp"

namespace firesteel {
namespace {

constexpr Index kLength = NodeSum::kLeastLength + 13;  // no whole cache line, piece or page

/// Values of very different sizes, so that another order of summation gives other bits.
void block_values(Index block, std::span<double> out) {
  for (std::size_t j = 0; j < out.size(); ++j) {
    const double u = philox_uniform(1, j, static_cast<std::uint64_t>(block)) - 0.5;
    out[j] = block % 3 == 0 ? u * 1e9 : u;
  }
}

/// The definition: the tree by recursion on one thread.
std::vector<double> reference(Index first, Index end, int level, std::size_t length) {
  std::vector<double> sum(length);
  if (end - first == 1) {
    block_values(first, sum);
    return sum;
  }
  const Index middle = first + (Index{1} << (level - 1));
  if (middle >= end) return reference(first, end, level - 1, length);
  sum = reference(first, middle, level - 1, length);
  const auto right = reference(middle, end, level - 1, length);
  for (std::size_t j = 0; j < sum.size(); ++j) sum[j] += right[j];
  return sum;
}

std::vector<double> reference(Index blocks, std::size_t length) {
  int levels = 0;
  while ((Index{1} << levels) < blocks) ++levels;
  return reference(0, blocks, levels, length);
}

/// Even, all to the last, all to the first, ragged with empty ranks.
std::vector<BlockPartition> partitions(Index blocks, int ranks) {
  const Index rows = blocks * kTileRows - 3;
  std::vector<BlockPartition> all{BlockPartition::even(rows, kTileRows, ranks)};
  std::vector<Index> cuts(static_cast<std::size_t>(ranks) + 1, 0);
  cuts.back() = blocks;
  all.emplace_back(rows, kTileRows, cuts);
  for (int rank = 1; rank < ranks; ++rank)
    cuts[static_cast<std::size_t>(rank)] = static_cast<Index>(
        philox_bits(static_cast<std::uint64_t>(blocks), 9, static_cast<std::uint64_t>(rank)) %
        static_cast<std::uint64_t>(blocks + 1));
  std::sort(cuts.begin(), cuts.end());
  all.emplace_back(rows, kTileRows, cuts);
  std::fill(cuts.begin(), cuts.end(), blocks);
  cuts.front() = 0;
  all.emplace_back(rows, kTileRows, cuts);
  return all;
}

Traffic traffic_of(const Context& context, std::string_view name) {
  const auto& all = context.comm().traffic();
  const auto found = all.find(name);
  return found == all.end() ? Traffic{} : found->second;
}

testing::AssertionResult same_bytes(std::span<const double> a, std::span<const double> b) {
  if (a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size_bytes()) == 0)
    return testing::AssertionSuccess();
  return testing::AssertionFailure() << "other bytes";
}

/// Lowers a limit of this process for as long as it lives.
class Lowered {
 public:
  Lowered(int resource, rlim_t limit) : resource_(static_cast<__rlimit_resource_t>(resource)) {
    getrlimit(resource_, &before_);
    const struct rlimit lower { limit, before_.rlim_max };
    setrlimit(resource_, &lower);
  }
  Lowered(const Lowered&) = delete;
  Lowered& operator=(const Lowered&) = delete;
  ~Lowered() { setrlimit(resource_, &before_); }

 private:
  __rlimit_resource_t resource_;
  struct rlimit before_ {};
};

TEST(NodeSum, long_vectors_equal_the_recursive_tree_for_any_dealing_and_threads) {
  const Context context;
  for (const Index blocks : {1, 2, 5, 21}) {
    const auto expected = reference(blocks, kLength);
    for (const auto& partition : partitions(blocks, context.size()))
      for (const int threads : {1, 3}) {
        CanonicalSum sum(context.comm(), partition, kLength, threads);
        for (int repeat = 0; repeat < 3; ++repeat)
          EXPECT_TRUE(same_bytes(sum(block_values), expected))
              << blocks << " blocks, " << threads << " threads";
      }
  }
  EXPECT_EQ(traffic_of(context, "send").calls, 0);
  EXPECT_EQ(traffic_of(context, "node_sum").calls > 0, context.size() > 1);
}

/// Totals of 8 MiB and more are written past the caches.
TEST(NodeSum, very_long_vectors_too) {
  const Context context;
  const Index length = (Index{1} << 20) + 5;
  const auto partition = BlockPartition::even(3 * kTileRows, kTileRows, context.size());
  for (const int threads : {1, 3}) {
    CanonicalSum sum(context.comm(), partition, length, threads);
    // 1e16 + (-1e16 + small) differs from (1e16 - 1e16) + small: the tree adds the first two blocks first.
    const auto total = sum([](Index block, std::span<double> out) {
      for (std::size_t j = 0; j < out.size(); ++j)
        out[j] = block == 0 ? 1e16 : block == 1 ? -1e16 : 0.25 + static_cast<double>(j);
    });
    Index wrong = 0;
    for (std::size_t j = 0; j < total.size(); ++j) wrong += total[j] != 0.25 + static_cast<double>(j);
    EXPECT_EQ(wrong, 0);
  }
}

/// A rank reads what others wrote while they may already write the next: the total stays until the call.
TEST(NodeSum, a_total_stays_while_others_go_ahead) {
  const Context context;
  const int ranks = context.size();
  const auto partition = BlockPartition::even(64 * kTileRows, kTileRows, ranks);
  CanonicalSum sum(context.comm(), partition, kLength, 1);
  for (int round = 0; round < 20; ++round) {
    const auto total =
        sum([&](Index, std::span<double> out) { std::fill(out.begin(), out.end(), round + 1.0); });
    if (round % ranks == context.rank()) {  // this rank dawdles
      volatile double sink = 0;
      for (int i = 0; i < 300000; ++i) sink = sink + 1;
    }
    EXPECT_EQ(std::count(total.begin(), total.end(), 64.0 * (round + 1)), kLength) << round;
  }
}

TEST(NodeSum, one_failing_block_is_the_same_error_on_every_rank) {
  const Context context;
  const auto partition = BlockPartition::even(7 * kTileRows, kTileRows, context.size());
  CanonicalSum sum(context.comm(), partition, kLength, 2);
  const auto expected = reference(7, kLength);
  for (const Index bad : {0, 3, 6}) {
    try {
      sum([&](Index block, std::span<double> out) {
        if (block == bad) throw bad_input("block " + std::to_string(block) + " is bad", {0, block});
        block_values(block, out);
      });
      ADD_FAILURE() << "did not throw";
    } catch (const Error& error) {
      EXPECT_EQ(error.what(), "block " + std::to_string(bad) + " is bad");
      EXPECT_TRUE(error.agreed());
    }
    EXPECT_TRUE(same_bytes(sum(block_values), expected));  // and the next call works
  }
}

/// 2 (P − 1) / P of a vector, as of any sum of which no rank holds more than its share, and no message.
TEST(NodeSum, counts_what_others_take) {
  const Context context;
  const Index ranks = context.size();
  if (ranks == 1 || (ranks & (ranks - 1)) != 0) return;  // cuts align at powers of two only
  const Index length = NodeSum::kLeastLength * ranks;
  const auto partition = BlockPartition::even(1000 * kTileRows, kTileRows, context.size());
  CanonicalSum sum(context.comm(), partition, length, 1);
  sum([](Index, std::span<double> out) { std::fill(out.begin(), out.end(), 1.0); });
  const auto cost = traffic_of(context, "node_sum");
  EXPECT_EQ(cost.calls, 1);
  EXPECT_EQ(cost.messages, 0);
  EXPECT_EQ(cost.bytes_sent, 2 * (ranks - 1) * length / ranks * 8);
  EXPECT_EQ(traffic_of(context, "send").bytes_sent, 0);
}

TEST(NodeSum, without_shared_memory_the_bytes_are_the_same) {
  const Context context;
  if (context.size() == 1) return;
  const auto partition = BlockPartition::even(7 * kTileRows, kTileRows, context.size());
  const auto expected = reference(7, kLength);
  const auto add_up = [&] {
    CanonicalSum sum(context.comm(), partition, kLength, 2);
    EXPECT_TRUE(same_bytes(sum(block_values), expected));
  };
  {
    // The maker may not make so long a file.
    const Lowered limit(RLIMIT_FSIZE, context.rank() == 0 ? 4096 : RLIM_INFINITY);
    add_up();
  }
  {
    // One of the others may not open another file; communication itself needs none any more.
    rlimit before{};
    getrlimit(RLIMIT_NOFILE, &before);
    const Lowered limit(RLIMIT_NOFILE, context.rank() == context.size() - 1 ? 3 : before.rlim_cur);
    add_up();
  }
  EXPECT_EQ(traffic_of(context, "node_sum").calls, 0);
  EXPECT_GT(traffic_of(context, context.rank() == 0 ? "broadcast" : "send").messages, 0);
  add_up();
  EXPECT_EQ(traffic_of(context, "node_sum").calls, 1);
}

TEST(NodeMemory, what_a_rank_writes_the_others_read) {
  const Context context;
  Communicator& comm = context.comm();
  const auto own = (comm.rank() + 1) * Index{3'000'000};  // the second part and later ones on huge pages
  const auto memory = NodeMemory::make(comm, own, 5'000);
  ASSERT_EQ(memory != nullptr, comm.size() > 1);
  if (!memory) return;
  const auto last = [](int rank) { return (rank + 1) * std::size_t{3'000'000} - 1; };
  for (int rank = 0; rank < comm.size(); ++rank) EXPECT_EQ(memory->of(rank)[last(rank)], std::byte{0});
  comm.barrier();
  memory->of(comm.rank())[last(comm.rank())] = static_cast<std::byte>(comm.rank() + 1);
  memory->common()[4999 - comm.rank()] = static_cast<std::byte>(comm.rank() + 101);
  comm.barrier();
  for (int rank = 0; rank < comm.size(); ++rank) {
    EXPECT_EQ(memory->of(rank)[last(rank)], static_cast<std::byte>(rank + 1));
    EXPECT_EQ(memory->common()[4999 - rank], static_cast<std::byte>(rank + 101));
  }
}

}  // namespace
}  // namespace firesteel
