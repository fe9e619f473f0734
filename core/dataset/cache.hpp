// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fcntl.h>

#include <atomic>
#include <cstdint>
#include <cstring>
#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "firesteel/core/dataset/block_source.hpp"
#include "firesteel/core/dataset/round_trip.hpp"
#include "firesteel/core/memory_pool.hpp"
#include "firesteel/core/page_memory.hpp"
#include "firesteel/core/scratch_file.hpp"
#include "firesteel/core/serializer.hpp"

namespace firesteel {

/// Where the elements of a dataset are kept once they were computed.
enum class StorageLevel {
  none,             ///< nowhere: each action computes them
  memory,           ///< in this rank's memory; blocks that do not fit are computed again
  memory_and_disk,  ///< blocks that do not fit into memory go to scratch
  disk              ///< in scratch
};

namespace detail {

/// Bytes that a value holds outside itself; 0 for types that are not known.
template <class T>
Index heap_bytes(const T&) {
  return 0;
}
inline Index heap_bytes(const std::string& text) { return static_cast<Index>(text.capacity()); }
template <class A, class B>
Index heap_bytes(const std::pair<A, B>& pair);
template <class... Ts>
Index heap_bytes(const std::tuple<Ts...>& parts);
template <class T>
Index heap_bytes(const std::optional<T>& value);
template <class T>
Index heap_bytes(const std::vector<T>& values) {
  auto bytes = static_cast<Index>(values.capacity() * sizeof(T));
  if constexpr (!Flat<T>)
    for (const auto& value : values) bytes += heap_bytes(value);
  return bytes;
}
template <class A, class B>
Index heap_bytes(const std::pair<A, B>& pair) {
  return heap_bytes(pair.first) + heap_bytes(pair.second);
}
template <class... Ts>
Index heap_bytes(const std::tuple<Ts...>& parts) {
  return std::apply([](const auto&... part) { return (Index{0} + ... + heap_bytes(part)); }, parts);
}
template <class T>
Index heap_bytes(const std::optional<T>& value) {
  return value ? heap_bytes(*value) : 0;
}

/// A scratch file that grows by records. By any thread.
class RecordFile {
 public:
  /// How records are written and read: past the page cache, or through it, which writes behind and reads
  /// ahead where records follow one another.
  enum class Through { disk, page_cache };
  explicit RecordFile(std::string directory, Through through = Through::disk)
      : directory_(std::move(directory)), through_(through) {}

  struct Place {
    Index offset = -1;
    Index bytes = 0;
  };
  /// Throws 73, 74.
  Place append(std::span<const std::byte> record) {
    const auto bytes = static_cast<Index>(record.size());
    const Index whole = (bytes + kScratchAlignment - 1) / kScratchAlignment * kScratchAlignment;
    const PageMemory pages(static_cast<std::size_t>(whole));
    std::memcpy(pages.data(), record.data(), record.size());
    Place place{0, bytes};
    {
      const std::lock_guard lock(mutex_);
      if (!file_) {
        file_.emplace(directory_, 0);
        if (through_ == Through::page_cache) ::fcntl(file_->descriptor(), F_SETFL, 0);  // without O_DIRECT
      }
      place.offset = end_;
      end_ += whole;
    }
    file_->write(place.offset, pages.data(), whole);
    written_ += bytes;
    return place;
  }
  /// The pages that hold a record. Throws 74.
  PageMemory read(const Place& place) const {
    const Index whole = (place.bytes + kScratchAlignment - 1) / kScratchAlignment * kScratchAlignment;
    PageMemory pages(static_cast<std::size_t>(whole));
    file_->read(place.offset, pages.data(), whole);
    return pages;
  }
  Index bytes() const { return end_; }
  /// Of the records that this process has appended to any file so far.
  static Index written() { return written_; }

 private:
  static inline std::atomic<Index> written_ = 0;
  std::string directory_;
  Through through_;
  std::mutex mutex_;
  std::optional<ScratchFile> file_;
  Index end_ = 0;
};

/// The computed blocks of a persisted dataset on this rank. Within one action a block is worked on by one
/// thread, and actions follow one another, so only the account is shared.
template <class T>
class BlockCache {
 public:
  /// Where blocks may go to scratch under a bound that the user set, at most half of what is left of it stays
  /// in memory: operations on them need room, too.
  BlockCache(StorageLevel level, std::shared_ptr<MemoryPool> pool, std::string scratch, Index blocks)
      : level_(level), pool_(std::move(pool)), scratch_(std::move(scratch)), entries_(at(blocks)) {
    if (level == StorageLevel::memory_and_disk && pool_->strict()) most_bytes_ = pool_->available() / 2;
    clear();
  }
  BlockCache(const BlockCache&) = delete;
  BlockCache& operator=(const BlockCache&) = delete;
  ~BlockCache() { clear(); }

