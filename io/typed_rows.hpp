// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "firesteel/core/dataset.hpp"
#include "firesteel/io/read_options.hpp"
#include "firesteel/io/table.hpp"

namespace firesteel {

/// One value of a typed row. A missing text keeps what stood there.
struct TypedCell {
  bool missing = false;
  std::int64_t whole = 0;
  double real = 0;
  std::string_view text;
};

/// A row of named columns as one run of bytes, so that it travels, sorts and spills as a text does: a bit a
/// column for missing values, then 8 bytes a number that is not missing, a length and the bytes of a text.
std::string pack_row(std::span<const TableColumn> columns, std::span<const TypedCell> cells);

/// The cells of a packed row; texts point into it. Returns what follows them: the entries of sparse features
/// (sparse_entries.hpp), else nothing. Throws internal_error for bytes that are no row.
std::string_view unpack_row(std::span<const TableColumn> columns, std::string_view row,
                            std::vector<TypedCell>& cells);

/// Features of typed rows that are stored sparse, behind the cells of each packed row.
struct SparseColumns {
  Index count = 0;
  std::vector<std::string> names;  ///< empty: they are f0, f1, …
  bool first = true;               ///< among the features; false: those among `columns` come before them
};

/// What a column is to rows of features: a feature, the label, the weight, or nothing but a key to compare.
enum class ColumnPart : char { feature, label, weight, none };

/// Rows of numbers and texts over all ranks, numbered in input order, in memory as far as the context's pool
/// has room and else in scratch. What `sample`, `split`, `sort` and `join` work on.
struct TypedRows {
  std::string source;  ///< what messages call the input
  std::vector<TableColumn> columns;
  Dataset<std::string> rows;  ///< packed
  std::optional<SparseColumns> sparse = std::nullopt;
  std::vector<ColumnPart> parts = {};  ///< one a column; of a table none, options say it when it is written
  bool single_precision = false;       ///< of features, where they are written

  bool is_table() const { return parts.empty() && !sparse; }
};

/// Other rows of the same columns.
TypedRows with_rows(const TypedRows& like, Dataset<std::string> rows);

/// True for the formats of named columns of any kind: csv, jsonl, parquet, arrow, orc. The others hold rows
/// of features.
bool is_column_format(std::string_view format);

/// The format of the inputs, which must agree. Collective; throws 65, 66.
std::string format_of_files(Communicator& comm, const ReadOptions& options,
                            const std::vector<std::string>& inputs);

/// Calls use(table, its view) with the inputs opened as a table of typed columns, and then looks whether they
/// are still what they were. Collective; throws 65 where the format has none, 66, 74.
struct TableView;
using UseTable = FunctionRef<void(const Table& table, const TableView& view)>;
void with_table(const Context& context, const ReadOptions& options, UseTable use);

/// Reads all columns but those that hold neither numbers nor texts, which are left out with a warning. Files
/// of named columns are read as they are; of other formats dense features become columns, then `label` and
/// `weight`; sparse features stay sparse, beside these two. Arrays that options.key_arrays names follow them.
/// Each rank reads an even share of the rows. Collective; throws 65, 66, 74.
TypedRows read_typed_rows(const Context& context, const ReadOptions& options);

/// The rows whose flags are set; `chosen` has one a row of this rank. Collective.
TypedRows choose_rows(const TypedRows& rows, std::vector<std::uint8_t> chosen);

/// The text of a column's value in each of this rank's rows, as CSV writes it; of missing ones nothing.
/// Collective.
std::vector<std::string> column_texts(const TypedRows& rows, Index column);

/// The column of that name, or 0-based number. Throws 65 that names what there is, and the option. Local.
Index require_typed_column(const TypedRows& rows, const std::string& reference, const std::string& option);

}  // namespace firesteel
