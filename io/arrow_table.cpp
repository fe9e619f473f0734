// SPDX-License-Identifier: Apache-2.0
// Parquet, Arrow IPC files and ORC as tables, through the module that knows Apache Arrow.
#include <algorithm>
#include <set>

#include "firesteel/io/arrow_file.hpp"
#include "firesteel/io/store.hpp"
#include "firesteel/io/table.hpp"

namespace firesteel {

namespace {

std::size_t size(Index i) { return static_cast<std::size_t>(i); }

/// Calls body(); what Arrow throws becomes an Error that names the file.
template <class Body>
auto reading(const std::string& path, Index file, Body&& body) {
  try {
    return body();
  } catch (const Error&) {
    throw;
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const std::exception& fault) {
    rethrow_failed_read();
    const std::string what = fault.what();
    throw bad_input(
        path + " is damaged, cut short or of another format (" + what.substr(0, what.find('\n')) + ")",
        {file, 0});
  }
}

/// What one file is, as a text that ranks can send: columns, then rows of parts.
std::string describe(const std::vector<TableColumn>& columns, const std::vector<Index>& rows) {
  std::string text = std::to_string(columns.size());
  for (const auto& column : columns)
    text += " " + std::to_string(static_cast<int>(column.kind)) + " " + std::to_string(column.name.size()) +
            " " + column.name;
  for (const Index each : rows) text += " " + std::to_string(each);
  return text;
}

class Description {
 public:
  explicit Description(const std::string& text) : rest_(text) {
    const Index count = number();
    for (Index i = 0; i < count; ++i) {
      const auto kind = static_cast<TableKind>(number());
      const auto length = size(number());
      columns.push_back({std::string(rest_.substr(0, length)), kind});
      rest_.remove_prefix(std::min(rest_.size(), length + 1));
    }
    while (!rest_.empty()) rows.push_back(number());
  }
  std::vector<TableColumn> columns;
  std::vector<Index> rows;

 private:
  Index number() {
    const auto end = std::min(rest_.find(' '), rest_.size());
    Index value = 0;
    for (const char c : rest_.substr(0, end)) value = 10 * value + (c - '0');
    rest_.remove_prefix(std::min(end + 1, rest_.size()));
    return value;
  }

  std::string_view rest_;
};

/// A file of a store, for Arrow.
class StoredArrowInput final : public ArrowInput {
 public:
  explicit StoredArrowInput(std::shared_ptr<const InputFile> file) : file_(std::move(file)) {}
  Index bytes() const override { return file_->bytes(); }
  Index read(Index offset, std::span<char> out) const noexcept override {
    try {
      return static_cast<Index>(file_->read_at(offset, out));
    } catch (...) {
      keep_failed_read();
      return -1;
    }
  }

 private:
  std::shared_ptr<const InputFile> file_;
};

std::unique_ptr<ArrowFile> open_arrow(const ArrowModule& module, const std::string& path,
                                      const std::string& format) {
  std::shared_ptr<const ArrowInput> input;
  if (is_url(path)) input = std::make_shared<StoredArrowInput>(open_input(path));
  return module.open(std::move(input), path, format);
}

class ArrowTable final : public Table {
 public:
  ArrowTable(const Context& context, const InputFiles& inputs, std::string format)
      : Table(inputs.paths, inputs), format_(std::move(format)) {
    Communicator& comm = context.comm();
    if (format_ == "parquet") rows_at_once = kArrowBatchRows;
    module_ = comm.collectively([&] { return &arrow_module(format_); });
    const auto own = comm.collectively([&] {
      std::vector<std::string> texts;
      for (std::size_t i = size(comm.rank()); i < paths.size(); i += size(comm.size()))
        texts.push_back(look_at(i));
      return texts;
    });
    const auto all = comm.allgather_texts(own);
    comm.collectively([&] { join(all, comm.size()); });
  }

