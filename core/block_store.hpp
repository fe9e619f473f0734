// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "firesteel/core/block_io.hpp"
#include "firesteel/core/memory_pool.hpp"
#include "firesteel/core/page_memory.hpp"
#include "firesteel/core/scratch_file.hpp"

namespace firesteel {

/// What the passes over spilled blocks cost this rank so far.
struct StoreTraffic {
  Index blocks = 0;          ///< of this rank
  Index spilled_blocks = 0;  ///< of them in scratch now
  Index spilled_bytes = 0;   ///< that one pass reads
  Index passes = 0;
  Index bytes_read = 0;
  Index bytes_written = 0;
  Index most_in_flight = 0;       ///< requests
  Index stalls = 0;               ///< blocks that were not there yet when they were asked for
  Index in_flight_at_stalls = 0;  ///< requests under way then, summed
  double stall_s = 0;             ///< all threads' waiting for blocks that were not there yet
};

/// The blocks of this rank's rows in the memory image of learners, of which as many stay in memory as the
/// pool has room for, spread evenly, and the others lie in a ScratchFile, each at its place. Blocks are
/// counted from this rank's first. Local.
///
/// Filled once (open, close), then read by passes (BlockPass), which keep several requests under way ahead of
/// the computation. One pass at a time.
class BlockStore {
 public:
  /// Reads that a pass keeps under way.
  static constexpr Index kRequests = 8;

  /// `block_bytes` of every block but the last, which may be smaller; a scratch file for all is reserved.
  /// `threads`: of the passes. Throws 73, 71.
  BlockStore(std::shared_ptr<MemoryPool> pool, const std::string& scratch, Index blocks, Index block_bytes,
             int threads);
  BlockStore(const BlockStore&) = delete;
  BlockStore& operator=(const BlockStore&) = delete;
  ~BlockStore();

  Index blocks() const { return static_cast<Index>(places_.size()); }
  /// The block's bytes; null while it lies in scratch alone.
  std::byte* address(Index block) const { return places_[static_cast<std::size_t>(block)]; }

  /// Memory, zeroed, for a block that is to be filled; nothing where it has some. By any thread.
  void open(Index block);
  /// The block is full: it stays, or goes to scratch. By any thread, once a block.
  void close(Index block);
  /// A block that is in memory or held by a pass was changed. By the thread that holds it.
  void rewrite(Index block);
  /// Copies `bytes` at `offset` of a block, wherever it lies. By any thread, beside passes.
  void copy(Index block, Index offset, std::byte* to, Index bytes) const;

  Index bytes() const { return blocks() * stride_; }
  /// Of the blocks that lie in scratch: what one pass reads.
  Index spilled_bytes() const { return bytes() - reserved_.bytes(); }
  const StoreTraffic& traffic() const { return traffic_; }
  const char* reader_name() const { return reader_ ? reader_->name() : "none"; }

 private:
  friend class BlockPass;
  /// Multiples of the golden ratio, modulo 1, below a threshold: any range of blocks has its even share, and
  /// a smaller threshold chooses among those chosen before.
  static constexpr std::uint64_t kGolden = 0x9e3779b97f4a7c15U;
  static constexpr std::uint64_t kAll = ~std::uint64_t{0};

  bool stays(Index block) const {
    return static_cast<std::uint64_t>(block) * kGolden < threshold_ || threshold_ == kAll;
  }
  /// Chooses as many blocks to stay as fit into so many bytes; returns their bytes.
  Index choose_resident(Index bytes);
  /// Sends memory back until `bytes` are free; returns how many were.
  Index shed(Index bytes);
  void prepare_passes();
  Index offset(Index block) const { return block * stride_; }

  std::shared_ptr<MemoryPool> pool_;
  ScratchFile file_;
  Index stride_;                 ///< a block's bytes in whole pages
  std::uint64_t threshold_ = 0;  ///< of the blocks that stay in memory
  int threads_;
  std::mutex mutex_;
  std::vector<std::byte*> places_;
  std::vector<PageMemory> memory_;  ///< of blocks that are being filled, or stay
  MemoryReservation reserved_;      ///< for the blocks that stay
  MemoryReservation working_;       ///< for buffers
  int reclaimer_ = -1;

  // Passes.
  std::vector<Index> order_;    ///< blocks in scratch, ascending
  std::vector<Index> turn_of_;  ///< of a block: its place in order_, −1 where it stays
  PageMemory buffers_;
  std::unique_ptr<BlockReader> reader_;
  bool prepared_ = false;
  StoreTraffic traffic_;
};

/// One pass over all blocks of a store: each is held once, by any thread, the threads together in about
/// ascending order. Reads of the next blocks are under way meanwhile. Without a store it does nothing.
class BlockPass {
 public:
  explicit BlockPass(BlockStore* store);
  BlockPass(const BlockPass&) = delete;
  BlockPass& operator=(const BlockPass&) = delete;
  ~BlockPass();

  /// The block is in memory while this lives.
  class Hold {
   public:
    /// Waits until the block is there. Throws io_failed (74).
    Hold(BlockPass& pass, Index block) : pass_(pass), block_(block) { pass_.acquire(block_); }
    Hold(const Hold&) = delete;
    Hold& operator=(const Hold&) = delete;
    ~Hold() { pass_.release(block_); }

   private:
    BlockPass& pass_;
    Index block_;
  };

 private:
  enum State : char { kFree, kSubmitted, kThere, kDone };

  void acquire(Index block);
  void release(Index block) noexcept;
  void wait_for(Index turn);
  void request(Index turn);

  BlockStore* store_;
  Index buffers_ = 0;
  std::mutex mutex_;
  std::condition_variable moved_;
  std::vector<char> state_;  ///< of a turn: kFree, kSubmitted, kThere, kDone
  std::exception_ptr failure_;
  Index in_flight_ = 0;
};

}  // namespace firesteel
