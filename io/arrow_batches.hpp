// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cerrno>
#include <exception>
#include <new>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "firesteel/core/communicator.hpp"
#include "firesteel/core/error.hpp"
#include "firesteel/io/arrow_file.hpp"
#include "firesteel/io/write_arrow.hpp"

namespace firesteel {

inline constexpr Index kArrowBatchBytes = Index{8} << 20;
/// Of a text in memory, beside its bytes.
inline constexpr Index kTextBytes = 32;

/// The ranks' rows, cut into the batches in which they are written. The same on all ranks, but for where its
/// own rows lie.
struct ArrowBatches {
  Index first = 0;           ///< of this rank's rows, among all
  Index rows = 0;            ///< of this rank
  std::vector<Index> begin;  ///< where each batch begins among all rows, and where the last one ends

  std::size_t count() const { return begin.size() - 1; }
  Index total() const { return begin.back(); }
  /// This rank's rows [first, second) of a batch, by their numbers among its own.
  std::pair<Index, Index> own(std::size_t batch) const {
    return {std::clamp(begin[batch] - first, Index{0}, rows),
            std::clamp(begin[batch + 1] - first, Index{0}, rows)};
  }
};

/// Batches of as many rows as numbers of 8 bytes fill 8 MiB, fewer where texts are long: a function of the
/// rows alone. Collective.
ArrowBatches cut_batches(Communicator& comm, const std::vector<TableColumn>& columns, Index local_rows,
                         BytesOfTexts text_bytes);

/// A batch's values of all ranks, on rank `root`. Collective.
std::vector<TableValues> gather_batch(Communicator& comm, const std::vector<TableColumn>& columns,
                                      const ArrowBatches& batches, std::size_t batch, int root,
                                      ValuesOfRows values_of);

/// Calls body(), and makes an error of writing of what Arrow throws.
template <class Body>
void writing_arrow(const std::string& path, Body&& body) {
  try {
    body();
  } catch (const Error&) {
    throw;
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const std::exception& fault) {
    const std::string what = fault.what();
    const bool full = what.find(std::generic_category().message(ENOSPC)) != std::string::npos;
    throw Error(ErrorCode::io_failed, "writing " + path + " failed: " + what +
                                          (full ? ": make room there, or name a file on another disk" : "") +
                                          "; nothing was left behind, an older file stays as it was");
  }
}

/// write_arrow() for a URL, in a format that several may write: each rank encodes the batches of which it has
/// the row in the middle, where neighbours send it theirs, and sends them to the store. Rank 0 writes what
/// stands before and after them. Collective; throws as write_arrow().
void write_arrow_together(const Context& context, const std::string& path, const ArrowModule& module,
                          const std::vector<TableColumn>& columns, const ArrowBatches& batches,
                          ValuesOfRows values_of);

}  // namespace firesteel
