// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "firesteel/core/atomic_file.hpp"
#include "firesteel/core/communicator.hpp"

namespace firesteel {

/// Throws where a file cannot be created at a path or URL (Store::check_can_create): 73, 69. Local.
void check_can_write(const std::string& path);

/// An AtomicFile at a path, or at a URL: then it is made in scratch, and commit() uploads it. Local.
class OutputFile {
 public:
  /// Throws 73.
  explicit OutputFile(const std::string& path);

  /// As messages name it; empty where it is no URL.
  const std::string& url() const { return url_; }
  const std::string& temporary_path() const { return file_.temporary_path(); }
  void write_at(Index offset, std::span<const std::byte> bytes) const { file_.write_at(offset, bytes); }
  void resize(Index bytes) const { file_.resize(bytes); }
  void sync() { file_.sync(); }
  /// Makes the file appear. Call once, last. Throws 74, 73.
  void commit();

 private:
  std::string url_;  // empty: a path
  AtomicFile file_;
};

/// A SharedAtomicFile at a path, or at a URL: then every rank keeps its bytes in its own scratch until
/// commit(), which uploads them (SharedUpload).
class SharedOutputFile {
 public:
  /// Collective; throws 73.
  SharedOutputFile(Communicator& comm, const std::string& path);

  /// As SharedAtomicFile has them. A byte is written by one rank; rank 0's are overwritten by others'.
  void write_at(Index offset, std::span<const std::byte> bytes) const;
  void resize(Index bytes) const;
  /// Collective; throws 74, 73 on all ranks if one fails.
  void commit();

 private:
  using Run = std::pair<Index, Index>;  // [first, second)
  std::vector<Run> runs() const;

  Communicator& comm_;
  std::optional<SharedAtomicFile> shared_;
  std::optional<OutputFile> own_;
  mutable std::mutex mutex_;
  mutable std::vector<Run> written_;
};

}  // namespace firesteel
