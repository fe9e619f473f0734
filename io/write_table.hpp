// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "firesteel/core/columns.hpp"
#include "firesteel/core/context.hpp"

namespace firesteel {

/// Throws bad_parameter (64) for an extension that no table has (.csv, .tsv, .h5, .hdf5, or "-" for CSV on
/// stdout) and cannot_create (73) unless a file can be created at `path` (directory exists, writable, not a
/// directory). Creates nothing that stays. Collective.
void probe_output(const Context& context, const std::string& path);

/// Turns columns of texts, as --keep copies them from CSV, into the numbers that they spell: whole numbers
/// where all are, doubles (NaN where missing) where all are numbers or missing. Collective.
void read_kept_numbers(const Context& context, ColumnTable& table);

/// The same of columns that come in parts: all are looked at before the first is turned. Local but for
/// agree().
class KeptNumbers {
 public:
  void look_at(const std::vector<Column>& columns);
  /// On `columns` columns, over all ranks. Collective.
  void agree(Communicator& comm, std::size_t columns);
  void turn(std::vector<Column>& columns) const;

 private:
  std::vector<std::int64_t> kinds_;
};

/// Writes the ranks' rows, in rank order, as one file by extension. Whole or not at all: a temporary name in
/// the same directory, synced, renamed. Every rank formats and writes its own part. Collective; throws
/// 73, 74. CSV: a header, always; fields quoted where they must be; numbers as number_text(). HDF5: one 1-D
/// dataset a column; texts fixed-length.
void write_table(const Context& context, const ColumnTable& table, const std::string& path);

/// A table that need not lie in memory: this rank's rows are those of make(0), make(1), …, make(count − 1).
/// A part is made two or three times, must then be the same, and may use the context's threads. Columns are
/// the same on every rank and of one kind in all parts that have rows.
struct TableParts {
  std::vector<std::string> names;  ///< of the columns
  Index count = 0;
  std::function<ColumnTable(Index part)> make;
};

/// The same of a table in parts; returns its rows, over all ranks. Collective; throws 73, 74, and what make()
/// throws.
Index write_table(const Context& context, const TableParts& table, const std::string& path);

}  // namespace firesteel
