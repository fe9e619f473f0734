// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>

#include "firesteel/core/atomic_file.hpp"
#include "firesteel/core/error.hpp"
#include "firesteel/core/index.hpp"

namespace firesteel {

/// Addresses, offsets and lengths of scratch files are multiples of this, as direct I/O wants.
inline constexpr Index kScratchAlignment = 4096;

/// The directory that `named` says, or $TMPDIR, or /tmp. Local.
std::string scratch_directory(const std::string& named);

/// A new file without a name in a directory, read and written through the page cache. Throws cannot_create
/// (73). Local.
FileDescriptor open_scratch(const std::string& directory);

/// A file without a name in a directory of local disk: it takes no part in anybody's listing and is gone when
/// it is closed, however the process ends, so that a killed job leaves nothing behind. Reads and writes go
/// past the page cache where the file system can (O_DIRECT). Local; reads and writes by any thread.
class ScratchFile {
 public:
  /// Reserves `bytes` on the disk. Throws cannot_create (73) where the directory takes no file or has not so
  /// much room.
  ScratchFile(const std::string& directory, Index bytes);

  int descriptor() const { return file_.get(); }
  bool direct() const { return direct_; }
  const std::string& directory() const { return directory_; }
  /// Both throw io_failed (74), naming the directory and the reason.
  void write(Index offset, const std::byte* from, Index bytes) const;
  void read(Index offset, std::byte* to, Index bytes) const;
  /// The error of a read that said `code` (an errno; 0: the file ends early).
  Error read_error(int code) const;

 private:
  std::string directory_;
  FileDescriptor file_;
  bool direct_ = false;
};

}  // namespace firesteel
