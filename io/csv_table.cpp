// SPDX-License-Identifier: Apache-2.0
#include "firesteel/io/csv_table.hpp"

#include <algorithm>
#include <atomic>
#include <limits>
#include <memory>
#include <set>

#include "firesteel/core/parallel.hpp"
#include "firesteel/core/parameters.hpp"
#include "firesteel/io/csv_fields.hpp"
#include "firesteel/io/quoted.hpp"

namespace firesteel {

namespace {

constexpr Index kNowhere = std::numeric_limits<Index>::max();

std::size_t size(Index i) { return static_cast<std::size_t>(i); }

TextDialect dialect_of(const ReadOptions& options, const std::vector<std::string>& paths) {
  TextDialect dialect;
  if (options.delimiter.empty()) {
    const bool tabs = std::all_of(paths.begin(), paths.end(), [](const std::string& path) {
      return without_compression(path).ends_with(".tsv");
    });
    dialect.delimiter = tabs ? '\t' : ',';
  } else if (options.delimiter == "tab" || options.delimiter == "\\t") {
    dialect.delimiter = '\t';
  } else if (options.delimiter == "space" || options.delimiter == " ") {
    dialect.delimiter = ' ';
    dialect.blank_runs = true;
  } else if (options.delimiter.size() == 1 && options.delimiter != "\"" && options.delimiter != "\n" &&
             options.delimiter != "\r") {
    dialect.delimiter = options.delimiter.front();
  } else {
    throw bad_parameter("--delimiter: expected one character, tab or space, got '" + options.delimiter + "'");
  }
  return dialect;
}

struct Header {
  std::vector<std::string> fields;
  Index end = 0;
};

/// The first record of a file.
Header read_header(const CsvTable& table, Index file, TextReader& reader) {
  for (const auto& extent : table.index.extents) {
    if (extent.file != file || extent.rows == 0) continue;
    const auto text = reader.read(file, extent.begin, extent.end);
    const char* const text_end = text.data() + text.size();
    const char* p = next_record(text.data(), text_end, table.index.dialect);
    const Index offset = extent.begin + (p - text.data());
    try {
      Header header{split_record(p, text_end, table.index.dialect), 0};
      header.end = std::min(extent.begin + (p - text.data()), extent.end);
      return header;
    } catch (const Error& fault) {
      throw table.error(file, offset, -1, fault.what());
    }
  }
  throw bad_input(table.files.path(file) + " is empty", {file, 0});
}

/// A header of numbers is most likely data, unless it is the numbering 0, 1, 2, … that tools write.
void check_names(const CsvTable& table, const std::vector<std::string>& names) {
  bool all_numbers = true;
  bool numbering = true;
  double value = 0;
  for (std::size_t i = 0; i < names.size(); ++i) {
    all_numbers = all_numbers && field_to_number(names[i], value);
    numbering = numbering && names[i] == std::to_string(i);
  }
  if (all_numbers && !numbering)
    throw table.error(0, 0, -1, "expected a header, got numbers only: if there is none, say --no-header");
  std::set<std::string> seen;
  for (const auto& name : names)
    if (!seen.insert(name).second)
      throw table.error(0, 0, -1, "two columns are called " + quoted(name) + ": names must differ");
}

void check_same_header(const CsvTable& table, Index file, const std::vector<std::string>& fields) {
  const auto& names = table.columns.names;
  if (fields == names) return;
  std::string what = std::to_string(fields.size()) + " columns, not " + std::to_string(names.size());
  for (std::size_t i = 0; fields.size() == names.size() && i < names.size(); ++i)
    if (fields[i] != names[i]) {
      what = "column " + std::to_string(i + 1) + " called " + quoted(fields[i]) + ", not " + quoted(names[i]);
      break;
    }
  throw table.error(file, 0, -1,
                    "expected the header of " + table.files.path(0) + ", got " + what +
                        ": all files must have the same columns");
}

/// Takes the header out of every file; ranks share the files.
void read_headers(const Context& context, CsvTable& table, bool header) {
  Communicator& comm = context.comm();
  std::vector<std::string> names;
  std::vector<Index> ends(table.files.sizes.size(), 0);
  comm.collectively([&] {
    if (comm.rank() != 0) return;
    TextReader reader(table.files);
    auto first = read_header(table, 0, reader);
    names = std::move(first.fields);
    if (header) check_names(table, names);
  });
  names = comm.allgather_texts(names);
  table.columns.count = static_cast<Index>(names.size());
  if (header) table.columns.names = std::move(names);
  comm.collectively([&] {
    TextReader reader(table.files);
    for (Index file = comm.rank(); file < table.files.count(); file += comm.size()) {
      if (table.index.file_rows[size(file)] == 0)
        throw bad_input(table.files.path(file) + " is empty", {file, 0});
      if (!header) continue;
      const auto found = read_header(table, file, reader);
      check_same_header(table, file, found.fields);
      ends[size(file)] = found.end;
    }
  });
  comm.allreduce_max(std::span(ends));
  if (header) drop_headers(table.index, ends);
  comm.collectively([&] {
    if (table.index.rows == 0)
      throw bad_input(table.files.path(0) + " has a header and no data rows", {0, 0});
  });
}

/// Columns from folders `key=value` come after those of the files.
void add_folder_columns(CsvTable& table, const InputFiles& inputs) {
  table.file_columns = table.columns.count;
  table.columns.count += static_cast<Index>(inputs.folder_keys.size());
  table.folder_values = inputs.folder_values;
  for (const auto& key : inputs.folder_keys) {
    if (!table.columns.named()) return;
    const auto& names = table.columns.names;
    if (std::find(names.begin(), names.end(), key) != names.end())
      throw bad_input(table.files.path(0) + " has a column '" + key + "', and lies in a folder '" + key +
                      "=...' too: names must differ");
    table.columns.names.push_back(key);
  }
}

/// Smallest row in which a column has a value, and whether that is text: 2 · row + text. Behind the columns,
/// the smallest row met whose quotes are at fault: rows from there on do not count, wherever texts are cut.
class FirstValues {
 public:
  explicit FirstValues(Index columns)
      : columns_(size(columns)), first_(std::make_unique<std::atomic<Index>[]>(columns_ + 1)) {
    for (std::size_t i = 0; i <= columns_; ++i) first_[i] = kNowhere;
  }
  bool settled_before(Index row) const {
    return std::all_of(first_.get(), first_.get() + columns_,
                       [row](const auto& first) { return first.load(std::memory_order_relaxed) < 2 * row; });
  }
  void offer(std::size_t column, Index row, std::string_view text) {
    if (column >= columns_ || is_missing(text)) return;
    double value = 0;
    lower(column, 2 * row + (field_to_number(text, value) ? 0 : 1));
  }
  void fault(Index row) { lower(columns_, 2 * row); }
  std::vector<Index> values() const { return {first_.get(), first_.get() + columns_ + 1}; }

