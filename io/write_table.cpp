// SPDX-License-Identifier: Apache-2.0
#include "firesteel/io/write_table.hpp"

#include <algorithm>
#include <filesystem>
#include <limits>
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

void check_table(const ColumnTable& table) {
  std::set<std::string> names;
  for (const auto& column : table.columns) {
    if (!names.insert(column.name).second)
      throw bad_input("the output would have two columns named '" + column.name + "'");
    if (column_size(column.values) != table.local_rows())
      throw internal_error("output column '" + column.name + "' has " +
                           std::to_string(column_size(column.values)) + " rows, expected " +
                           std::to_string(table.local_rows()));
  }
}

void write_csv(const Context& context, const ColumnTable& table, const std::string& path, char delimiter) {
  std::string header;
  for (const auto& column : table.columns) {
    if (!header.empty()) header += delimiter;
    append_field(header, column.name, delimiter);
  }
  header += '\n';
  const auto append_value = [delimiter](std::string& out, const auto& value) {
    if constexpr (std::is_same_v<std::decay_t<decltype(value)>, std::string>)
      append_field(out, value, delimiter);
    else
      append_number(out, value);
  };
  write_text(context, path, header, table.local_rows(), [&](Index first, Index end, std::string& out) {
    for (Index row = first; row < end; ++row) {
      for (const auto& column : table.columns) {
        if (&column != &table.columns.front()) out += delimiter;
        std::visit([&](const auto& values) { append_value(out, values[static_cast<std::size_t>(row)]); },
                   column.values);
      }
      out += '\n';
    }
  });
}

/// What all ranks agree that a column is: a rank without rows does not know the kind.
OutputArray array_of(Communicator& comm, const Column& column, Index rows) {
  std::int64_t kind = column_size(column.values) == 0 ? 0 : static_cast<std::int64_t>(column.values.index());
  comm.allreduce_max(std::span(&kind, 1));
  static constexpr OutputArray::Type kTypes[] = {OutputArray::Type::real64, OutputArray::Type::int64,
                                                 OutputArray::Type::text};
  const auto* texts = std::get_if<std::vector<std::string>>(&column.values);
  const std::size_t longest = longest_text(
      comm, texts != nullptr ? std::span<const std::string>(*texts) : std::span<const std::string>());
  return {.name = column.name, .type = kTypes[kind], .shape = {rows}, .text_length = longest};
}

void write_hdf5(const Context& context, const ColumnTable& table, const std::string& path) {
  Communicator& comm = context.comm();
  const Index rows = comm.sum(table.local_rows());
  const Index first = comm.exclusive_scan(table.local_rows());
  std::vector<OutputArray> arrays;
  for (const auto& column : table.columns) arrays.push_back(array_of(comm, column, rows));
  ArrayFile file(comm, path, arrays);
  comm.collectively([&] {
    for (std::size_t i = 0; i < arrays.size(); ++i) {
      if (const auto* texts = std::get_if<std::vector<std::string>>(&table.columns[i].values))
        file.write_texts(i, first, *texts);
      else if (const auto* integers = std::get_if<std::vector<std::int64_t>>(&table.columns[i].values))
        file.write(i, first, *integers);
      else
        file.write(i, first, std::get<std::vector<double>>(table.columns[i].values));
    }
  });
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

void read_kept_numbers(const Context& context, ColumnTable& table) {
  for (auto& column : table.columns) {
    const auto* texts = std::get_if<std::vector<std::string>>(&column.values);
    std::int64_t kind = texts == nullptr ? 0 : kind_of_texts(*texts);
    context.comm().allreduce_max(std::span(&kind, 1));
    context.comm().collectively([&] {
      if (texts == nullptr || kind == kTexts) return;
      if (kind == kWholeNumbers)
        column.values = whole_numbers(*texts);
      else
        column.values = real_numbers(*texts);
    });
  }
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
    write_csv(context, table, path, format == TableFormat::tsv ? '\t' : ',');
}

}  // namespace firesteel
