// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "firesteel/core/aligned_vector.hpp"
#include "firesteel/core/block_partition.hpp"
#include "firesteel/core/communicator.hpp"
#include "firesteel/core/index.hpp"
#include "firesteel/core/node_memory.hpp"

namespace firesteel {

/// The upper part of the tree of a CanonicalSum, where its halves lie on several ranks of one node: each rank
/// leaves the sums of its largest subtrees, the leaves here, in memory that all share, and computes a slice
/// of the total from all ranks' leaves, in the order of CanonicalTree, element by element. The same bytes as
/// by messages; each leaf is read once and the total is where all see it.
///
/// Cost: two barriers; a rank reads L / P vectors and writes 1 / P, L leaves on P ranks.
class NodeSum {
 public:
  /// Vectors from here on are summed so: below, two messages cost less than two barriers and cold pages.
  static constexpr Index kLeastLength = 32 * 1024;

  /// Null, on all ranks, for shorter vectors and where NodeMemory has none. Collective.
  static std::unique_ptr<NodeSum> make(Communicator& comm, const BlockPartition& partition, Index length,
                                       int threads);

  struct Leaf {
    Index first_block;
    Index end_block;
    double* sum;  ///< `length` doubles
  };
  /// This rank's leaves in block order; what combine() adds up. Local.
  std::span<const Leaf> leaves() const { return leaves_; }

  /// The total, the same memory's bytes on every rank, once all ranks have written their leaves; valid until
  /// this rank calls again. Nullopt, on all ranks, where one of them is `poisoned`. Collective.
  std::optional<std::span<const double>> combine(bool poisoned);

 private:
  /// One step of a stack machine: a leaf's pieces go on top, or the two topmost become their sum.
  struct Step {
    const double* leaf;  ///< null: add
  };
  NodeSum(Communicator& comm, std::unique_ptr<NodeMemory> memory, Index length, int threads);
  void plan(const BlockPartition& partition, int level, Index index, std::vector<Index>& leaf_counts);
  void sum_slice();
  void sum_piece(std::size_t begin, std::size_t end, std::size_t thread);
  double* leaf_of(int rank, Index number) const;
  double& poison_of(int rank) const { return *reinterpret_cast<double*>(memory_->of(rank)); }

  Communicator comm_;
  std::unique_ptr<NodeMemory> memory_;
  std::size_t length_;
  std::size_t stride_;
  int threads_;
  std::vector<Step> steps_;
  std::vector<Leaf> leaves_;
  std::size_t depth_ = 0;
  std::size_t most_depth_ = 0;
  std::vector<AlignedVector<double>> stacks_;       ///< a thread's sums under way, pieces one after another
  std::vector<std::vector<const double*>> places_;  ///< a thread's stack of where they are
};

}  // namespace firesteel
