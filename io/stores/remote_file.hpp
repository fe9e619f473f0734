// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <condition_variable>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <mutex>

#include "firesteel/io/store.hpp"

namespace firesteel {

/// Fetches ranges of one file of a store. Any thread.
class RangeReader {
 public:
  virtual ~RangeReader() = default;
  /// Calls take(offset, bytes) for the bytes [begin, end), in order, as they come; repeats what can be
  /// repeated. Throws 74, 66 where the file is not the one it was.
  using Take = std::function<void(Index offset, std::span<const char> bytes)>;
  virtual void read(Index begin, Index end, const Take& take, const std::atomic<bool>& cancelled) = 0;
  /// True where only the whole file can be had, from its begin.
  virtual bool whole_only() const { return false; }
};

/// A file of a store, of which every byte is fetched at most once by a process: what came is kept in scratch,
/// in a file without a name that all of them share, until let_go(). What expect() announces is fetched ahead
/// by four threads; else what is asked for, and up to 1 MiB more where reading goes on from where it was.
class RemoteFile final : public InputFile, public std::enable_shared_from_this<RemoteFile> {
 public:
  RemoteFile(const StoredFile& file, std::unique_ptr<RangeReader> reader);
  ~RemoteFile() override;

  const std::string& version() const { return version_; }
  std::size_t read_at(Index offset, std::span<char> out, Index file = 0) const override;
  void expect(Index begin, Index end) const override;
  void let_go(Index begin, Index end) const override;
  /// Ends transfers that go on, within a second, unless others than `known` holders still use the file.
  void cancel(long known) const;

 private:
  class Spool;
  /// A run of bytes that was fetched, or is being fetched by one thread.
  struct Piece {
    Index end = 0;
    Index place = 0;   ///< in the spool
    Index filled = 0;  ///< bytes that are there
    bool in_flight = false;
    int readers = 0;   ///< threads that copy from it
    Index let_go = 0;  ///< bytes that are not read any more: where that is all, nothing is kept
    bool gone() const { return !in_flight && readers == 0 && filled > 0 && let_go >= filled; }
  };
  using Pieces = std::map<Index, Piece>;  // by first byte; they do not overlap

  /// The piece that holds a byte, or end().
  Pieces::iterator holder(Index offset) const;
  /// Claims what is missing of [begin, end) from its first missing byte on; an empty range where nothing is.
  std::pair<Index, Index> claim(Index begin, Index end) const;
  void fetch(Index begin) const;
  void discard_if_gone(const Piece& piece) const;
  void fetch_ahead(Index begin, Index end) const;

  std::unique_ptr<RangeReader> reader_;
  std::string version_;
  std::shared_ptr<Spool> spool_;
  mutable std::mutex mutex_;
  mutable std::condition_variable more_;
  mutable Pieces pieces_;
  mutable Index next_ = -1;  ///< where the last fetch on request ended
  mutable Index step_ = 0;   ///< how much that was
  mutable std::exception_ptr failure_;
  mutable std::atomic<bool> cancelled_{false};
  mutable std::atomic<long> ahead_{0};  ///< threads that fetch ahead, each of which holds the file
};

}  // namespace firesteel
