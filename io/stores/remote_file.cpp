// SPDX-License-Identifier: Apache-2.0
#include "firesteel/io/stores/remote_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

#include "firesteel/core/error.hpp"
#include "firesteel/core/scratch_file.hpp"
#include "firesteel/io/stores/fetch_ahead.hpp"

namespace firesteel {

namespace {

constexpr Index kLeastFetch = Index{64} << 10;
constexpr Index kMostFetch = Index{1} << 20;
constexpr Index kAheadBytes = Index{4} << 20;

std::string reason(int code) { return std::generic_category().message(code); }

}  // namespace

/// Where the bytes of all files of a process are kept, one after another as they are claimed. Gone with the
/// last file.
class RemoteFile::Spool {
 public:
  static std::shared_ptr<Spool> shared() {
    static std::mutex mutex;
    static std::weak_ptr<Spool> known;
    const std::lock_guard lock(mutex);
    auto spool = known.lock();
    if (!spool) known = spool = std::make_shared<Spool>();
    return spool;
  }

  Index reserve(Index bytes) {
    const std::lock_guard lock(mutex_);
    if (!file_.open()) file_ = open_scratch(store_scratch());
    return std::exchange(end_, end_ + bytes);
  }
  void write(Index place, std::span<const char> bytes) const {
    while (!bytes.empty()) {
      const ssize_t done = ::pwrite(file_.get(), bytes.data(), bytes.size(), place);
      if (done < 0 && errno == EINTR) continue;
      if (done <= 0)
        throw Error(ErrorCode::io_failed,
                    "the scratch directory " + store_scratch() + " takes no more (" +
                        reason(done < 0 ? errno : ENOSPC) +
                        "): what is read from a URL is kept there; --scratch names another");
      bytes = bytes.subspan(static_cast<std::size_t>(done));
      place += done;
    }
  }
  void read(Index place, std::span<char> out) const {
    while (!out.empty()) {
      const ssize_t done = ::pread(file_.get(), out.data(), out.size(), place);
      if (done < 0 && errno == EINTR) continue;
      if (done <= 0)
        throw Error(ErrorCode::io_failed,
                    "reading from the scratch directory " + store_scratch() +
                        " failed: " + (done < 0 ? reason(errno) : "the file ends early"));
      out = out.subspan(static_cast<std::size_t>(done));
      place += done;
    }
  }
  /// Gives the room back to the disk, where its file system can do that.
  void discard(Index place, Index bytes) const {
    ::fallocate(file_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, place, bytes);
  }

