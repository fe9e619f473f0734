// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <limits>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "firesteel/core/columns.hpp"
#include "firesteel/core/context.hpp"
#include "firesteel/core/error.hpp"
#include "firesteel/core/function_ref.hpp"
#include "firesteel/io/input_files.hpp"

namespace firesteel {

/// What a column of a table holds.
enum class TableKind : std::int32_t {
  whole,  ///< whole numbers of at most 64 bits, and booleans as 0 and 1
  real,
  text,
  other  ///< lists, records, bytes, …: not read
};

struct TableColumn {
  std::string name;
  TableKind kind = TableKind::real;
  bool gaps = false;  ///< known to be missing in some row
};

/// Rows that are read in one go: a row group, a record batch, a stripe, a run of lines.
struct TablePart {
  Index file = 0;
  Index place = 0;  ///< its number within the file
  Index first_row = 0;
  Index rows = 0;
};

/// How a column is wanted: numbers as doubles, or as what they are.
enum class TableWant : std::int32_t { doubles, as_it_is };

struct WantedColumn {
  Index column = 0;
  TableWant want = TableWant::doubles;
};

/// How many rows of a text format are turned into columns at once: what is missing in a text takes no bytes
/// there, but a cell here, so that a short text of many names would make a large table.
constexpr Index rows_of_cells(Index columns) {
  constexpr Index kCells = Index{1} << 20;
  return std::max<Index>(1, kCells / std::max<Index>(1, columns));
}

/// Some columns of some rows. Missing values hold anything.
struct TableValues {
  ColumnValues values;
  std::vector<std::uint8_t> missing;  ///< one a row, 1: missing; empty: none is
};

/// Files of named columns, typed: Parquet, Arrow, ORC, JSON lines. Replicated but for what readers keep open.
class Table {
 public:
  Table(std::vector<std::string> paths_of_files, const InputFiles& inputs)
      : paths(std::move(paths_of_files)),
        folder_keys(inputs.folder_keys),
        folder_values(inputs.folder_values) {}
  virtual ~Table() = default;
  Table(const Table&) = delete;
  Table& operator=(const Table&) = delete;

  /// Calls sink(global row of the first, number of rows, values in the order of `wanted`) for runs of rows of
  /// a part that lie in [first_row, end_row), or that begin before or end after: the sink takes what it wants
  /// of them. Local; threads may read different parts at once. Throws 65 with place, 66, 74.
  using Sink = FunctionRef<void(Index first_row, Index rows, std::vector<TableValues>& values)>;
  virtual void read_part(const TablePart& part, Index first_row, Index end_row,
                         std::span<const WantedColumn> wanted, Sink sink) const = 0;
  /// "a.parquet, row 17", or "a.jsonl:18".
  virtual std::string where(const TablePart& part, Index row) const;

  Index rows() const { return parts.empty() ? 0 : parts.back().first_row + parts.back().rows; }

  std::vector<std::string> paths;
  std::vector<TableColumn> columns;  ///< of the files
  std::vector<TablePart> parts;      ///< in order, none empty
  /// Rows of a part that are held at once, at most.
  Index rows_at_once = std::numeric_limits<Index>::max();
  /// Columns after these, that folders `key=value` make.
  std::vector<std::string> folder_keys;
  std::vector<std::vector<std::string>> folder_values;
};

/// Opens Parquet, Arrow or ORC files: ranks share the files, look at schemas and parts, and tell one another.
/// Collective; throws 65 where files differ or are damaged, 66, 69.
std::unique_ptr<Table> open_arrow_table(const Context& context, const InputFiles& files,
                                        const std::string& format);

/// Opens JSON lines: one sweep for places of lines, one for names and kinds of columns. Collective; throws
/// 65 with file:line.
std::unique_ptr<Table> open_json_table(const Context& context, const InputFiles& files);

/// Opens CSV as a table of all its columns, texts included. A column is text where its first value is (see
/// CsvTable), or where its numbers are codes with leading zeros; whole where every value is a whole number as
/// numbers are printed. Texts that say "missing" are marked and kept. One sweep for places of lines, one for
/// kinds. Collective; throws 65 with file:line:column, 66, 74.
std::unique_ptr<Table> open_csv_columns(const Context& context, const InputFiles& files,
                                        const ReadOptions& options);

/// read_rows and read_ratings for tables. Each rank reads the parts that hold its rows. Collective.
RowInput read_rows_table(const Context& context, const ReadOptions& options, const Table& table);
/// What read_rows_table would read. Collective; throws as it does of columns.
RowsShape measure_rows_table(const Context& context, const ReadOptions& options, const Table& table);
RatingInput read_ratings_table(const Context& context, const ReadOptions& options, const Table& table);

}  // namespace firesteel
