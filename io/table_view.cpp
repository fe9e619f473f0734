// SPDX-License-Identifier: Apache-2.0
#include "firesteel/io/table_view.hpp"

#include <algorithm>
#include <atomic>
#include <limits>

#include "firesteel/core/parallel.hpp"
#include "firesteel/io/csv_fields.hpp"

namespace firesteel {

namespace {

std::size_t size(Index i) { return static_cast<std::size_t>(i); }

using Doubles = std::vector<double>;
using Integers = std::vector<std::int64_t>;
using Texts = std::vector<std::string>;

/// What a folder's text is as a value of a column that is wanted.
TableValues folder_value(const std::string& text, TableKind kind, TableWant want, Index rows) {
  TableValues values;
  const bool missing = is_missing(text);
  if (missing && kind != TableKind::text) values.missing.assign(size(rows), 1);
  double number = 0;
  field_to_number(text, number);
  if (kind == TableKind::text)
    values.values = Texts(size(rows), text);
  else if (kind == TableKind::whole && want == TableWant::as_it_is)
    values.values = Integers(size(rows), field_to_whole(text).value_or(0));
  else
    values.values = Doubles(size(rows), number);
  if (missing && kind == TableKind::text) values.missing.assign(size(rows), 1);
  return values;
}

/// Takes the rows at once. Where that fails, one after the other, so that the error told is that of the first
/// row that has one, however rows are cut into parts.
void take_in_order(const TablePart& part, Index row, Index from, Index rows,
                   const std::vector<TableValues>& values, TakeRows take) {
  try {
    take(part, row, from, rows, values);
  } catch (const Error&) {
    for (Index i = 0; rows > 1 && i < rows; ++i) take(part, row + i, from + i, 1, values);
    throw;
  }
}

}  // namespace

TableReading plan_reading(const Context& context, const Table& table, Index columns) {
  // As its library hands a part out, as it is looked at, and in tiles.
  constexpr Index kCopies = 3;
  const auto& pool = context.memory();
  Index largest = 1;
  for (const auto& part : table.parts) largest = std::max(largest, std::min(part.rows, table.rows_at_once));
  const Index bytes = kCopies * largest * std::max<Index>(1, columns) * static_cast<Index>(sizeof(double));
  TableReading reading{context.threads(), {}};
  if (pool->strict())
    reading.threads =
        static_cast<int>(std::clamp<Index>(pool->available() / 2 / bytes, 1, context.threads()));
  reading.reserved = MemoryReservation(pool, reading.threads * bytes, "rows being read");
  return reading;
}

TableView::TableView(const Table& table) {
  columns.source = table.paths.front();
  for (const auto& column : table.columns) {
    columns.names.push_back(column.name);
    kinds.push_back(column.kind);
  }
  for (std::size_t i = 0; i < table.folder_keys.size(); ++i) {
    if (std::find(columns.names.begin(), columns.names.end(), table.folder_keys[i]) != columns.names.end())
      throw bad_input(table.paths.front() + " has a column '" + table.folder_keys[i] +
                      "', and lies in a folder '" + table.folder_keys[i] + "=...' too: names must differ");
    columns.names.push_back(table.folder_keys[i]);
    TableKind kind = TableKind::whole;
    double ignored = 0;
    for (const auto& text : table.folder_values[i]) {
      if (is_missing(text)) continue;
      if (!field_to_number(text, ignored))
        kind = TableKind::text;
      else if (kind == TableKind::whole && !field_to_whole(text))
        kind = TableKind::real;
    }
    kinds.push_back(kind);
  }
  columns.count = static_cast<Index>(columns.names.size());
  for (const TableKind kind : kinds) is_text.push_back(kind == TableKind::text || kind == TableKind::other);
}

void TableView::require_values(Index column, const std::string& option) const {
  if (kind(column) == TableKind::other)
    throw bad_input(option + ": column '" + columns.name(column) + "' of " + columns.source +
                    " holds neither numbers nor texts");
}

std::string Table::where(const TablePart& part, Index row) const {
  Index first = row;
  for (const auto& each : parts)
    if (each.file == part.file) first = std::min(first, each.first_row);
  return paths[static_cast<std::size_t>(part.file)] + ", row " + std::to_string(row - first);
}

void read_table_rows(const Context& context, const Table& table, const TableView& view,
                     const TableReading& reading, Index first_row, Index end_row,
                     const std::vector<WantedColumn>& wanted, TakeRows take) {
  const auto& parts = table.parts;
  const auto begin = std::partition_point(parts.begin(), parts.end(), [&](const TablePart& part) {
    return part.first_row + part.rows <= first_row;
  });
  const auto end = std::partition_point(begin, parts.end(),
                                        [&](const TablePart& part) { return part.first_row < end_row; });
  if (first_row >= end_row) return;
  const auto file_columns = static_cast<Index>(table.columns.size());
  std::vector<WantedColumn> of_file;
  for (const auto& each : wanted)
    if (each.column < file_columns) of_file.push_back(each);
  std::atomic<Index> done{0};
  parallel_for(reading.threads, end - begin, [&](Index i, int thread) {
    const TablePart& part = begin[i];
    table.read_part(
        part, first_row, end_row, of_file, [&](Index row, Index rows, std::vector<TableValues>& values) {
          std::vector<TableValues> all;
          std::size_t next = 0;
          for (const auto& each : wanted)
            all.push_back(
                each.column < file_columns
                    ? std::move(values[next++])
                    : folder_value(table.folder_values[size(each.column - file_columns)][size(part.file)],
                                   view.kind(each.column), each.want, rows));
          const Index from = std::max(first_row, row);
          const Index to = std::min(end_row, row + rows);
          if (from < to) take_in_order(part, from, from - row, to - from, all, take);
          next = 0;  // who reads may use the memory again
          for (std::size_t column = 0; column < wanted.size(); ++column)
            if (wanted[column].column < file_columns) values[next++] = std::move(all[column]);
        });
    const Index read = done.fetch_add(part.rows) + part.rows;
    if (thread == 0)
      context.monitor().progress("reading", std::min(read, end_row - first_row), end_row - first_row);
  });
}

ColumnValues with_missing(Communicator& comm, ColumnValues values, const std::vector<std::uint8_t>& missing) {
  const bool some = std::any_of(missing.begin(), missing.end(), [](auto flag) { return flag != 0; });
  const auto* whole = std::get_if<Integers>(&values);
  if (!comm.any(some && whole != nullptr) || whole == nullptr) return values;
  Doubles numbers(whole->begin(), whole->end());
  for (std::size_t i = 0; i < missing.size(); ++i)
    if (missing[i] != 0) numbers[i] = std::numeric_limits<double>::quiet_NaN();
  return numbers;
}

}  // namespace firesteel
