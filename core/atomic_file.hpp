// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "firesteel/core/communicator.hpp"
#include "firesteel/core/index.hpp"

namespace firesteel {

/// An open file descriptor, closed on destruction.
class FileDescriptor {
 public:
  FileDescriptor() = default;
  explicit FileDescriptor(int fd) : fd_(fd) {}
  FileDescriptor(FileDescriptor&& other) noexcept;
  FileDescriptor& operator=(FileDescriptor&& other) noexcept;
  ~FileDescriptor();

  int get() const { return fd_; }
  bool open() const { return fd_ >= 0; }
  /// Closes and returns what close() said: 0 or an errno.
  int close();

 private:
  int fd_ = -1;
};

/// Throws cannot_create (73) with the reason unless a file can be created or replaced at `path`: its
/// directory exists and takes a new file, and what stands at `path`, if anything, is a regular file. Leaves
/// nothing behind, and removes what killed processes did. Local.
void check_can_create(const std::string& path);

/// A file that appears whole or not at all: written under a temporary name in the same directory, synced,
/// renamed over `path`, the directory synced. Without commit() the temporary file is removed and what stood
/// at `path` stays as it was. A link at `path` is followed; an old file's permissions are kept. Local.
class AtomicFile {
 public:
  /// Creates the temporary file. Throws cannot_create (73).
  explicit AtomicFile(const std::string& path);
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  ~AtomicFile();

  const std::string& path() const { return path_; }
  const std::string& temporary_path() const { return temporary_; }

  /// Writes after what the last write() wrote. Throws io_failed (74) with path and reason, here and below.
  void write(std::span<const std::byte> bytes);
  void write(std::string_view text) { write(std::as_bytes(std::span(text))); }
  /// Writes at a byte offset. Safe to call from several threads.
  void write_at(Index offset, std::span<const std::byte> bytes) const;
  /// Sets the length: a longer file is filled with zeros.
  void resize(Index bytes) const;
  /// Brings what was written to the disk.
  void sync();
  /// Makes the file appear. Call once, last.
  void commit();

 private:
  std::string path_;    // as the user wrote it: for messages
  std::string target_;  // links resolved
  std::string temporary_;
  FileDescriptor file_;
  Index end_ = 0;
  int slot_ = -1;
  bool committed_ = false;
};

/// An AtomicFile that all ranks of a communicator write together, each its own byte ranges.
class SharedAtomicFile {
 public:
  /// Rank 0 creates the temporary file, the others open it. Collective; throws cannot_create (73).
  SharedAtomicFile(Communicator& comm, const std::string& path);

  /// Writes this rank's bytes at an offset. Local: call inside collectively(). Safe to call from several
  /// threads. Throws io_failed (74).
  void write_at(Index offset, std::span<const std::byte> bytes) const;
  /// Sets the length. Local, on rank 0 alone.
  void resize(Index bytes) const { owned_->resize(bytes); }
  /// Every rank finishes, then the file appears. Collective; throws io_failed (74) on all ranks if one fails,
  /// and the old file stays.
  void commit();
  /// The two halves of commit(), for a helper thread. finish(): this rank's bytes are on the disk, or will be
  /// with rank 0's; appear(): rank 0 makes the file appear, and may write_at() until then; only after all
  /// ranks have agreed that they finished. Local, on all ranks; both throw io_failed.
  void finish();
  void appear();

 private:
  Communicator& comm_;
  std::string path_;
  std::string temporary_;
  std::optional<AtomicFile> owned_;  // rank 0
  FileDescriptor joined_;            // the other ranks
};

/// Removes the temporary files that this process has open. Async-signal-safe: for a handler of ctrl-C, after
/// which the process must end.
void remove_temporary_files() noexcept;

}  // namespace firesteel
