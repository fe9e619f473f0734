// SPDX-License-Identifier: Apache-2.0
#include "firesteel/io/write_table.hpp"

#include <algorithm>
#include <filesystem>
#include <limits>
#include <memory>
#include <numeric>
#include <set>
#include <span>

#include "firesteel/core/error.hpp"
#include "firesteel/core/parameters.hpp"
#include "firesteel/io/array_file.hpp"
#include "firesteel/io/csv_fields.hpp"
#include "firesteel/io/parts_output.hpp"
#include "firesteel/io/text_output.hpp"

namespace firesteel {

namespace {

enum class TableFormat { csv, tsv, hdf5 };

TableFormat format_of(const std::string& path) {
  if (path == "-") return TableFormat::csv;
  const std::string extension = std::filesystem::path(path).extension().string();
  if (extension == ".csv") return TableFormat::csv;
  if (extension == ".tsv") return TableFormat::tsv;
  if (extension == ".h5" || extension == ".hdf5") return TableFormat::hdf5;
  throw bad_parameter(
      "--output: expected a file name that ends in .csv, .tsv, .h5 or .hdf5, or - for CSV on "
      "standard output, got '" +
      path + "'");
}

char delimiter_of(TableFormat format) { return format == TableFormat::tsv ? '\t' : ','; }

std::vector<std::string> names_of(const ColumnTable& table) {
  std::vector<std::string> names;
  for (const auto& column : table.columns) names.push_back(column.name);
  return names;
}

void check_names(const std::vector<std::string>& names) {
  std::set<std::string> known;
  for (const auto& name : names)
    if (!known.insert(name).second) throw bad_input("the output would have two columns named '" + name + "'");
}

void check_table(const ColumnTable& table) {
  check_names(names_of(table));
  for (const auto& column : table.columns) {
    if (column_size(column.values) != table.local_rows())
      throw internal_error("output column '" + column.name + "' has " +
                           std::to_string(column_size(column.values)) + " rows, expected " +
                           std::to_string(table.local_rows()));
  }
}

std::string csv_header(const std::vector<std::string>& names, char delimiter) {
  std::string header;
  for (const auto& name : names) {
    if (!header.empty()) header += delimiter;
    append_field(header, name, delimiter);
  }
  return header + '\n';
}

void append_rows(std::string& out, const ColumnTable& table, Index first, Index end, char delimiter) {
  const auto append_value = [&](const auto& value) {
    if constexpr (std::is_same_v<std::decay_t<decltype(value)>, std::string>)
      append_field(out, value, delimiter);
    else
      append_number(out, value);
  };
  for (Index row = first; row < end; ++row) {
    for (const auto& column : table.columns) {
      if (&column != &table.columns.front()) out += delimiter;
      std::visit([&](const auto& values) { append_value(values[static_cast<std::size_t>(row)]); },
                 column.values);
    }
    out += '\n';
  }
}

void write_csv(const Context& context, const ColumnTable& table, const std::string& path, char delimiter) {
  write_text(
      context, path, csv_header(names_of(table), delimiter), table.local_rows(),
      [&](Index first, Index end, std::string& out) { append_rows(out, table, first, end, delimiter); });
}

Index write_csv(const Context& context, const TableParts& table, const std::string& path, char delimiter) {
  std::vector<Index> rows(static_cast<std::size_t>(table.count), 0);
  write_text(context, path, csv_header(table.names, delimiter), table.count, [&](Index part) {
    auto made = std::make_shared<const ColumnTable>(table.make(part));
    rows[static_cast<std::size_t>(part)] = made->local_rows();
    return TextRows{made->local_rows(), [made, delimiter](Index first, Index end, std::string& out) {
                      append_rows(out, *made, first, end, delimiter);
                    }};
  });
  return context.comm().sum(std::accumulate(rows.begin(), rows.end(), Index{0}));
}

/// What is known of a column before it is written.
struct ColumnShape {
  std::int64_t kind = 0;  ///< index of ColumnValues
  std::size_t longest = 0;
};

void look_at(const ColumnValues& values, ColumnShape& shape) {
  if (column_size(values) == 0) return;
  shape.kind = static_cast<std::int64_t>(values.index());
  if (const auto* texts = std::get_if<std::vector<std::string>>(&values))
    for (const auto& text : *texts) shape.longest = std::max(shape.longest, text.size());
}

/// What all ranks agree that columns are: a rank without rows does not know the kinds. Collective.
std::vector<OutputArray> arrays_of(Communicator& comm, const std::vector<std::string>& names,
                                   const std::vector<ColumnShape>& shapes, Index rows) {
  static constexpr OutputArray::Type kTypes[] = {OutputArray::Type::real64, OutputArray::Type::int64,
                                                 OutputArray::Type::text};
  std::vector<OutputArray> arrays;
  for (std::size_t i = 0; i < names.size(); ++i) {
    std::int64_t agreed[] = {shapes[i].kind, static_cast<std::int64_t>(shapes[i].longest)};
    comm.allreduce_max(std::span(agreed));
    arrays.push_back({.name = names[i],
                      .type = kTypes[agreed[0]],
                      .shape = {rows},
                      .text_length = std::max<std::size_t>(1, static_cast<std::size_t>(agreed[1]))});
  }
  return arrays;
}

void put_rows(ArrayFile& file, const ColumnTable& table, Index first) {
  for (std::size_t i = 0; i < table.columns.size(); ++i)
    std::visit(
        [&](const auto& values) {
          if constexpr (std::is_same_v<std::decay_t<decltype(values)>, std::vector<std::string>>)
            file.write_texts(i, first, values);
          else
            file.write(i, first, values);
        },
        table.columns[i].values);
}

Index write_hdf5(const Context& context, const TableParts& table, const std::string& path) {
  Communicator& comm = context.comm();
  std::vector<ColumnShape> shapes(table.names.size());
  const Index own = comm.collectively([&] {
    Index sum = 0;
    for (Index part = 0; part < table.count; ++part) {
      const ColumnTable made = table.make(part);
      sum += made.local_rows();
      for (std::size_t i = 0; i < shapes.size(); ++i) look_at(made.columns[i].values, shapes[i]);
    }
    return sum;
  });
  const Index rows = comm.sum(own);
  Index first = comm.exclusive_scan(own);
  ArrayFile file(comm, path, arrays_of(comm, table.names, shapes, rows));
  comm.collectively([&] {
    for (Index part = 0; part < table.count; ++part) {
      const ColumnTable made = table.make(part);
      if (made.local_rows() > 0) put_rows(file, made, first);
      first += made.local_rows();
    }
  });
  file.commit();
  return rows;
}

void write_hdf5(const Context& context, const ColumnTable& table, const std::string& path) {
  Communicator& comm = context.comm();
  std::vector<ColumnShape> shapes(table.columns.size());
  for (std::size_t i = 0; i < shapes.size(); ++i) look_at(table.columns[i].values, shapes[i]);
  const Index rows = comm.sum(table.local_rows());
  const Index first = comm.exclusive_scan(table.local_rows());
  ArrayFile file(comm, path, arrays_of(comm, names_of(table), shapes, rows));
  comm.collectively([&] { put_rows(file, table, first); });
  file.commit();
}

constexpr std::int64_t kWholeNumbers = 0;
constexpr std::int64_t kRealNumbers = 1;
constexpr std::int64_t kTexts = 2;

/// What this rank's texts spell.
std::int64_t kind_of_texts(const std::vector<std::string>& texts) {
  std::int64_t kind = kWholeNumbers;
  double value = 0;
  for (const auto& text : texts) {
    if (field_to_whole(text)) continue;
    if (parse_integer(text)) return kTexts;  // 007: a code, not the number 7
    if (!is_missing(text) && !field_to_number(text, value)) return kTexts;
    kind = kRealNumbers;
  }
  return kind;
}

std::vector<std::int64_t> whole_numbers(const std::vector<std::string>& texts) {
  std::vector<std::int64_t> numbers;
  numbers.reserve(texts.size());
  for (const auto& text : texts) numbers.push_back(*parse_integer(text));
  return numbers;
}

std::vector<double> real_numbers(const std::vector<std::string>& texts) {
  std::vector<double> numbers;
  numbers.reserve(texts.size());
  for (const auto& text : texts) {
    double value = std::numeric_limits<double>::quiet_NaN();
    if (!is_missing(text)) field_to_number(text, value);
    numbers.push_back(value);
  }
  return numbers;
}

}  // namespace

void KeptNumbers::look_at(const std::vector<Column>& columns) {
  kinds_.resize(std::max(kinds_.size(), columns.size()), kWholeNumbers);
  for (std::size_t i = 0; i < columns.size(); ++i)
    if (const auto* texts = std::get_if<std::vector<std::string>>(&columns[i].values);
        kinds_[i] != kTexts && texts)
      kinds_[i] = std::max(kinds_[i], kind_of_texts(*texts));
}

void KeptNumbers::agree(Communicator& comm, std::size_t columns) {
  kinds_.resize(columns, kWholeNumbers);
  if (columns > 0) comm.allreduce_max(std::span(kinds_));
}

void KeptNumbers::turn(std::vector<Column>& columns) const {
  for (std::size_t i = 0; i < columns.size(); ++i) {
    const auto* texts = std::get_if<std::vector<std::string>>(&columns[i].values);
    if (texts == nullptr || kinds_[i] == kTexts) continue;
    if (kinds_[i] == kWholeNumbers)
      columns[i].values = whole_numbers(*texts);
    else
      columns[i].values = real_numbers(*texts);
  }
}

void read_kept_numbers(const Context& context, ColumnTable& table) {
  KeptNumbers numbers;
  context.comm().collectively([&] { numbers.look_at(table.columns); });
  numbers.agree(context.comm(), table.columns.size());
  context.comm().collectively([&] { numbers.turn(table.columns); });
}

void probe_output(const Context& context, const std::string& path) {
  context.comm().collectively([&] {
    format_of(without_slash(path));
    if (context.rank() == 0) check_can_output(path);
  });
}

void write_table(const Context& context, const ColumnTable& table, const std::string& path) {
  if (is_parts(path))
    return write_parts(context, path, table.local_rows(),
                       [&](const Context& own, const std::string& part) { write_table(own, table, part); });
  const TableFormat format = context.comm().collectively([&] {
    check_table(table);
    return format_of(path);
  });
  if (format == TableFormat::hdf5)
    write_hdf5(context, table, path);
  else
    write_csv(context, table, path, delimiter_of(format));
}

Index write_table(const Context& context, const TableParts& table, const std::string& path) {
  if (is_parts(path)) {
    const Index own = context.comm().collectively([&] {
      Index rows = 0;
      for (Index part = 0; part < table.count; ++part) rows += table.make(part).local_rows();
      return rows;
    });
    write_parts(context, path, own,
                [&](const Context& alone, const std::string& part) { write_table(alone, table, part); });
    return context.comm().sum(own);
  }
  const TableFormat format = context.comm().collectively([&] {
    check_names(table.names);
    return format_of(path);
  });
  if (format == TableFormat::hdf5) return write_hdf5(context, table, path);
  return write_csv(context, table, path, delimiter_of(format));
}

}  // namespace firesteel
