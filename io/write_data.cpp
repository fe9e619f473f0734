// SPDX-License-Identifier: Apache-2.0
#include "firesteel/io/write_data.hpp"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "firesteel/core/error.hpp"
#include "firesteel/io/column_selection.hpp"
#include "firesteel/io/packed_file.hpp"
#include "firesteel/io/parts_output.hpp"
#include "firesteel/io/rows_output.hpp"
#include "firesteel/io/write_arrow.hpp"
#include "firesteel/io/write_table.hpp"

namespace firesteel {

namespace {

enum class DataFormat { csv, tsv, libsvm, hdf5, numpy, mtx, jsonl, arrow, packed };

DataFormat format_of(const std::string& path) {
  static constexpr std::pair<const char*, DataFormat> kExtensions[] = {
      {".csv", DataFormat::csv},    {".tsv", DataFormat::tsv},         {".libsvm", DataFormat::libsvm},
      {".svm", DataFormat::libsvm}, {".svmlight", DataFormat::libsvm}, {".h5", DataFormat::hdf5},
      {".hdf5", DataFormat::hdf5},  {".npy", DataFormat::numpy},       {".npz", DataFormat::numpy},
      {".mtx", DataFormat::mtx},    {".jsonl", DataFormat::jsonl},     {".ndjson", DataFormat::jsonl},
      {".fsp", DataFormat::packed}};
  const std::string extension = std::filesystem::path(path).extension().string();
  if (path == "-") return DataFormat::csv;
  for (const auto& [ending, format] : kExtensions)
    if (extension == ending) return format;
  if (!arrow_format_of(path).empty()) return DataFormat::arrow;
  throw bad_parameter(
      "--output: expected a file name that ends in .csv, .tsv, .libsvm, .svm, .h5, .hdf5, .npy, .npz, .mtx, "
      ".jsonl, "
      ".parquet, .arrow, .orc or .fsp, got '" +
      path + "'");
}

/// Collective.
RowsOutput select_rows(const RowBlocks& rows) {
  Communicator& comm = rows.context.comm();
  RowsOutput output{.rows = &rows};
  comm.collectively([&] {
    for (Index row = 0; row < rows.local_rows(); ++row)
      if (rows.dropped.empty() || rows.dropped[static_cast<std::size_t>(row)] == 0)
        output.used.push_back(row);
  });
  output.first = comm.exclusive_scan(output.count());
  output.total = comm.sum(output.count());
  output.has_labels = rows.has_labels;
  // A rank without rows does not know the kind.
  const bool labelled = output.count() > 0 && rows.has_labels;
  output.text_labels = comm.any(labelled && std::holds_alternative<std::vector<std::string>>(rows.labels));
  output.whole_labels = comm.any(labelled && std::holds_alternative<std::vector<std::int64_t>>(rows.labels));
  // Where rows were dropped, weights of 1 were put beside the others: not the input's.
  const bool weighted = comm.any(!rows.weights.empty());
  const bool uneven = comm.any(std::any_of(output.used.begin(), output.used.end(),
                                           [&](Index row) { return output.weight(row) != 1; }));
  output.has_weights = weighted && (uneven || output.total == rows.partition.rows());
  return output;
}

void write_selected(const RowsOutput& output, DataFormat format, const std::string& path) {
  switch (format) {
    case DataFormat::hdf5:
      return write_rows_hdf5(output, path);
    case DataFormat::libsvm:
      return write_rows_libsvm(output, path);
    case DataFormat::numpy:
      return write_rows_numpy(output, path);
    case DataFormat::mtx:
      return write_rows_matrix_market(output, path);
    case DataFormat::jsonl:
      return write_rows_json(output, path);
    case DataFormat::arrow:
      return write_rows_arrow(output, path);
    case DataFormat::packed:
      return;
    case DataFormat::csv:
    case DataFormat::tsv:
      return write_rows_csv(output, path, format == DataFormat::tsv ? '\t' : ',');
  }
}

}  // namespace

const std::vector<std::string>& output_extensions() {
  static const std::vector<std::string> extensions{
      ".csv", ".tsv",   ".libsvm", ".svm",     ".svmlight", ".h5",    ".hdf5",    ".npy", ".npz",
      ".mtx", ".jsonl", ".ndjson", ".parquet", ".pq",       ".arrow", ".feather", ".orc", ".fsp"};
  return extensions;
}

void write_rows(const RowBlocks& rows, const std::string& path) {
  const DataFormat format = rows.context.comm().collectively([&] { return format_of(without_slash(path)); });
  if (format == DataFormat::packed) return write_rows_packed(rows, path);
  const RowsOutput output = select_rows(rows);
  if (!is_parts(path)) return write_selected(output, format, path);
  write_parts(rows.context, path, output.count(), [&](const Context& own, const std::string& part) {
    RowsOutput mine = output;
    mine.alone = &own;
    mine.first = 0;
    mine.total = mine.count();
    write_selected(mine, format, part);
  });
}

std::vector<std::string> feature_names(const RowBlocks& rows) {
  if (!rows.schema.names.empty()) return rows.schema.names;
  std::vector<std::string> names;
  for (Index column = 0; column < rows.columns(); ++column) names.push_back(numbered_name(column));
  return names;
}

void write_ratings(const Ratings& ratings, const std::string& path) {
  Communicator& comm = ratings.context.comm();
  if (is_parts(path)) {
    const auto own_rows = static_cast<Index>(column_size(ratings.users));
    return write_parts(ratings.context, path, own_rows, [&](const Context& own, const std::string& part) {
      Ratings mine = ratings;
      mine.context = own;
      mine.rows = own_rows;
      mine.first_row = 0;
      write_ratings(mine, part);
    });
  }
  const ColumnTable table = comm.collectively([&] {
    const DataFormat format = format_of(path);
    if (format == DataFormat::libsvm)
      throw bad_input("LIBSVM files hold no users and items: write .csv or .h5");
    if (format == DataFormat::numpy || format == DataFormat::mtx || format == DataFormat::jsonl ||
        format == DataFormat::packed)
      throw bad_input("ratings are written as .csv, .h5 or .parquet, not as " +
                      std::filesystem::path(path).extension().string());
    ColumnTable columns{{{"user", ratings.users}, {"item", ratings.items}}};
    if (ratings.has_ratings) columns.columns.push_back({"rating", ratings.ratings});
    return columns;
  });
  if (arrow_format_of(path).empty()) return write_table(ratings.context, table, path);
  std::vector<TableColumn> columns;
  for (const auto& column : table.columns) {
    std::int64_t kind =
        column_size(column.values) == 0 ? 0 : static_cast<std::int64_t>(column.values.index());
    comm.allreduce_max(std::span(&kind, 1));
    static constexpr TableKind kKinds[] = {TableKind::real, TableKind::whole, TableKind::text};
    columns.push_back({column.name, kKinds[kind]});
  }
  write_arrow(ratings.context, path, columns, table.local_rows(), [&](Index first, Index end) {
    std::vector<TableValues> values;
    for (const auto& column : table.columns)
      std::visit(
          [&](const auto& all) {
            values.push_back({std::decay_t<decltype(all)>(all.begin() + first, all.begin() + end), {}});
          },
          column.values);
    return values;
  });
}

}  // namespace firesteel
