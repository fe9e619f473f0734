// SPDX-License-Identifier: Apache-2.0
#include "firesteel/core/block_store.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <exception>
#include <numeric>

#include "firesteel/core/error.hpp"

namespace firesteel {

namespace {

std::size_t at(Index i) { return static_cast<std::size_t>(i); }

Index whole_pages(Index bytes) {
  return std::max<Index>(1, (bytes + kScratchAlignment - 1) / kScratchAlignment) * kScratchAlignment;
}

constexpr const char* kBuffers = "buffers for rows in scratch";
constexpr const char* kRowsInMemory = "rows in memory";
/// Of the buffers where blocks are large.
constexpr Index kRingBytes = Index{16} << 20;

/// Blocks that threads may hold between them while the reads of others are under way.
Index buffers_for(int threads) { return BlockStore::kRequests + 2 * threads; }

}  // namespace

BlockStore::BlockStore(std::shared_ptr<MemoryPool> pool, const std::string& scratch, Index blocks,
                       Index block_bytes, int threads)
    : pool_(std::move(pool)),
      file_(scratch, blocks * whole_pages(block_bytes)),
      threads_(std::max(1, threads)) {
  const Index stride = whole_pages(block_bytes);
  sizes_.assign(at(blocks), stride);
  for (Index block = 0; block < blocks; ++block) offsets_.push_back(block * stride);
  ring_bytes_ = buffers_for(threads_) * stride;
  begin(blocks * stride);
}

BlockStore::BlockStore(std::shared_ptr<MemoryPool> pool, const std::string& scratch, AnySizes sizes,
                       int threads)
    : pool_(std::move(pool)),
      file_(scratch, sizes.most_bytes + sizes.blocks * kScratchAlignment),
      threads_(std::max(1, threads)),
      any_sizes_(true),
      filling_(true) {
  // What stays is chosen as if blocks were of one size; where one is larger than that another stays less.
  const Index mean = whole_pages(sizes.most_bytes / std::max<Index>(1, sizes.blocks));
  sizes_.assign(at(sizes.blocks), mean);
  offsets_.assign(at(sizes.blocks), 0);
  ring_bytes_ = buffers_for(threads_) * mean;
  begin(sizes.blocks * mean);
}

/// The memory for buffers, and for as many blocks as there is room for.
void BlockStore::begin(Index bytes) {
  const Index blocks = static_cast<Index>(sizes_.size());
  bytes_ = bytes;
  places_.assign(at(blocks), nullptr);
  memory_.resize(at(blocks));
  resident_.assign(at(blocks), 1);
  working_ = MemoryReservation(pool_, ring_bytes_, kBuffers);
  choose_resident(pool_->available());
  reserved_ = MemoryReservation(pool_, resident_bytes_, kRowsInMemory);
  if (any_sizes_) bytes_ = resident_bytes_ = 0;  // counted as they come
  reclaimer_ = pool_->add_reclaimer([this](Index wanted) { return shed(wanted); });
  traffic_.blocks = blocks;
}

BlockStore::~BlockStore() { pool_->remove_reclaimer(reclaimer_); }

std::vector<Index> BlockStore::by_golden_ratio() const {
  constexpr std::uint64_t kGolden = 0x9e3779b97f4a7c15U;
  std::vector<Index> order(sizes_.size());
  std::iota(order.begin(), order.end(), Index{0});
  std::sort(order.begin(), order.end(), [](Index a, Index b) {
    return static_cast<std::uint64_t>(a) * kGolden < static_cast<std::uint64_t>(b) * kGolden;
  });
  return order;
}

void BlockStore::choose_resident(Index bytes) {
  resident_bytes_ = 0;
  bool room = true;
  for (const Index block : by_golden_ratio()) {
    if (!stays(block)) continue;
    room = room && resident_bytes_ + sizes_[at(block)] <= bytes;
    if (room)
      resident_bytes_ += sizes_[at(block)];
    else
      resident_[at(block)] = 0;
  }
}

void BlockStore::write(Index block, const std::byte* from) {
  file_.write(offset(block), from, sizes_[at(block)]);
  const std::lock_guard lock(mutex_);
  traffic_.bytes_written += sizes_[at(block)];
}

void BlockStore::open(Index block) {
  const std::lock_guard lock(mutex_);
  if (places_[at(block)] != nullptr) return;
  memory_[at(block)] = PageMemory(at(sizes_[at(block)]));
  places_[at(block)] = memory_[at(block)].data();
}

void BlockStore::close(Index block) {
  if (stays(block)) return;
  write(block, places_[at(block)]);
  const std::lock_guard lock(mutex_);
  places_[at(block)] = nullptr;
  memory_[at(block)] = {};
}

void BlockStore::put(Index block, const std::byte* from, Index bytes) {
  {
    const std::lock_guard lock(mutex_);
    sizes_[at(block)] = whole_pages(bytes);
    bytes_ += sizes_[at(block)];
    if (resident_bytes_ + sizes_[at(block)] > reserved_.bytes()) resident_[at(block)] = 0;
    if (stays(block)) {
      resident_bytes_ += sizes_[at(block)];
    } else {
      offsets_[at(block)] = end_;
      end_ += sizes_[at(block)];
    }
  }
  if (!stays(block)) return write(block, from);
  open(block);
  std::memcpy(places_[at(block)], from, at(bytes));
}

void BlockStore::filled() {
  Index largest = 0;
  for (const Index size : sizes_) largest = std::max(largest, size);
  const Index mean = whole_pages(bytes_ / std::max<Index>(1, blocks()));
  filling_ = false;
  ring_bytes_ = std::max(2 * largest, std::min(buffers_for(threads_) * mean, std::max(kRingBytes, 4 * mean)));
  reserved_ = {};
  reserved_ = MemoryReservation(pool_, resident_bytes_, kRowsInMemory);
  working_ = {};
  working_ = MemoryReservation(pool_, ring_bytes_, kBuffers);
}

void BlockStore::rewrite(Index block) {
  if (!stays(block)) write(block, places_[at(block)]);
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
  const Index before = resident_bytes_;
  if (before == 0 || filling_) return 0;
  choose_resident(std::max<Index>(0, before - bytes));
  for (Index block = 0; block < blocks(); ++block) {
    if (memory_[at(block)].data() == nullptr || stays(block)) continue;
    if (any_sizes_) {
      offsets_[at(block)] = end_;
      end_ += sizes_[at(block)];
    }
    close(block);
  }
  prepared_ = false;
  reserved_ = {};
  reserved_ = MemoryReservation(pool_, resident_bytes_, kRowsInMemory);
  return before - resident_bytes_;
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
  traffic_.spilled_bytes = spilled_bytes();
  if (!order_.empty() && !reader_) {
    buffers_ = PageMemory(at(ring_bytes_));
    reader_ = make_block_reader(file_, buffers_for(threads_));
  }
  prepared_ = true;
}

BlockPass::BlockPass(BlockStore* store) : BlockPass(store, 0, store == nullptr ? 0 : store->blocks()) {}

BlockPass::BlockPass(BlockStore* store, Index first, Index end) : store_(store), last_(end) {
  if (store_ == nullptr) return;
  store_->prepare_passes();
  const auto& order = store_->order_;
  const auto begin = std::lower_bound(order.begin(), order.end(), first);
  first_turn_ = begin - order.begin();
  state_.assign(at(std::lower_bound(begin, order.end(), end) - begin), kFree);
  if (state_.empty()) return;
  if (first == 0) ++store_->traffic_.passes;  // others go on where that one ended
  buffers_ = buffers_for(store_->threads_);
  request_more();
}

BlockPass::~BlockPass() {
  for (Index turn = 0; turn < next_; ++turn) {
    if (state_[at(turn)] == kSubmitted) {
      try {
        store_->reader_->wait(turn % buffers_, true);
      } catch (...) {
        // The pass has ended early by another error, which is the one that is told.
        failure_ = nullptr;
      }
    }
    store_->places_[at(block_of(turn))] = nullptr;
  }
}

Index BlockPass::turn_of(Index block) const {
  if (store_ == nullptr) return -1;
  const Index turn = store_->turn_of_[at(block)];
  return turn < 0 ? -1 : turn - first_turn_;
}

Index BlockPass::block_of(Index turn) const { return store_->order_[at(first_turn_ + turn)]; }

/// Where the next block of so many bytes has room in the ring, behind those that were asked for last.
bool BlockPass::find_room(Index bytes, Index& place) const {
  if (next_ == tail_) {
    place = 0;
    return true;
  }
  const Index tail = store_->places_[at(block_of(tail_))] - store_->buffers_.data();
  if (head_ > tail) {
    place = store_->ring_bytes_ - head_ >= bytes ? head_ : 0;
    return place != 0 || tail >= bytes;
  }
  place = head_;
  return tail - head_ >= bytes;
}

/// Under the lock, or before threads begin.
void BlockPass::request_more() {
  Index place = 0;
  while (next_ < static_cast<Index>(state_.size()) && next_ - tail_ < buffers_) {
    const Index block = block_of(next_);
    const Index bytes = store_->block_bytes(block);
    if (!find_room(bytes, place)) return;
    std::byte* const to = store_->buffers_.data() + place;
    head_ = place + bytes;
    store_->places_[at(block)] = to;
    state_[at(next_)] = kSubmitted;
    ++in_flight_;
    store_->traffic_.bytes_read += bytes;
    store_->traffic_.most_in_flight = std::max(store_->traffic_.most_in_flight, in_flight_);
    store_->reader_->submit(next_ % buffers_, store_->offset(block), to, bytes);
    ++next_;
  }
}

/// Waits until the block of the turn is read; counts the time.
void BlockPass::wait_for(Index turn) {
  {
    std::unique_lock lock(mutex_);
    // A thread that was left behind may still hold the buffer that this turn shall have.
    moved_.wait(lock, [&] { return state_[at(turn)] != kFree || failure_ || block_of(turn) > last_; });
    if (failure_) std::rethrow_exception(failure_);
    if (state_[at(turn)] == kFree) throw internal_error("the pass has ended by another error");
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
  const Index turn = turn_of(block);
  if (turn < 0) return;
  try {
    wait_for(turn);
  } catch (...) {
    {
      const std::lock_guard lock(mutex_);
      if (block <= last_) failure_ = std::current_exception();
    }
    moved_.notify_all();
    throw;
  }
  const std::lock_guard lock(mutex_);
  --in_flight_;
  state_[at(turn)] = kThere;
}

void BlockPass::end_behind(Index block) noexcept {
  if (store_ == nullptr) return;
  {
    const std::lock_guard lock(mutex_);
    last_ = std::min(last_, block);
  }
  moved_.notify_all();
}

void BlockPass::release(Index block) noexcept {
  const Index turn = turn_of(block);
  if (turn < 0) return;
  {
    const std::lock_guard lock(mutex_);
    state_[at(turn)] = kDone;
    store_->places_[at(block)] = nullptr;
    while (tail_ < next_ && state_[at(tail_)] == kDone) ++tail_;
    request_more();
  }
  moved_.notify_all();
}

}  // namespace firesteel