  void read_part(const TablePart& part, Index, Index, std::span<const WantedColumn> wanted,
                 Sink sink) const override {
    const std::string& path = paths[size(part.file)];
    reading(path, part.file, [&] {
      std::vector<ArrowColumn> of_file;
      for (const auto& each : wanted)
        of_file.push_back({each.column, columns[size(each.column)].kind, each.want});
      Index row = part.first_row;
      open_arrow(*module_, path, format_)
          ->read(part.place, of_file, [&](Index rows, std::vector<TableValues>& values) {
            if (rows > part.first_row + part.rows - row)
              throw bad_input(path + " is not what it was when it was looked at", {part.file, 0});
            sink(row, rows, values);
            row += rows;
          });
      if (row != part.first_row + part.rows)
        throw bad_input(path + ": a part of " + std::to_string(part.rows) + " rows has " +
                            std::to_string(row - part.first_row),
                        {part.file, 0});
    });
  }

 private:
  std::string look_at(std::size_t number) const {
    const auto file_number = static_cast<Index>(number);
    return reading(paths[number], file_number, [&] {
      const auto file = open_arrow(*module_, paths[number], format_);
      const auto found = file->columns();
      auto rows = file->part_rows();
      if (std::any_of(rows.begin(), rows.end(),
                      [](Index each) { return each < 0 || each > (Index{1} << 48); }))
        throw bad_input(paths[number] + " is damaged: it claims an impossible number of rows",
                        {file_number, 0});
      return describe(found, rows);
    });
  }

  void join(const std::vector<std::string>& all, int ranks) {
    std::vector<std::size_t> next;  // of each rank's list
    std::size_t begin = 0;
    for (int rank = 0; rank < ranks; ++rank) {
      next.push_back(begin);
      for (std::size_t i = size(rank); i < paths.size(); i += size(ranks)) ++begin;
    }
    Index row = 0;
    for (std::size_t i = 0; i < paths.size(); ++i) {
      const auto file = static_cast<Index>(i);
      const Description found(all[next[i % size(ranks)]++]);
      if (i == 0)
        first_columns(found.columns);
      else
        check_alike(found.columns, i);
      for (std::size_t part = 0; part < found.rows.size(); ++part) {
        if (found.rows[part] == 0) continue;
        parts.push_back(
            {.file = file, .place = static_cast<Index>(part), .first_row = row, .rows = found.rows[part]});
        row += found.rows[part];
      }
    }
  }

  void first_columns(const std::vector<TableColumn>& found) {
    columns = found;
    std::set<std::string> names;
    for (const auto& column : columns)
      if (!names.insert(column.name).second)
        throw bad_input(paths[0] + ": two columns are called '" + column.name + "': names must differ");
    if (columns.empty()) throw bad_input(paths[0] + " has no columns");
  }

  void check_alike(const std::vector<TableColumn>& found, std::size_t file) {
    std::string what;
    if (found.size() != columns.size())
      what = std::to_string(found.size()) + " columns, not " + std::to_string(columns.size());
    const auto is_number = [](TableKind kind) { return kind == TableKind::whole || kind == TableKind::real; };
    for (std::size_t i = 0; what.empty() && i < columns.size(); ++i) {
      if (found[i].name != columns[i].name)
        what = "column " + std::to_string(i + 1) + " called '" + found[i].name + "', not '" +
               columns[i].name + "'";
      else if (is_number(found[i].kind) != is_number(columns[i].kind) ||
               (!is_number(found[i].kind) && found[i].kind != columns[i].kind))
        what = "another type of values in column '" + found[i].name + "'";
      else if (found[i].kind == TableKind::real)
        columns[i].kind = TableKind::real;
    }
    if (!what.empty())
      throw bad_input(paths[file] + ": expected the columns of " + paths[0] + ", got " + what +
                          ": all files must have the same columns",
                      {static_cast<Index>(file), 0});
  }

  std::string format_;
  const ArrowModule* module_ = nullptr;
};

}  // namespace

std::unique_ptr<Table> open_arrow_table(const Context& context, const InputFiles& files,
                                        const std::string& format) {
  return std::make_unique<ArrowTable>(context, files, format);
}

}  // namespace firesteel
