// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "firesteel/core/index.hpp"

namespace firesteel {

/// What stands behind the pages of a Parquet file: indexes of pages, then the footer. Both are structures of
/// Thrift's compact protocol.
struct ParquetPart {
  std::string_view indexes;
  std::string_view footer;
  Index pages_end = 0;  ///< where the indexes begin in this file
  Index shift = 0;      ///< how many bytes later its pages stand in the whole one
};

/// Where the pages of a file end, whose footer begins at a place. Local; throws std::runtime_error where the
/// footer is none, here and below.
Index find_pages_end(std::string_view footer, Index footer_begin);

/// Indexes, footer, its length and the magic word of the file that has the pages of all parts, in order,
/// which end at `pages_end`: as one writer would have written them. All parts have the same columns; what is
/// not of row groups is taken from the first. Local.
std::string join_parquet_ends(std::span<const ParquetPart> parts, Index pages_end);

}  // namespace firesteel
