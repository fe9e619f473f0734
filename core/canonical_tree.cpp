// SPDX-License-Identifier: Apache-2.0
#include "firesteel/core/canonical_tree.hpp"

#include <algorithm>
#include <cstdint>

namespace firesteel {

namespace {

constexpr Index kSubtreesPerThread = 8;
constexpr std::size_t kNoSlot = static_cast<std::size_t>(-1);

int bit_width(Index value) { return static_cast<int>(std::bit_width(static_cast<std::uint64_t>(value))); }

struct Node {
  int level;
  Index index;
};

class Planner {
 public:
  Planner(CanonicalTree& tree, const BlockPartition& partition, int rank)
      : tree_(tree),
        partition_(partition),
        rank_(rank),
        begin_(partition.first_block(rank)),
        end_(partition.end_block(rank)) {}

  /// Cuts the own range into aligned subtrees, none larger than its share of kSubtreesPerThread a thread.
  void plan_subtrees(int threads) {
    const Index share =
        std::max<Index>(1, (end_ - begin_) / (threads > 1 ? kSubtreesPerThread * threads : 1));
    const int max_level = threads > 1 ? bit_width(share) - 1 : 62;
    for (Index block = begin_; block < end_;) {
      int level = block == 0 ? tree_.levels : std::countr_zero(static_cast<std::uint64_t>(block));
      level = std::min(level, max_level);
      // Shrink until the node, cut at the last block, lies inside the own range.
      while (level > 0 && node_end({level, block >> level}) > end_) --level;
      const Node node{level, block >> level};
      nodes_.push_back(node);
      tree_.subtrees.push_back({block, node_end(node)});
      block = node_end(node);
    }
  }

  /// Steps for the tree below `node`; the slot that then holds its result, kNoSlot where this rank owns
  /// nothing of it or has sent it away.
  std::size_t plan_steps(Node node) {
    if (node_end(node) <= begin_ || first(node) >= end_) return kNoSlot;
    if (next_ < nodes_.size() && nodes_[next_].level == node.level && nodes_[next_].index == node.index)
      return next_++;
    const Node left{node.level - 1, 2 * node.index};
    const Node right{node.level - 1, 2 * node.index + 1};
    if (first(right) >= partition_.blocks()) return plan_steps(left);
    const std::size_t left_slot = plan_steps(left);
    const std::size_t right_slot = plan_steps(right);
    const int left_owner = partition_.owner(first(left));
    const int right_owner = partition_.owner(first(right));
    using Kind = CanonicalTree::Step::Kind;
    if (rank_ == left_owner) {
      if (left_owner == right_owner)
        tree_.steps.push_back({Kind::merge, left_slot, right_slot, rank_, node_end(node) <= end_});
      else
        tree_.steps.push_back({Kind::receive, left_slot, kNoSlot, right_owner});
      return left_slot;
    }
    if (rank_ == right_owner) tree_.steps.push_back({Kind::send, kNoSlot, right_slot, left_owner});
    return kNoSlot;
  }

 private:
  static Index first(Node node) { return node.index << node.level; }
  Index node_end(Node node) const { return std::min(partition_.blocks(), (node.index + 1) << node.level); }

  CanonicalTree& tree_;
  const BlockPartition& partition_;
  int rank_;
  Index begin_;
  Index end_;
  std::vector<Node> nodes_;
  std::size_t next_ = 0;
};

}  // namespace

CanonicalTree::CanonicalTree(const BlockPartition& partition, int rank, int threads) {
  const Index blocks = partition.blocks();
  if (blocks == 0) return;
  levels = blocks <= 1 ? 0 : bit_width(blocks - 1);
  root = partition.owner(0);
  Planner planner(*this, partition, rank);
  planner.plan_subtrees(threads);
  planner.plan_steps({levels, 0});
}

}  // namespace firesteel
