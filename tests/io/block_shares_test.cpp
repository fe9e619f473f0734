// SPDX-License-Identifier: Apache-2.0
#include "firesteel/io/block_shares.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <random>

using namespace firesteel;

namespace {

std::vector<int> as_started(std::size_t ranks) {
  std::vector<int> shares(ranks);
  std::iota(shares.begin(), shares.end(), 0);
  return shares;
}

int staying(const std::vector<int>& shares) {
  int count = 0;
  for (std::size_t rank = 0; rank < shares.size(); ++rank) count += shares[rank] == static_cast<int>(rank);
  return count;
}

/// Bytes and ranks that stay, of the best of all permutations that leave rank 0 alone.
std::pair<Index, int> best_of_all(const ShareBytes& bytes, const std::vector<int>& host_of_rank) {
  auto shares = as_started(host_of_rank.size());
  std::pair<Index, int> best{-1, -1};
  do best = std::max(best, {local_bytes(bytes, host_of_rank, shares), staying(shares)});
  while (std::next_permutation(shares.begin() + 1, shares.end()));
  return best;
}

void expect_permutation(std::vector<int> shares) {
  EXPECT_EQ(shares.front(), 0);
  std::sort(shares.begin(), shares.end());
  EXPECT_EQ(shares, as_started(shares.size()));
}

struct Cluster {
  ShareBytes bytes;
  std::vector<int> host_of_rank;
};

/// Ranks anywhere on `hosts` hosts, each share in blocks on some of them.
Cluster random_cluster(std::mt19937& draw, std::size_t ranks, unsigned hosts, unsigned most_bytes) {
  Cluster cluster{{}, std::vector<int>(ranks)};
  for (auto& host : cluster.host_of_rank) host = static_cast<int>(draw() % hosts);
  for (std::size_t share = 0; share < ranks; ++share) {
    cluster.bytes.emplace_back(hosts);
    for (auto& bytes : cluster.bytes.back()) bytes = static_cast<Index>(draw() % most_bytes);
  }
  return cluster;
}

}  // namespace

TEST(BlockShares, each_share_goes_to_the_host_that_holds_it) {
  // Two hosts of two ranks each, started in turn; the first half of the bytes lies on host 0.
  const ShareBytes halves{{100, 0}, {100, 0}, {0, 100}, {0, 100}};
  const auto shares = assign_shares(halves, {0, 1, 0, 1});
  EXPECT_EQ(shares, (std::vector<int>{0, 2, 1, 3}));
  EXPECT_EQ(local_bytes(halves, {0, 1, 0, 1}, shares), 400);
}

TEST(BlockShares, the_rank_that_speaks_keeps_its_share) {
  // All that host 0 holds is the last share, and its only rank is rank 0.
  const ShareBytes bytes{{0, 100}, {0, 100}, {100, 0}};
  EXPECT_EQ(assign_shares(bytes, {0, 1, 1}), (std::vector<int>{0, 1, 2}));
}

TEST(BlockShares, where_nothing_can_be_gained_everybody_stays) {
  const std::vector<int> hosts{0, 1, 2, 0, 1, 2};
  EXPECT_EQ(assign_shares(ShareBytes(6, {0, 0, 0}), hosts), as_started(6));  // of another store
  EXPECT_EQ(assign_shares(ShareBytes(6, {7, 7, 7}), hosts), as_started(6));  // three replicas on three hosts
  EXPECT_EQ(assign_shares({{5}}, {0}), as_started(1));
  EXPECT_EQ(assign_shares({{5, 0}, {5, 0}}, {0, 1}), as_started(2));
}

TEST(BlockShares, as_good_as_the_best_of_all_permutations) {
  std::mt19937 draw(7);
  for (int round = 0; round < 300; ++round) {
    const std::size_t ranks = 1 + draw() % 7;
    // Few different sizes make ties, large ones need all bits.
    const auto cluster = random_cluster(draw, ranks, 1 + draw() % 4, round % 2 == 0 ? 3 : 1'000'000'000);
    const auto shares = assign_shares(cluster.bytes, cluster.host_of_rank);
    expect_permutation(shares);
    EXPECT_EQ(shares, assign_shares(cluster.bytes, cluster.host_of_rank));
    const auto best = best_of_all(cluster.bytes, cluster.host_of_rank);
    EXPECT_EQ(local_bytes(cluster.bytes, cluster.host_of_rank, shares), best.first) << round;
    EXPECT_EQ(staying(shares), best.second) << round;
  }
}

TEST(BlockShares, many_ranks_and_many_bytes) {
  // 2^46 bytes over 256 ranks; what is exact in 64 bits stays a permutation, and no worse than the start.
  std::mt19937 draw(8);
  auto cluster = random_cluster(draw, 256, 32, 1U << 30);
  for (auto& share : cluster.bytes)
    for (auto& bytes : share) bytes <<= 8;
  const auto shares = assign_shares(cluster.bytes, cluster.host_of_rank);
  expect_permutation(shares);
  EXPECT_GT(local_bytes(cluster.bytes, cluster.host_of_rank, shares),
            local_bytes(cluster.bytes, cluster.host_of_rank, as_started(256)));
}

TEST(BlockShares, more_ranks_than_are_assigned_exactly) {
  // Every host holds as many whole shares as it has ranks: the most is known, and found.
  constexpr std::size_t kRanks = 1500;
  constexpr std::size_t kHosts = 30;
  std::mt19937 draw(9);
  Cluster cluster{ShareBytes(kRanks, std::vector<Index>(kHosts)), std::vector<int>(kRanks)};
  for (std::size_t rank = 0; rank < kRanks; ++rank)
    cluster.host_of_rank[rank] = static_cast<int>(rank % kHosts);
  auto holders = cluster.host_of_rank;
  std::shuffle(holders.begin() + 1, holders.end(), draw);
  Index total = 0;
  for (std::size_t share = 0; share < kRanks; ++share) {
    const auto bytes = static_cast<Index>(1 + draw() % 1000);
    cluster.bytes[share][static_cast<std::size_t>(holders[share])] = bytes;
    total += bytes;
  }
  const auto shares = assign_shares(cluster.bytes, cluster.host_of_rank);
  expect_permutation(shares);
  EXPECT_EQ(local_bytes(cluster.bytes, cluster.host_of_rank, shares), total);
  for (const Index bytes : {0, 7})
    EXPECT_EQ(assign_shares(ShareBytes(kRanks, std::vector<Index>(kHosts, bytes)), cluster.host_of_rank),
              as_started(kRanks));
}

TEST(BlockShares, names_of_hosts) {
  EXPECT_TRUE(is_same_host("node7", "NODE7"));
  EXPECT_TRUE(is_same_host("node7", "node7.example.org"));
  EXPECT_TRUE(is_same_host("node7.example.org", "Node7"));
  EXPECT_TRUE(is_same_host("10.0.0.7", "10.0.0.7"));
  EXPECT_FALSE(is_same_host("node7", "node70"));
  EXPECT_FALSE(is_same_host("node7.a.org", "node7.b.org"));
  EXPECT_FALSE(is_same_host("10", "10.0.0.7"));
  EXPECT_FALSE(is_same_host("", "node7"));
}
