// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>

#include "firesteel/core/index.hpp"
#include "firesteel/core/scratch_file.hpp"

namespace firesteel {

/// Reads of a scratch file that go on while the caller computes: requests are submitted with a number and
/// waited for by that number, in any order. Local; any thread may call.
class BlockReader {
 public:
  virtual ~BlockReader() = default;
  /// Begins to read `bytes` at `offset` into `to` as request `number` in [0, requests), which must not be
  /// under way.
  virtual void submit(Index number, Index offset, std::byte* to, Index bytes) = 0;
  /// Returns when the request is done; false at once where it is not and `block` is false. Throws io_failed
  /// (74).
  virtual bool wait(Index number, bool block) = 0;
  /// "io_uring" or "threads".
  virtual const char* name() const = 0;
};

/// At most `requests` at a time. By io_uring where the kernel has it and lets this process; otherwise, or
/// with FIRESTEEL_SCRATCH_READER=threads, by a few threads that call pread.
std::unique_ptr<BlockReader> make_block_reader(const ScratchFile& file, Index requests);

}  // namespace firesteel
