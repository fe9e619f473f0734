// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "firesteel/io/read_options.hpp"

namespace firesteel {

/// One value of a matrix; row and column count from 0, rows over all files.
struct MatrixEntry {
  Index row = 0;
  Index column = 0;
  double value = 0;
};

/// A matrix whose entries ranks have read in any order. Replicated.
struct EntryMatrix {
  std::string source;  ///< what messages call it
  Index rows = 0;
  Index columns = 0;
  bool sparse = false;             ///< entries that are not there are zeros; else every one is given
  std::vector<std::string> names;  ///< of the columns; empty: f0, f1, …
};

/// Packs entries into rows: each goes to the rank that owns its row, where they are put into the order of
/// their columns. Columns play the parts that the options give them, label, weight and kept ones included.
/// Values must be finite, or NaN where options.missing allows that. Collective; throws 65 for a place that is
/// given twice or not at all.
/// Memory: 24 bytes an entry twice, while they travel. `finish` false leaves finish_rows() to the caller.
RowInput rows_of_entries(const Context& context, const ReadOptions& options, const EntryMatrix& matrix,
                         std::vector<MatrixEntry> entries, bool finish = true);

/// What is wrong with a value as a feature, for a message; empty: nothing.
std::string fault_of_value(double value, const ReadOptions& options, bool sparse);

}  // namespace firesteel
