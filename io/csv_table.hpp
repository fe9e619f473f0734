// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "firesteel/core/context.hpp"
#include "firesteel/io/column_selection.hpp"
#include "firesteel/io/text_index.hpp"

namespace firesteel {

/// CSV files after the first sweep: where rows are, what the columns are called, and which hold text.
/// Replicated.
struct CsvTable {
  TextFiles files;
  TextIndex index;
  InputColumns columns;
  std::vector<bool> is_text;  ///< by the first value of the column that is not missing

  /// "day3.csv:17:4: message", placed at the byte. `column` counts from 0; −1 leaves it out. Local.
  Error error(Index file, Index offset, Index column, const std::string& message) const;
  /// "day3.csv:17:4: expected a number, got 'abc' (column 'age')".
  Error field_error(Index file, Index offset, Index column, const std::string& message) const;
};

/// First sweep, header, kinds of columns. Collective; throws 65, 66, 74.
CsvTable open_csv(const Context& context, const std::vector<std::string>& paths, const ReadOptions& options);

}  // namespace firesteel
