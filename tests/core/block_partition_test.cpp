// SPDX-License-Identifier: Apache-2.0
#include "firesteel/core/block_partition.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>

#include "firesteel/core/canonical_tree.hpp"
#include "firesteel/core/error.hpp"

namespace firesteel {
namespace {

TEST(BlockPartition, even_deals_every_row_once_and_within_five_percent) {
  for (const Index rows : {0, 1, 31, 32, 33, 1000, 12345, 1000000}) {
    for (const int ranks : {1, 2, 3, 4, 5, 8, 13, 64}) {
      const auto partition = BlockPartition::even(rows, 32, ranks);
      const Index blocks = (rows + 31) / 32;
      ASSERT_EQ(partition.blocks(), blocks);
      ASSERT_EQ(partition.ranks(), ranks);
      Index next_row = 0;
      Index largest = 0;
      for (int rank = 0; rank < ranks; ++rank) {
        EXPECT_EQ(partition.first_row(rank), next_row);
        next_row = partition.end_row(rank);
        largest = std::max(largest, partition.end_block(rank) - partition.first_block(rank));
        for (Index block = partition.first_block(rank); block < partition.end_block(rank); ++block)
          ASSERT_EQ(partition.owner(block), rank);
      }
      EXPECT_EQ(next_row, rows);
      // Where no cut within 5 % exists the shares differ by one block.
      const auto allowed = std::max<double>(1.05 * static_cast<double>(blocks) / ranks,
                                            static_cast<double>((blocks + ranks - 1) / ranks));
      EXPECT_LE(static_cast<double>(largest), allowed) << rows << " rows, " << ranks << " ranks";
    }
  }
}

TEST(BlockPartition, holds_rows_beyond_32_bits) {
  const Index rows = (Index{1} << 40) + 5;
  const auto partition = BlockPartition::even(rows, 8192, 1000);
  EXPECT_EQ(partition.end_row(999), rows);
  EXPECT_EQ(partition.owner(partition.blocks() - 1), 999);
}

TEST(BlockPartition, the_owner_is_never_an_empty_rank) {
  const BlockPartition partition(100, 32, {0, 0, 2, 2, 4, 4});
  EXPECT_EQ(partition.owner(0), 1);
  EXPECT_EQ(partition.owner(1), 1);
  EXPECT_EQ(partition.owner(2), 3);
  EXPECT_EQ(partition.owner(3), 3);
  EXPECT_EQ(partition.local_rows(3), 36);
}

TEST(BlockPartition, refuses_cuts_and_sizes_that_are_none) {
  EXPECT_THROW(BlockPartition(100, 33, {0, 4}), Error);
  EXPECT_THROW(BlockPartition(100, 16, {0, 7}), Error);
  EXPECT_THROW(BlockPartition(100, 32, {0, 3}), Error);
  EXPECT_THROW(BlockPartition(100, 32, {1, 4}), Error);
  EXPECT_THROW(BlockPartition(100, 32, {0, 3, 2, 4}), Error);
  EXPECT_THROW(BlockPartition(100, 32, {}), Error);
  EXPECT_THROW(BlockPartition::even(-1, 32, 2), Error);
  EXPECT_THROW(BlockPartition::even(10, 32, 0), Error);
}

TEST(BlockRows, put_a_quarter_megabyte_into_a_block) {
  unsetenv("FIRESTEEL_BLOCK_ROWS");
  EXPECT_EQ(choose_block_rows(4, 8, false), 8192);
  EXPECT_EQ(choose_block_rows(32, 8, false), 1024);
  EXPECT_EQ(choose_block_rows(100, 8, false), 256);
  EXPECT_EQ(choose_block_rows(100, 4, false), 512);
  EXPECT_EQ(choose_block_rows(784, 8, false), 128);
  EXPECT_EQ(choose_block_rows(784, 4, false), 128);
  EXPECT_EQ(choose_block_rows(2000, 8, false), 64);
  EXPECT_EQ(choose_block_rows(20000, 8, false), 32);
  EXPECT_EQ(choose_block_rows(1000000, 8, true), choose_block_rows(64, 8, true));
  EXPECT_EQ(choose_block_rows(0, 8, false), 8192);
}

TEST(BlockRows, can_be_set_to_a_power_of_two_only) {
  setenv("FIRESTEEL_BLOCK_ROWS", "64", 1);
  EXPECT_EQ(choose_block_rows(4, 8, false), 64);
  for (const char* wrong : {"16", "33", "16384", "abc", "64x", "-32"}) {
    setenv("FIRESTEEL_BLOCK_ROWS", wrong, 1);
    EXPECT_THROW(choose_block_rows(4, 8, false), Error) << wrong;
  }
  unsetenv("FIRESTEEL_BLOCK_ROWS");
}

TEST(CanonicalTree, subtrees_cover_the_own_blocks_once_and_sends_match_receives) {
  using Kind = CanonicalTree::Step::Kind;
  for (const Index blocks : {1, 2, 5, 64, 100, 1023}) {
    for (const int ranks : {1, 2, 3, 7}) {
      const auto partition = BlockPartition::even(blocks * 32, 32, ranks);
      std::vector<std::pair<int, int>> sent;
      std::vector<std::pair<int, int>> received;
      for (int rank = 0; rank < ranks; ++rank) {
        const CanonicalTree tree(partition, rank, 3);
        Index next = partition.first_block(rank);
        for (const auto& subtree : tree.subtrees) {
          EXPECT_EQ(subtree.first_block, next);
          next = subtree.end_block;
        }
        EXPECT_EQ(next, partition.end_block(rank));
        for (const auto& step : tree.steps) {
          if (step.kind == Kind::send) sent.emplace_back(rank, step.peer);
          if (step.kind == Kind::receive) received.emplace_back(step.peer, rank);
        }
      }
      std::sort(sent.begin(), sent.end());
      std::sort(received.begin(), received.end());
      EXPECT_EQ(sent, received);
    }
  }
}

}  // namespace
}  // namespace firesteel