 private:
  std::mutex mutex_;
  FileDescriptor file_;
  Index end_ = 0;
};

RemoteFile::RemoteFile(const StoredFile& file, std::unique_ptr<RangeReader> reader)
    : InputFile(file.path, file.bytes),
      reader_(std::move(reader)),
      version_(file.version),
      spool_(Spool::shared()) {}

RemoteFile::~RemoteFile() = default;

RemoteFile::Pieces::iterator RemoteFile::holder(Index offset) const {
  auto after = pieces_.upper_bound(offset);
  if (after == pieces_.begin()) return pieces_.end();
  const auto before = std::prev(after);
  return offset < before->second.end ? before : pieces_.end();
}

std::pair<Index, Index> RemoteFile::claim(Index begin, Index end) const {
  if (reader_->whole_only()) {
    begin = 0;
    end = bytes();
  }
  for (auto held = holder(begin); held != pieces_.end(); held = holder(begin)) begin = held->second.end;
  if (begin >= end) return {begin, begin};
  const auto next = pieces_.upper_bound(begin);
  if (next != pieces_.end()) end = std::min(end, next->first);
  pieces_[begin] = {.end = end,
                    .place = spool_->reserve(end - begin),
                    .filled = 0,
                    .in_flight = true,
                    .readers = 0,
                    .let_go = 0};
  return {begin, end};
}

void RemoteFile::fetch(Index begin) const {
  std::exception_ptr thrown;
  Index end = 0;
  Index place = 0;
  {
    const std::lock_guard lock(mutex_);
    end = pieces_.at(begin).end;
    place = pieces_.at(begin).place;
  }
  Index expected = begin;
  try {
    reader_->read(
        begin, end,
        [&](Index offset, std::span<const char> bytes) {
          if (offset != expected || static_cast<Index>(bytes.size()) > end - offset)
            throw internal_error(path() + ": a store brought bytes that were not asked for");
          spool_->write(place + offset - begin, bytes);
          expected += static_cast<Index>(bytes.size());
          const std::lock_guard lock(mutex_);
          pieces_.at(begin).filled = expected - begin;
          more_.notify_all();
        },
        cancelled_);
    if (expected != end) throw internal_error(path() + ": a store brought fewer bytes than were asked for");
  } catch (...) {
    thrown = std::current_exception();
  }
  const std::lock_guard lock(mutex_);
  Piece& piece = pieces_.at(begin);
  piece.in_flight = false;
  piece.end = begin + piece.filled;
  discard_if_gone(piece);
  if (piece.filled == 0) pieces_.erase(begin);
  if (thrown && !failure_) failure_ = thrown;
  more_.notify_all();
}

std::size_t RemoteFile::read_at(Index offset, std::span<char> out, Index file) const {
  if (offset < 0 || offset >= bytes()) return 0;
  out = out.first(std::min(out.size(), static_cast<std::size_t>(bytes() - offset)));
  std::size_t done = 0;
  std::unique_lock lock(mutex_);
  while (done < out.size()) {
    const Index at = offset + static_cast<Index>(done);
    const auto held = holder(at);
    if (held != pieces_.end() && held->second.gone()) {
      pieces_.erase(held);
    } else if (held != pieces_.end() && at < held->first + held->second.filled) {
      const Index there = held->first + held->second.filled - at;
      const auto some = out.subspan(done, std::min(out.size() - done, static_cast<std::size_t>(there)));
      const Index place = held->second.place + (at - held->first);
      Piece& piece = held->second;
      ++piece.readers;
      lock.unlock();
      try {
        spool_->read(place, some);
      } catch (...) {
        lock.lock();
        --piece.readers;
        throw;
      }
      done += some.size();
      lock.lock();
      --piece.readers;
      discard_if_gone(piece);
    } else if (failure_) {
      try {
        std::rethrow_exception(failure_);
      } catch (const Error& error) {
        throw Error(error.code(), error.what(), {file, at});
      }
    } else if (held != pieces_.end()) {
      more_.wait(lock);
    } else {
      step_ = at == next_ ? std::min(2 * step_, kMostFetch) : kLeastFetch;
      const Index wanted = std::max(static_cast<Index>(out.size() - done), step_);
      const auto [begin, end] = claim(at, std::min(bytes(), at + wanted));
      next_ = end;
      lock.unlock();
      fetch(begin);
      lock.lock();
    }
  }
  return done;
}

void RemoteFile::discard_if_gone(const Piece& piece) const {
  if (piece.gone()) spool_->discard(piece.place, piece.filled);
}

void RemoteFile::fetch_ahead(Index begin, Index end) const {
  for (;;) {
    Index claimed = 0;
    {
      const std::lock_guard lock(mutex_);
      if (failure_ || cancelled_) return;
      try {
        const auto [from, to] = claim(begin, end);
        if (from >= to) return;
        claimed = from;
      } catch (...) {
        failure_ = std::current_exception();
        more_.notify_all();
        return;
      }
    }
    fetch(claimed);
  }
}

/// What was let go of stays among the pieces, so that nobody fetches it ahead once more.
void RemoteFile::let_go(Index begin, Index end) const {
  const std::lock_guard lock(mutex_);
  auto piece = pieces_.upper_bound(begin);
  if (piece != pieces_.begin()) --piece;
  for (; piece != pieces_.end() && piece->first < end; ++piece) {
    const Index overlap = std::min(end, piece->second.end) - std::max(begin, piece->first);
    if (overlap <= 0 || piece->second.gone()) continue;
    piece->second.let_go += overlap;
    discard_if_gone(piece->second);
  }
}

void RemoteFile::cancel(long known) const {
  if (weak_from_this().use_count() <= known + ahead_) cancelled_ = true;
}

void RemoteFile::expect(Index begin, Index end) const {
  begin = std::max<Index>(begin, 0);
  end = std::min(end, bytes());
  for (Index at = begin; at < end; at += kAheadBytes)
    fetch_ahead_of_reading([file = weak_from_this(), at, to = std::min(end, at + kAheadBytes)] {
      if (const auto still = file.lock()) {
        ++still->ahead_;
        still->fetch_ahead(at, to);
        --still->ahead_;
      }
    });
}

}  // namespace firesteel
