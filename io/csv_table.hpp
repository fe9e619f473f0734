// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "firesteel/core/context.hpp"
#include "firesteel/io/column_selection.hpp"
#include "firesteel/io/input_files.hpp"
#include "firesteel/io/text_index.hpp"

namespace firesteel {

/// CSV files after the first sweep: where rows are, what the columns are called, and which hold text.
/// Replicated.
struct CsvTable {
  TextFiles files;
  TextIndex index;
  InputColumns columns;
  Index file_columns = 0;  ///< that the files have; the columns after them come from folders `key=value`
  std::vector<std::vector<std::string>> folder_values;  ///< of each of these, one a file
  std::vector<bool> is_text;  ///< by the first value of the column that is not missing

  /// What a column from folders holds in a file.
  const std::string& folder_value(Index column, Index file) const {
    return folder_values[static_cast<std::size_t>(column - file_columns)][static_cast<std::size_t>(file)];
  }

  /// "day3.csv:17:4: message", placed at the byte. `column` counts from 0; −1 leaves it out. Local.
  Error error(Index file, Index offset, Index column, const std::string& message) const;
  /// "day3.csv:17:4: expected a number, got 'abc' (column 'age')".
  Error field_error(Index file, Index offset, Index column, const std::string& message) const;
};

/// First sweep, header, kinds of columns. Collective; throws 65, 66, 74.
CsvTable open_csv(const Context& context, const InputFiles& inputs, const ReadOptions& options);

}  // namespace firesteel
