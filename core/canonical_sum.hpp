// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "firesteel/core/aligned_vector.hpp"
#include "firesteel/core/block_partition.hpp"
#include "firesteel/core/block_store.hpp"
#include "firesteel/core/canonical_tree.hpp"
#include "firesteel/core/communicator.hpp"
#include "firesteel/core/function_ref.hpp"
#include "firesteel/core/node_sum.hpp"

namespace firesteel {

/// Sums a vector statistic over all blocks of a partition, in one fixed order for any number of ranks and
/// threads.
///
/// The order is the binary tree over block numbers of CanonicalTree; a node is left + right, element by
/// element. Inside a rank's own range threads take whole subtrees; across ranks the right child's owner sends
/// to the left child's owner. The owner of block 0 then broadcasts. Vectors of NodeSum::kLeastLength and more
/// between ranks of one node are combined in memory that they share instead.
///
/// Failure travels with the data: a rank whose statistic threw sends a short message instead of its partial
/// sum, receivers pass it on, and all ranks throw the same Error at the end of the call.
///
/// Cost: a rank sends at most m vectors, m = its maximal subtrees (1 where cuts are aligned, see
/// BlockPartition::even), and takes part in one broadcast. Memory: O(log₂ B) vectors a thread. Source:
/// one_answer rules; Demmel & Nguyen 2015, doi:10.1109/TC.2014.2345391, on why the shape must be fixed.
class CanonicalSum {
 public:
  /// Plans sums of `length` doubles over `partition`, which must have comm.size() ranks; buffers are reserved
  /// here. Collective.
  CanonicalSum(const Communicator& comm, const BlockPartition& partition, Index length, int threads);

  /// Collective. block_statistic(block, out) is called once for each own block, by any thread, and must write
  /// all of `out` (length doubles, not cleared) as a function of the block's rows alone. Returns the total,
  /// the same bytes on every rank; it stays valid until the next call.
  /// With a store of the blocks' rows (RowBlocks::store()) each block is in memory while block_statistic
  /// looks at it: blocks are taken one after the other, as they are read, and combined in the same tree.
  std::span<const double> operator()(FunctionRef<void(Index block, std::span<double> out)> block_statistic,
                                     BlockStore* store = nullptr);

 private:
  using BlockStatistic = FunctionRef<void(Index block, std::span<double> out)>;

  static constexpr std::size_t kHeader = 8;  ///< words before a vector that travels
  double* slot(std::size_t i) { return slots_[i]; }
  void place_slots();
  void merge_own();
  void sum_subtree(std::size_t i, BlockStatistic statistic, AlignedVector<double>& scratch);
  void sum_own_blocks(BlockStatistic statistic, BlockStore* store);
  void sum_as_read(BlockStatistic statistic, BlockStore& store);
  void combine();
  void send_partial(std::size_t slot_number, int destination);
  bool receive_partial(int source);
  std::span<const double> broadcast_total();

  Communicator comm_;
  BlockPartition partition_;
  std::size_t length_;
  std::size_t stride_;
  int threads_;
  CanonicalTree tree_;
  std::unique_ptr<NodeSum> node_sum_;           ///< null: ranks combine by messages
  std::vector<double*> slots_;                  ///< one vector a subtree
  AlignedVector<double> slot_memory_;           ///< of those that are no leaves of node_sum_, behind headers
  std::vector<AlignedVector<double>> scratch_;  ///< one stack of partial sums a thread
  AlignedVector<double> received_;              ///< header word, then one vector
  AlignedVector<double> total_;
  std::exception_ptr failure_;
  bool poisoned_ = false;
};

}  // namespace firesteel
