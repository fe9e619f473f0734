// SPDX-License-Identifier: Apache-2.0
#include "firesteel/core/block_store.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <exception>

#include "firesteel/core/error.hpp"

namespace firesteel {

namespace {

std::size_t at(Index i) { return static_cast<std::size_t>(i); }

Index whole_pages(Index bytes) {
  return std::max<Index>(1, (bytes + kScratchAlignment - 1) / kScratchAlignment) * kScratchAlignment;
}

/// Blocks that threads may hold between them while the reads of others are under way.
Index buffers_for(int threads) { return BlockStore::kRequests + 2 * threads; }

}  // namespace

BlockStore::BlockStore(std::shared_ptr<MemoryPool> pool, const std::string& scratch, Index blocks,
                       Index block_bytes, int threads)
    : pool_(std::move(pool)),
      file_(scratch, blocks * whole_pages(block_bytes)),
      stride_(whole_pages(block_bytes)),
      threads_(std::max(1, threads)) {
  places_.assign(at(blocks), nullptr);
  memory_.resize(at(blocks));
  working_ = MemoryReservation(pool_, buffers_for(threads_) * stride_, "buffers for rows in scratch");
  reserved_ = MemoryReservation(pool_, choose_resident(pool_->available()), "rows in memory");
  reclaimer_ = pool_->add_reclaimer([this](Index bytes) { return shed(bytes); });
  traffic_.blocks = blocks;
}

BlockStore::~BlockStore() { pool_->remove_reclaimer(reclaimer_); }

Index BlockStore::choose_resident(Index bytes) {
  const Index n = blocks();
  const Index room = bytes / stride_;
  if (room >= n) {
    threshold_ = kAll;
    return n * stride_;
  }
  for (double share = static_cast<double>(room) / static_cast<double>(n);; share *= 0.99) {
    threshold_ = static_cast<std::uint64_t>(share * 0x1p64);
    Index count = 0;
    for (Index block = 0; block < n; ++block) count += stays(block) ? 1 : 0;
    if (count <= room || share < 1e-9) return count * stride_;
  }
}

void BlockStore::open(Index block) {
  const std::lock_guard lock(mutex_);
  if (places_[at(block)] != nullptr) return;
  memory_[at(block)] = PageMemory(at(stride_));
  places_[at(block)] = memory_[at(block)].data();
}

void BlockStore::close(Index block) {
  if (stays(block)) return;
  file_.write(offset(block), places_[at(block)], stride_);
  const std::lock_guard lock(mutex_);
  traffic_.bytes_written += stride_;
  places_[at(block)] = nullptr;
  memory_[at(block)] = {};
}

void BlockStore::rewrite(Index block) {
  if (stays(block)) return;
  file_.write(offset(block), places_[at(block)], stride_);
  const std::lock_guard lock(mutex_);
  traffic_.bytes_written += stride_;
}

void BlockStore::copy(Index block, Index begin, std::byte* to, Index bytes) const {
  if (stays(block)) {
    std::memcpy(to, places_[at(block)] + begin, at(bytes));
    return;
  }
  const Index first = begin / kScratchAlignment * kScratchAlignment;
  const Index length = whole_pages(begin + bytes - first);
  const PageMemory pages(at(length));
  file_.read(offset(block) + first, pages.data(), length);
  std::memcpy(to, pages.data() + (begin - first), at(bytes));
}

Index BlockStore::shed(Index bytes) {
  const Index before = reserved_.bytes();
  if (before == 0) return 0;
  const Index after = choose_resident(std::max<Index>(0, before - bytes));
  for (Index block = 0; block < blocks(); ++block)
    if (memory_[at(block)].data() != nullptr && !stays(block)) close(block);
  prepared_ = false;
  reserved_ = {};
  reserved_ = MemoryReservation(pool_, after, "rows in memory");
  return before - after;
}

void BlockStore::prepare_passes() {
  if (prepared_) return;
  order_.clear();
  turn_of_.assign(places_.size(), -1);
  for (Index block = 0; block < blocks(); ++block) {
    if (stays(block)) continue;
    turn_of_[at(block)] = static_cast<Index>(order_.size());
    order_.push_back(block);
  }
  traffic_.spilled_blocks = static_cast<Index>(order_.size());
  traffic_.spilled_bytes = traffic_.spilled_blocks * stride_;
  if (!order_.empty() && !reader_) {
    const Index buffers = buffers_for(threads_);
    buffers_ = PageMemory(at(buffers * stride_));
    reader_ = make_block_reader(file_, buffers);
  }
  prepared_ = true;
}

BlockPass::BlockPass(BlockStore* store) : store_(store) {
  if (store_ == nullptr) return;
  store_->prepare_passes();
  state_.assign(store_->order_.size(), kFree);
  if (state_.empty()) return;
  ++store_->traffic_.passes;
  buffers_ = buffers_for(store_->threads_);
  for (Index turn = 0; turn < std::min(buffers_, static_cast<Index>(state_.size())); ++turn) request(turn);
}

BlockPass::~BlockPass() {
  for (std::size_t turn = 0; turn < state_.size(); ++turn) {
    if (state_[turn] == kSubmitted) {
      try {
        store_->reader_->wait(static_cast<Index>(turn) % buffers_, true);
      } catch (...) {
        // The pass has ended early by another error, which is the one that is told.
        failure_ = nullptr;
      }
    }
    store_->places_[at(store_->order_[turn])] = nullptr;
  }
}

/// Under the lock, or before threads begin.
void BlockPass::request(Index turn) {
  const Index block = store_->order_[at(turn)];
  std::byte* const to = store_->buffers_.data() + turn % buffers_ * store_->stride_;
  store_->places_[at(block)] = to;
  state_[at(turn)] = kSubmitted;
  ++in_flight_;
  store_->traffic_.bytes_read += store_->stride_;
  store_->traffic_.most_in_flight = std::max(store_->traffic_.most_in_flight, in_flight_);
  store_->reader_->submit(turn % buffers_, store_->offset(block), to, store_->stride_);
}

/// Waits until the block of the turn is read; counts the time.
void BlockPass::wait_for(Index turn) {
  {
    std::unique_lock lock(mutex_);
    // A thread that was left behind may still hold the buffer that this turn shall have.
    moved_.wait(lock, [&] { return state_[at(turn)] != kFree || failure_; });
    if (failure_) std::rethrow_exception(failure_);
  }
  if (store_->reader_->wait(turn % buffers_, false)) return;
  {
    const std::lock_guard lock(mutex_);
    ++store_->traffic_.stalls;
    store_->traffic_.in_flight_at_stalls += in_flight_;
  }
  const auto start = std::chrono::steady_clock::now();
  store_->reader_->wait(turn % buffers_, true);
  const double waited = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  const std::lock_guard lock(mutex_);
  store_->traffic_.stall_s += waited;
}

void BlockPass::acquire(Index block) {
  if (store_ == nullptr || store_->turn_of_[at(block)] < 0) return;
  const Index turn = store_->turn_of_[at(block)];
  try {
    wait_for(turn);
  } catch (...) {
    {
      const std::lock_guard lock(mutex_);
      failure_ = std::current_exception();
    }
    moved_.notify_all();
    throw;
  }
  const std::lock_guard lock(mutex_);
  --in_flight_;
  state_[at(turn)] = kThere;
}

void BlockPass::release(Index block) noexcept {
  if (store_ == nullptr || store_->turn_of_[at(block)] < 0) return;
  const Index turn = store_->turn_of_[at(block)];
  {
    const std::lock_guard lock(mutex_);
    state_[at(turn)] = kDone;
    store_->places_[at(block)] = nullptr;
    if (const Index next = turn + buffers_; next < static_cast<Index>(state_.size())) request(next);
  }
  moved_.notify_all();
}

}  // namespace firesteel
