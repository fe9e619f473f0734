// SPDX-License-Identifier: Apache-2.0
// CSV as a table of typed columns, for what works on all columns: describe, sample, split, sort, join.
#include <algorithm>
#include <atomic>
#include <memory>

#include "firesteel/core/parameters.hpp"
#include "firesteel/io/csv_fields.hpp"
#include "firesteel/io/csv_table.hpp"
#include "firesteel/io/quoted.hpp"
#include "firesteel/io/table.hpp"

namespace firesteel {

namespace {

std::size_t size(Index i) { return static_cast<std::size_t>(i); }

/// 007, +007: a whole number that would lose its leading zeros.
bool is_code(std::string_view text) {
  if (text.starts_with('-') || text.starts_with('+')) text.remove_prefix(1);
  return text.size() > 1 && text.front() == '0' &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

/// Calls field(column, place of the field, its text) for the fields of the record at p; returns the byte past
/// it. Throws 65 for a record of another width or wrong quotes.
template <class Field>
const char* for_fields(const CsvTable& table, const TextExtent& extent, const char* text, const char* p,
                       const char* text_end, Field&& body) {
  const TextDialect& dialect = table.index.dialect;
  const Index record = extent.begin + (p - text);
  while (dialect.blank_runs && (*p == ' ' || *p == '\t')) ++p;
  std::string scratch;
  Index column = 0;
  do {
    const CsvField field = read_csv_field(p, text_end, dialect, scratch);
    const Index offset = extent.begin + (p - text);
    if (field.fault != nullptr) throw table.field_error(extent.file, offset, column, field.fault);
    if (column < table.file_columns) body(column, offset, field.text);
    ++column;
    p = field.end;
  } while (next_csv_field(p, dialect));
  if (column != table.file_columns)
    throw table.error(
        extent.file, record, -1,
        "expected " + std::to_string(table.file_columns) + " columns, got " + std::to_string(column));
  return p;
}

Error no_number(const CsvTable& table, Index file, Index offset, Index column, std::string_view text) {
  return table.field_error(file, offset, column, "expected a number, got " + quoted(text));
}

class CsvColumns final : public Table {
 public:
  CsvColumns(const Context& context, const InputFiles& inputs, const ReadOptions& options)
      : Table(inputs.paths, inputs), table_(open_csv(context, inputs, options)) {
    for (Index column = 0; column < table_.file_columns; ++column)
      columns.push_back(
          {table_.columns.name(column), table_.is_text[size(column)] ? TableKind::text : TableKind::whole});
    for (std::size_t i = 0; i < table_.index.extents.size(); ++i) {
      const TextExtent& extent = table_.index.extents[i];
      if (extent.rows > 0)
        parts.push_back({.file = extent.file,
                         .place = static_cast<Index>(i),
                         .first_row = extent.first_row,
                         .rows = extent.rows});
    }
    settle_numbers(context);
  }

  void read_part(const TablePart& part, Index first_row, Index end_row, std::span<const WantedColumn> wanted,
                 Sink sink) const override {
    const TextExtent& extent = table_.index.extents[size(part.place)];
    const Index first = std::max(first_row, part.first_row);
    const Index rows = std::min(end_row, part.first_row + part.rows) - first;
    std::vector<TableValues> values;
    std::vector<std::vector<std::size_t>> places(columns.size());
    for (const auto& each : wanted) {
      places[size(each.column)].push_back(values.size());
      values.push_back(empty_values(each, rows));
    }
    for_records(extent, first, rows, [&](Index i, const char* text, const char* p, const char* text_end) {
      return for_fields(table_, extent, text, p, text_end,
                        [&](Index column, Index offset, std::string_view field) {
                          for (const std::size_t place : places[size(column)])
                            put(values[place], i, extent.file, offset, column, field);
                        });
    });
    sink(first, rows, values);
  }

  std::string where(const TablePart& part, Index row) const override {
    const TextExtent& extent = table_.index.extents[size(part.place)];
    Index line = 0;
    for_records(extent, row, 1, [&](Index, const char* text, const char* p, const char*) {
      line = line_of(table_.files, table_.index, extent.file, extent.begin + (p - text));
      return p;
    });
    return table_.files.path(extent.file) + ":" + std::to_string(line);
  }

 private:
  template <class Body>
  void for_records(const TextExtent& extent, Index first, Index rows, Body&& body) const {
    TextReader reader(table_.files);
    const auto text = reader.read(extent.file, extent.begin, extent.end);
    const char* const text_end = text.data() + text.size();
    const char* p = skip_records(text.data(), text_end, first - extent.first_row, table_.index.dialect);
    for (Index i = 0; i < rows; ++i) {
      p = next_record(p, text_end, table_.index.dialect);
      if (p >= text_end)
        throw Error(ErrorCode::io_failed, table_.files.path(extent.file) + " changed while it was read",
                    {extent.file, extent.begin});
      p = body(i, text.data(), p, text_end);
    }
  }

  TableValues empty_values(const WantedColumn& wanted, Index rows) const {
    TableValues values;
    const TableKind kind = columns[size(wanted.column)].kind;
    if (kind == TableKind::text)
      values.values = std::vector<std::string>(size(rows));
    else if (kind == TableKind::whole && wanted.want == TableWant::as_it_is)
      values.values = std::vector<std::int64_t>(size(rows));
    else
      values.values = std::vector<double>(size(rows));
    return values;
  }

  void put(TableValues& values, Index i, Index file, Index offset, Index column,
           std::string_view field) const {
    const bool missing = is_missing(field);
    if (missing) {
      if (values.missing.empty()) values.missing.assign(size(column_size(values.values)), 0);
      values.missing[size(i)] = 1;
    }
    if (auto* texts = std::get_if<std::vector<std::string>>(&values.values)) {
      (*texts)[size(i)] = field;
    } else if (missing) {
      return;
    } else if (auto* whole = std::get_if<std::vector<std::int64_t>>(&values.values)) {
      const auto number = field_to_whole(field);
      if (!number) throw no_number(table_, file, offset, column, field);
      (*whole)[size(i)] = *number;
    } else {
      auto& number = std::get<std::vector<double>>(values.values)[size(i)];
      if (!field_to_number(field, number)) throw no_number(table_, file, offset, column, field);
    }
  }

  /// Which numeric columns are whole, real, or codes. Collective.
  void settle_numbers(const Context& context) {
    Communicator& comm = context.comm();
    const std::size_t count = columns.size();
    std::vector<std::int64_t> found(2 * count, 0);  // of each column: met a real number, a code
    comm.collectively([&] {
      const auto met = std::make_unique<std::atomic<bool>[]>(2 * count);
      const Index first = table_.index.rows * comm.rank() / comm.size();
      const Index end = table_.index.rows * (comm.rank() + 1) / comm.size();
      ReadProgress progress(context, true, bytes_of_rows(table_.index, first, end));
      parse_records(context, table_.files, table_.index, first, end, progress,
                    [&](int, const TextExtent& extent, const char* text, const char* p, const char* text_end,
                        Index) { return look_at(extent, text, p, text_end, met.get()); });
      for (std::size_t i = 0; i < found.size(); ++i) found[i] = met[i].load() ? 1 : 0;
    });
    comm.allreduce_max(std::span(found));
    for (std::size_t i = 0; i < count; ++i) {
      if (columns[i].kind == TableKind::text) continue;
      if (found[2 * i] != 0)
        columns[i].kind = TableKind::real;
      else if (found[2 * i + 1] != 0)
        columns[i].kind = TableKind::text;
    }
  }

  const char* look_at(const TextExtent& extent, const char* text, const char* p, const char* text_end,
                      std::atomic<bool>* met) const {
    return for_fields(
        table_, extent, text, p, text_end, [&](Index column, Index offset, std::string_view field) {
          if (table_.is_text[size(column)] || field_to_whole(field) || is_missing(field)) return;
          double ignored = 0;
          if (!field_to_number(field, ignored)) throw no_number(table_, extent.file, offset, column, field);
          met[2 * size(column) + (is_code(field) ? 1 : 0)].store(true, std::memory_order_relaxed);
        });
  }

  CsvTable table_;
};

}  // namespace

std::unique_ptr<Table> open_csv_columns(const Context& context, const InputFiles& files,
                                        const ReadOptions& options) {
  return std::make_unique<CsvColumns>(context, files, options);
}

}  // namespace firesteel
