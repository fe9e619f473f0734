// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "firesteel/core/index.hpp"

namespace firesteel {

/// Which source row a pipeline is working on, so that an error can name it. Sources set it before each row.
struct RowCursor {
  Index row = -1;                     ///< −1: none, the source itself is at work
  Index end_row = -1;                 ///< where one function sees all rows [row, end_row) of a block
  const std::string* file = nullptr;  ///< where rows are the lines of a file

  /// "row 17: ", "rows 32 to 63: ", "words.txt:18: ", or nothing.
  std::string prefix() const;
};

/// Rethrows the exception being handled as an Error that names the row. Its place is the row; an Error keeps
/// its code, any other exception of a user's function is bad_input (65), bad_alloc stays.
[[noreturn]] void rethrow_at(const RowCursor& cursor);

}  // namespace firesteel
