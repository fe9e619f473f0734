// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bit>
#include <cstddef>
#include <vector>

#include "firesteel/core/block_partition.hpp"

namespace firesteel {

/// The fixed order in which per-block results are combined, and this rank's share of the work.
///
/// Node (l, i) covers the blocks [i·2^l, (i + 1)·2^l) ∩ [0, B) and is its left child combined with its right
/// child; a node whose right half is empty is its left child. A node belongs to the rank that owns its first
/// block. The tree depends on B alone. How it is walked depends on ranks and threads: each rank computes the
/// largest subtrees that lie inside its own blocks (smaller ones where several threads share them), one slot
/// a subtree, and then executes `steps`. Every rank derives its steps from (B, cuts), so that sends and
/// receives match; steps follow one post-order of the tree, so that no rank waits in a circle. Plain data,
/// local.
struct CanonicalTree {
  /// A subtree inside this rank's blocks; its result goes to the slot of its position.
  struct Subtree {
    Index first_block;
    Index end_block;
  };
  struct Step {
    enum class Kind {
      merge,   ///< slot `into` = slot `into` combined with slot `from`
      send,    ///< slot `from` goes to `peer`
      receive  ///< slot `into` = slot `into` combined with what `peer` sends
    };
    Kind kind;
    std::size_t into;
    std::size_t from;
    int peer;
    bool inside = false;  ///< a merge of a node whose blocks are all this rank's
  };

  CanonicalTree() = default;
  CanonicalTree(const BlockPartition& partition, int rank, int threads);

  std::vector<Subtree> subtrees;  ///< in block order
  std::vector<Step> steps;
  int root = 0;  ///< the rank that ends with the result of all blocks, in its slot 0
  int levels = 0;
};

/// Walks a subtree in the tree's order with a stack: push(block) puts a block's result on top, merge()
/// combines the two topmost. At most log₂(blocks) + 2 entries are alive.
template <class Push, class Merge>
void walk_subtree(const CanonicalTree::Subtree& subtree, Push&& push, Merge&& merge) {
  int depth = 0;
  for (Index block = subtree.first_block; block < subtree.end_block; ++block) {
    push(block);
    ++depth;
    // A binary counter: after block j, one partial is kept per set bit of j + 1.
    const auto j = static_cast<std::uint64_t>(block - subtree.first_block);
    for (int merges = std::countr_one(j); merges > 0; --merges, --depth) merge();
  }
  for (; depth > 1; --depth) merge();
}

}  // namespace firesteel
