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
/// Filled once (open, close; or put, filled), then read by passes (BlockPass), which keep several requests
/// under way ahead of the computation. One pass at a time.
class BlockStore {
 public:
  /// Reads that a pass keeps under way.
  static constexpr Index kRequests = 8;

  /// `block_bytes` of every block but the last, which may be smaller; a scratch file for all is reserved.
  /// `threads`: of the passes. Throws 73, 71.
  BlockStore(std::shared_ptr<MemoryPool> pool, const std::string& scratch, Index blocks, Index block_bytes,
             int threads);
  /// Blocks of any sizes, of at most so many bytes together.
  struct AnySizes {
    Index blocks = 0;
    Index most_bytes = 0;
  };
  BlockStore(std::shared_ptr<MemoryPool> pool, const std::string& scratch, AnySizes sizes, int threads);
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
  /// Of blocks of any sizes: a block's bytes, in whole pages of memory (PageMemory). By any thread, once a
  /// block.
  void put(Index block, const std::byte* from, Index bytes);
  /// All blocks of any sizes were put: room is made for the buffers of passes. Throws 71.
  void filled();
  /// A block that is in memory or held by a pass was changed. By the thread that holds it.
  void rewrite(Index block);
  /// Copies `bytes` at `offset` of a block, wherever it lies. By any thread, beside passes.
  void copy(Index block, Index offset, std::byte* to, Index bytes) const;

  /// Of one block, in whole pages.
  Index block_bytes(Index block) const { return sizes_[static_cast<std::size_t>(block)]; }
  Index bytes() const { return bytes_; }
  /// Of the blocks that lie in scratch: what one pass reads.
  Index spilled_bytes() const { return bytes() - resident_bytes_; }
  const StoreTraffic& traffic() const { return traffic_; }
  const char* reader_name() const { return reader_ ? reader_->name() : "none"; }

 private:
  friend class BlockPass;
  bool stays(Index block) const { return resident_[static_cast<std::size_t>(block)] != 0; }
  /// Blocks by the multiples of the golden ratio, modulo 1: the first of them are an even share of any range
  /// of blocks, however many are taken.
  std::vector<Index> by_golden_ratio() const;
  /// Chooses the first of these, of those that stay now, that fit into so many bytes.
  void choose_resident(Index bytes);
  void begin(Index bytes);
  /// Writes a block's pages to its place.
  void write(Index block, const std::byte* from);
  /// Sends memory back until `bytes` are free; returns how many were.
  Index shed(Index bytes);
  void prepare_passes();
  Index offset(Index block) const { return offsets_[static_cast<std::size_t>(block)]; }

  std::shared_ptr<MemoryPool> pool_;
  ScratchFile file_;
  int threads_;
  std::mutex mutex_;
  std::vector<Index> sizes_;    ///< of a block, in whole pages
  std::vector<Index> offsets_;  ///< of a block in the file
  std::vector<char> resident_;  ///< of a block: 1 where it stays in memory
  Index bytes_ = 0;             ///< of all blocks
  Index resident_bytes_ = 0;    ///< of those that stay
  Index end_ = 0;               ///< of what was put into the file
  bool any_sizes_ = false;
  bool filling_ = false;  ///< blocks of any sizes are still to come
  std::vector<std::byte*> places_;
  std::vector<PageMemory> memory_;  ///< of blocks that are being filled, or stay
  MemoryReservation reserved_;      ///< for the blocks that stay
  MemoryReservation working_;       ///< for buffers
  Index ring_bytes_ = 0;            ///< of the buffers
  int reclaimer_ = -1;

  // Passes.
  std::vector<Index> order_;    ///< blocks in scratch, ascending
  std::vector<Index> turn_of_;  ///< of a block: its place in order_, −1 where it stays
  PageMemory buffers_;
  std::unique_ptr<BlockReader> reader_;
  bool prepared_ = false;
  StoreTraffic traffic_;
};

/// One pass over all blocks of a store, or over the blocks [first, end): each is held once, by any thread,
/// the threads together in about ascending order. Reads of the next blocks are under way meanwhile, into a
/// ring of memory that is taken and given back in that order. Without a store it does nothing.
///
/// A block that is left by an exception ends the pass behind it, as parallel_for() ends its loop: blocks
/// before it are still to be had, who waits for a later one is told, since those between may never be held.
class BlockPass {
 public:
  explicit BlockPass(BlockStore* store);
  BlockPass(BlockStore* store, Index first, Index end);
  BlockPass(const BlockPass&) = delete;
  BlockPass& operator=(const BlockPass&) = delete;
  ~BlockPass();

  /// The block is in memory while this lives.
  class Hold {
   public:
    /// Waits until the block is there. Throws io_failed (74); internal_error behind a block that was left by
    /// an exception, which is the one to be told.
    Hold(BlockPass& pass, Index block) : pass_(pass), block_(block) { pass_.acquire(block_); }
    Hold(const Hold&) = delete;
    Hold& operator=(const Hold&) = delete;
    ~Hold() {
      if (std::uncaught_exceptions() > exceptions_) pass_.end_behind(block_);
      pass_.release(block_);
    }

   private:
    BlockPass& pass_;
    Index block_;
    int exceptions_ = std::uncaught_exceptions();
  };

 private:
  enum State : char { kFree, kSubmitted, kThere, kDone };

  /// The block's turn among those that are read; −1 where it is in memory.
  Index turn_of(Index block) const;
  Index block_of(Index turn) const;
  void acquire(Index block);
  void release(Index block) noexcept;
  void end_behind(Index block) noexcept;
  void wait_for(Index turn);
  void request_more();
  bool find_room(Index bytes, Index& place) const;

  BlockStore* store_;
  Index first_turn_ = 0;  ///< of this pass among those of the store
  Index buffers_ = 0;     ///< requests that may be under way or held
  std::mutex mutex_;
  std::condition_variable moved_;
  std::vector<char> state_;     ///< of a turn: kFree, kSubmitted, kThere, kDone
  std::exception_ptr failure_;  ///< of reading: nobody goes on
  Index last_;                  ///< block behind which the pass has ended
  Index in_flight_ = 0;
  Index next_ = 0;  ///< the first turn that was not asked for
  Index tail_ = 0;  ///< the first turn that is not done
  Index head_ = 0;  ///< where the ring goes on
};

}  // namespace firesteel
