// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <mutex>
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

class EntrySpool;

/// The entries that a rank has read, in any order: in memory, or in scratch where all that becomes of them
/// does not fit.
class EntryPile {
 public:
  /// `most`: of this rank, about. Collective; throws 73.
  EntryPile(const Context& context, Index most);
  ~EntryPile();
  /// By any thread, a few hundred thousand at a time at most. Throws 74.
  void add(std::vector<MatrixEntry> entries);
  bool spills() const { return spool_ != nullptr; }

 private:
  friend RowInput rows_of_entries(const Context&, const ReadOptions&, const EntryMatrix&, EntryPile&, bool);
  std::mutex mutex_;
  std::vector<MatrixEntry> entries_;
  std::unique_ptr<EntrySpool> spool_;
};

/// Packs entries into rows: each goes to the rank that owns its row, where they are put into the order of
/// their columns. Columns play the parts that the options give them, label, weight and kept ones included.
/// Values must be finite, or NaN where options.missing allows that. Collective; throws 65 for a place that is
/// given twice or not at all.
/// Memory: 24 bytes an entry three times, while they travel and are sorted; in scratch, by a sort outside of
/// memory, where that is too much. `finish` false leaves finish_rows() to the caller.
RowInput rows_of_entries(const Context& context, const ReadOptions& options, const EntryMatrix& matrix,
                         EntryPile& pile, bool finish = true);

/// What is wrong with a value as a feature, for a message; empty: nothing.
std::string fault_of_value(double value, const ReadOptions& options, bool sparse);

}  // namespace firesteel
