// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "firesteel/io/column_selection.hpp"
#include "firesteel/io/table.hpp"

namespace firesteel {

/// The table's columns and those of its folders as options refer to them.
struct TableView {
  InputColumns columns;
  std::vector<bool> is_text;
  std::vector<TableKind> kinds;

  explicit TableView(const Table& table);  ///< throws 65 for two columns of one name

  TableKind kind(Index column) const { return kinds[static_cast<std::size_t>(column)]; }
  /// Throws 65 where a column holds neither numbers nor texts.
  void require_values(Index column, const std::string& option) const;
};

/// Gets rows of a part: the global row of the first, where that stands in the values, how many there are.
using TakeRows = FunctionRef<void(const TablePart& part, Index row, Index from, Index rows,
                                  const std::vector<TableValues>& values)>;

/// How a rank reads a table of so many columns: parts at once, as many as threads, or fewer where a bound has
/// no room for that, and the memory that this takes.
struct TableReading {
  int threads = 1;
  MemoryReservation reserved;
};
/// Local; throws 71 where not even one part at a time fits.
TableReading plan_reading(const Context& context, const Table& table, Index columns);

/// Reads the rows [first_row, end_row), several parts at once, with the columns that are wanted, those of
/// folders included. Local; throws what reading and taking throw.
void read_table_rows(const Context& context, const Table& table, const TableView& view,
                     const TableReading& reading, Index first_row, Index end_row,
                     const std::vector<WantedColumn>& wanted, TakeRows take);

inline bool missing_at(const TableValues& values, Index i) {
  return !values.missing.empty() && values.missing[static_cast<std::size_t>(i)] != 0;
}

/// Whole numbers of which some are missing, on whatever rank, become doubles with NaN there. Collective.
ColumnValues with_missing(Communicator& comm, ColumnValues values, const std::vector<std::uint8_t>& missing);

}  // namespace firesteel