 private:
  void lower(std::size_t place, Index offered) {
    Index present = first_[place].load();
    while (offered < present && !first_[place].compare_exchange_weak(present, offered)) {
    }
  }

  std::size_t columns_;
  std::unique_ptr<std::atomic<Index>[]> first_;
};

void find_first_values(const CsvTable& table, const TextExtent& extent, TextReader& reader,
                       FirstValues& first) {
  const TextDialect& dialect = table.index.dialect;
  const auto text = reader.read(extent.file, extent.begin, extent.end);
  const char* const text_end = text.data() + text.size();
  const char* p = text.data();
  std::string scratch;
  for (Index row = extent.first_row; row < extent.first_row + extent.rows; ++row) {
    if (first.settled_before(row)) return;
    p = next_record(p, text_end, dialect);
    while (dialect.blank_runs && (*p == ' ' || *p == '\t')) ++p;
    std::size_t column = 0;
    do {
      const CsvField field = read_csv_field(p, text_end, dialect, scratch);
      if (field.fault != nullptr) return first.fault(row);  // the second sweep says so
      first.offer(column++, row, field.text);
      p = field.end;
    } while (next_csv_field(p, dialect));
  }
}

/// A column's kind is that of its first value, wherever that is. Normally the first row settles it.
void find_kinds(const Context& context, CsvTable& table) {
  Communicator& comm = context.comm();
  const auto& extents = table.index.extents;
  FirstValues first(table.file_columns);
  comm.collectively([&] {
    const auto count = static_cast<Index>(extents.size());
    const Index begin = count * comm.rank() / comm.size();
    const Index end = count * (comm.rank() + 1) / comm.size();
    std::vector<TextReader> readers;
    for (int thread = 0; thread < context.threads(); ++thread) readers.emplace_back(table.files);
    parallel_for(context.threads(), end - begin, [&](Index i, int thread) {
      const TextExtent& extent = extents[size(begin + i)];
      if (extent.rows > 0 && !first.settled_before(extent.first_row))
        find_first_values(table, extent, readers[size(thread)], first);
    });
  });
  auto values = first.values();
  comm.allreduce_min(std::span(values));
  const Index fault = values.back();
  values.pop_back();
  for (const Index value : values) table.is_text.push_back(value < fault && value % 2 == 1);
  double ignored = 0;
  for (const auto& folder : table.folder_values)
    table.is_text.push_back(std::any_of(folder.begin(), folder.end(), [&](const std::string& text) {
      return !is_missing(text) && !field_to_number(text, ignored);
    }));
}

}  // namespace

Error CsvTable::error(Index file, Index offset, Index column, const std::string& message) const {
  std::string where = files.path(file) + ":" + std::to_string(line_of(files, index, file, offset)) + ":";
  if (column >= 0) where += std::to_string(column + 1) + ":";
  return bad_input(where + " " + message, {file, offset});
}

Error CsvTable::field_error(Index file, Index offset, Index column, const std::string& message) const {
  return error(file, offset, column,
               columns.named() && column < columns.count
                   ? message + " (column " + quoted(columns.name(column)) + ")"
                   : message);
}

CsvTable open_csv(const Context& context, const InputFiles& inputs, const ReadOptions& options) {
  Communicator& comm = context.comm();
  const TextDialect dialect = comm.collectively([&] { return dialect_of(options, inputs.paths); });
  CsvTable table;
  table.files = open_text_files(context, inputs.paths);
  table.columns.source = table.files.path(0);
  comm.collectively([&] {
    for (Index file = 0; file < table.files.count(); ++file)
      if (table.files.size(file) == 0) throw bad_input(table.files.path(file) + " is empty", {file, 0});
  });
  table.index = index_text(context, table.files, dialect);
  read_headers(context, table, options.header);
  comm.collectively([&] { add_folder_columns(table, inputs); });
  find_kinds(context, table);
  return table;
}

}  // namespace firesteel