  StorageLevel level() const { return level_; }
  bool keeps() const { return level_ != StorageLevel::none && !dropped_; }
  bool holds(Index i) const { return entries_[at(i)].state != Entry::kAbsent; }
  /// Bytes in scratch.
  Index spilled_bytes() const { return file_ ? file_->bytes() : 0; }

  /// Keeps a block where the level says. Throws 73, 74.
  void put(Index i, BlockRows<T> rows) {
    Entry& entry = entries_[at(i)];
    if (level_ != StorageLevel::disk) {
      const Index bytes = heap_bytes(rows.values) + heap_bytes(rows.offsets);
      if (reserve(bytes)) {
        entry.bytes = bytes;
        entry.rows = std::move(rows);
        entry.state = Entry::kMemory;
        return;
      }
      if (level_ == StorageLevel::memory) return;  // computed again next time
    }
    if constexpr (Serializable<T>) {
      if constexpr (!std::is_same_v<T, bool>)
        if (!rows.values.empty()) check_round_trip(rows.values.front());
      ByteWriter out;
      out.write(rows.values);
      out.write(rows.offsets);
      entry.place = file_->append(out.buffer());
      entry.rows = BlockRows<T>{.first_row = rows.first_row, .file = rows.file};
      entry.state = Entry::kDisk;
    }
  }

  template <class Sink>
  void replay(Index i, RowCursor& cursor, Sink& sink) {
    Entry& entry = entries_[at(i)];
    if (entry.state == Entry::kMemory) {
      entry.rows.template replay<false>(cursor, sink);
      return;
    }
    if constexpr (Serializable<T>) {
      BlockRows<T> rows{.first_row = entry.rows.first_row, .file = entry.rows.file};
      const PageMemory pages = file_->read(entry.place);
      ByteReader in({pages.data(), at(entry.place.bytes)});
      rows.values = in.read<std::vector<T>>();
      rows.offsets = in.read<std::vector<std::uint16_t>>();
      rows.template replay<true>(cursor, sink);
    }
  }

  /// Forgets everything; from now on blocks are computed.
  void drop() {
    clear();
    dropped_ = true;
  }

 private:
  struct Entry {
    enum State : char { kAbsent, kMemory, kDisk } state = kAbsent;
    BlockRows<T> rows;
    RecordFile::Place place;
    Index bytes = 0;
  };
  static std::size_t at(Index i) { return static_cast<std::size_t>(i); }

  bool reserve(Index bytes) {
    if (held_bytes_.fetch_add(bytes) + bytes <= most_bytes_ && pool_->try_reserve(bytes)) return true;
    held_bytes_ -= bytes;
    return false;
  }

  void clear() {
    for (auto& entry : entries_) {
      pool_->release(entry.bytes);
      entry = {};
    }
    held_bytes_ = 0;
    file_ = std::make_unique<RecordFile>(scratch_);
  }

  StorageLevel level_;
  std::shared_ptr<MemoryPool> pool_;
  std::string scratch_;
  std::vector<Entry> entries_;
  Index most_bytes_ = std::numeric_limits<Index>::max();
  std::atomic<Index> held_bytes_ = 0;
  std::unique_ptr<RecordFile> file_;
  bool dropped_ = false;
};

}  // namespace detail

/// Keeps each block's elements once they were computed. A block whose computation throws is not kept.
template <class Upstream>
struct PersistPipeline {
  using value_type = typename Upstream::value_type;
  static constexpr bool kOneToOne = Upstream::kOneToOne;

  Upstream upstream;
  std::shared_ptr<detail::BlockCache<value_type>> cache;  ///< shared by copies of the dataset
  Index first_block;

  template <class Sink>
  void run(Index block, Index first_row, RowCursor& cursor, Sink&& sink) const {
    const Index own = block - first_block;
    if (cache->holds(own)) return cache->replay(own, cursor, sink);
    if (!cache->keeps()) return upstream.run(block, first_row, cursor, sink);
    BlockRows<value_type> rows{.first_row = first_row};
    upstream.run(block, first_row, cursor, [&](auto&& value) {
      rows.values.push_back(std::forward<decltype(value)>(value));
      if constexpr (!kOneToOne) rows.offsets.push_back(static_cast<std::uint16_t>(cursor.row - first_row));
    });
    rows.file = cursor.file;
    const RowCursor end = cursor;
    rows.template replay<false>(cursor, sink);
    cursor = end;
    cache->put(own, std::move(rows));
  }
};

}  // namespace firesteel
