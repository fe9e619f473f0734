// SPDX-License-Identifier: Apache-2.0
#include "firesteel/core/canonical_sum.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <string>

#include "firesteel/core/context.hpp"
#include "firesteel/core/philox.hpp"

namespace firesteel {
namespace {

constexpr Index kLength = 7;

/// Values of very different sizes, so that another order of summation gives other bits.
void block_values(Index block, std::span<double> out) {
  for (std::size_t j = 0; j < out.size(); ++j) {
    const double u = philox_uniform(1, j, static_cast<std::uint64_t>(block)) - 0.5;
    out[j] = block % 5 == 0 ? u * 1e9 : u;
  }
}

/// The definition: the tree by recursion on one thread.
std::vector<double> reference(Index first, Index end, int level) {
  std::vector<double> sum(kLength);
  if (end - first == 1) {
    block_values(first, sum);
    return sum;
  }
  const Index middle = first + (Index{1} << (level - 1));
  if (middle >= end) return reference(first, end, level - 1);
  sum = reference(first, middle, level - 1);
  const auto right = reference(middle, end, level - 1);
  for (std::size_t j = 0; j < sum.size(); ++j) sum[j] += right[j];
  return sum;
}

/// Ways of dealing blocks to ranks: even, all to the last, all to the first, ragged with empty ranks.
std::vector<BlockPartition> partitions(Index blocks, int ranks) {
  const Index rows = blocks * kTileRows - 3;
  std::vector<BlockPartition> all{BlockPartition::even(rows, kTileRows, ranks)};
  std::vector<Index> last(static_cast<std::size_t>(ranks) + 1, 0);
  last.back() = blocks;
  all.emplace_back(rows, kTileRows, last);
  std::vector<Index> first(static_cast<std::size_t>(ranks) + 1, blocks);
  first.front() = 0;
  all.emplace_back(rows, kTileRows, first);
  auto ragged = last;
  for (int rank = 1; rank < ranks; ++rank)
    ragged[static_cast<std::size_t>(rank)] = static_cast<Index>(philox_bits(blocks, 9, rank) % (blocks + 1));
  std::sort(ragged.begin(), ragged.end());
  all.emplace_back(rows, kTileRows, ragged);
  return all;
}

TEST(CanonicalSum, equals_the_recursive_tree_for_any_dealing_and_threads) {
  Context context;
  for (const Index blocks : {1, 2, 3, 5, 7, 37, 122, 1000}) {
    int levels = 0;
    while ((Index{1} << levels) < blocks) ++levels;
    const auto expected = reference(0, blocks, levels);
    for (const auto& partition : partitions(blocks, context.size())) {
      for (const int threads : {1, 2, 4}) {
        CanonicalSum sum(context.comm(), partition, kLength, threads);
        for (int repeat = 0; repeat < 2; ++repeat) {
          const auto total = sum(block_values);
          EXPECT_EQ(std::memcmp(total.data(), expected.data(), kLength * sizeof(double)), 0)
              << blocks << " blocks, " << threads << " threads";
        }
      }
    }
  }
}

TEST(CanonicalSum, a_sum_in_rank_order_would_not_pass) {
  // The comparison above must be able to fail: the plain sum differs from the tree for these values.
  std::vector<double> plain(kLength, 0.0);
  std::vector<double> values(kLength);
  for (Index block = 0; block < 1000; ++block) {
    block_values(block, values);
    for (std::size_t j = 0; j < plain.size(); ++j) plain[j] += values[j];
  }
  EXPECT_NE(std::memcmp(plain.data(), reference(0, 1000, 10).data(), kLength * sizeof(double)), 0);
}

TEST(CanonicalSum, one_failing_block_is_the_same_error_on_every_rank) {
  Context context;
  const auto partition = BlockPartition::even(100 * kTileRows, kTileRows, context.size());
  CanonicalSum sum(context.comm(), partition, kLength, 2);
  for (const Index bad : {0, 50, 99}) {
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
  }
  EXPECT_NO_THROW(sum(block_values));  // and the next call works
}

TEST(CanonicalSum, sends_one_message_a_rank_where_cuts_are_aligned) {
  Context context;
  const int ranks = context.size();
  if ((ranks & (ranks - 1)) != 0) return;  // cuts align at powers of two only
  const auto partition = BlockPartition::even(1000 * kTileRows, kTileRows, ranks);
  CanonicalSum sum(context.comm(), partition, kLength, 1);
  sum(block_values);
  const auto& traffic = context.comm().traffic();
  const auto sent = traffic.find("send");
  EXPECT_EQ(sent == traffic.end() ? 0 : sent->second.messages, context.rank() == 0 ? 0 : 1);
}

}  // namespace
}  // namespace firesteel
