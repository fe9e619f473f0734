// SPDX-License-Identifier: Apache-2.0
#include "firesteel/io/write_data.hpp"

#include <algorithm>
#include <filesystem>

#include "firesteel/core/error.hpp"
#include "firesteel/io/column_selection.hpp"
#include "firesteel/io/rows_output.hpp"
#include "firesteel/io/write_table.hpp"

namespace firesteel {

namespace {

enum class DataFormat { csv, tsv, libsvm, hdf5 };

DataFormat format_of(const std::string& path) {
  const std::string extension = std::filesystem::path(path).extension().string();
  if (path == "-" || extension == ".csv") return DataFormat::csv;
  if (extension == ".tsv") return DataFormat::tsv;
  if (extension == ".libsvm" || extension == ".svm" || extension == ".svmlight") return DataFormat::libsvm;
  if (extension == ".h5" || extension == ".hdf5") return DataFormat::hdf5;
  throw bad_parameter(
      "--output: expected a file name that ends in .csv, .tsv, .libsvm, .svm, .h5 or .hdf5, got '" + path +
      "'");
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

}  // namespace

std::vector<std::string> feature_names(const RowBlocks& rows) {
  if (!rows.schema.names.empty()) return rows.schema.names;
  std::vector<std::string> names;
  for (Index column = 0; column < rows.columns(); ++column) names.push_back(numbered_name(column));
  return names;
}

void write_rows(const RowBlocks& rows, const std::string& path) {
  const DataFormat format = rows.context.comm().collectively([&] { return format_of(path); });
  const RowsOutput output = select_rows(rows);
  if (format == DataFormat::hdf5)
    write_rows_hdf5(output, path);
  else if (format == DataFormat::libsvm)
    write_rows_libsvm(output, path);
  else
    write_rows_csv(output, path, format == DataFormat::tsv ? '\t' : ',');
}

void write_ratings(const Ratings& ratings, const std::string& path) {
  Communicator& comm = ratings.context.comm();
  const ColumnTable table = comm.collectively([&] {
    if (format_of(path) == DataFormat::libsvm)
      throw bad_input("LIBSVM files hold no users and items: write .csv or .h5");
    ColumnTable columns{{{"user", ratings.users}, {"item", ratings.items}}};
    if (ratings.has_ratings) columns.columns.push_back({"rating", ratings.ratings});
    return columns;
  });
  write_table(ratings.context, table, path);
}

}  // namespace firesteel
