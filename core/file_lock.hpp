// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "firesteel/core/atomic_file.hpp"

namespace firesteel {

enum class LockResult {
  taken,
  held_by_another,
  not_supported  ///< some file systems have no locks
};
/// Tries to lock an open file for this descriptor alone. The lock ends with the descriptor, and so with the
/// process, however that ends. Local.
LockResult try_lock(int descriptor) noexcept;

/// Keeps a directory for one job: a locked file `.firesteel-lock` in it, which names the holder and is
/// removed at the end. A job that was killed holds nothing: its lock went with it. On a file system without
/// locks nothing is kept. Local.
class DirectoryLock {
 public:
  /// Waits up to `patience` for a job that is about to end. Throws cannot_create (73) that names the holder.
  DirectoryLock(const std::string& directory, std::chrono::milliseconds patience);
  DirectoryLock(const DirectoryLock&) = delete;
  DirectoryLock& operator=(const DirectoryLock&) = delete;
  ~DirectoryLock();

 private:
  bool take();

  std::string path_;
  FileDescriptor file_;
};

/// "process 4711 on node17": what a lock says of its holder.
std::string process_name();
/// This host's name as a part of a file name.
std::string host_name();

/// The names in a directory, in no order; none where it cannot be read. Throws bad_alloc, which the standard
/// library's iterator turns into the end of the process.
std::vector<std::string> names_in(const std::string& directory);

/// Removes the temporary files of AtomicFile that killed processes left in a directory: those that no process
/// has locked. Files of other hosts must be an hour old, too, because some network file systems lock within a
/// host only. Local; failures do not matter.
void remove_abandoned_files(const std::string& directory) noexcept;

}  // namespace firesteel
