// SPDX-License-Identifier: Apache-2.0
#include "firesteel/io/write_data.hpp"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "firesteel/core/error.hpp"
#include "firesteel/core/memory.hpp"
#include "firesteel/core/memory_pool.hpp"
#include "firesteel/core/rating_chunks.hpp"
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

/// Sparse rows as cells, one for each column: their names, and a row of them in each thread.
MemoryReservation reserve_cells(const RowBlocks& rows, DataFormat format) {
  const bool text = format == DataFormat::csv || format == DataFormat::tsv || format == DataFormat::jsonl;
  if (!rows.sparse() || !(text || format == DataFormat::arrow)) return {};
  constexpr double kText = 150;   // twice a name and once in order, and a row's text
  constexpr double kArrow = 300;  // its builders, and a column's description
  const double bytes = (text ? kText : kArrow) * static_cast<double>(rows.columns());
  const std::string what =
      "rows of " + std::to_string(rows.columns()) + " cells (not so in .libsvm, .h5, .npz, .mtx or .fsp)";
  require_memory(rows.context.comm(), bytes, what);
  return {rows.context.memory(), static_cast<Index>(bytes), what};
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
  const auto reserved = rows.context.comm().collectively([&] { return reserve_cells(rows, format); });
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

namespace {

/// The format of ratings in a file of that name; throws 65 for those that hold none.
DataFormat format_of_ratings(const std::string& path) {
  const DataFormat format = format_of(path);
  if (format == DataFormat::libsvm)
    throw bad_input("LIBSVM files hold no users and items: write .csv or .h5");
  if (format == DataFormat::numpy || format == DataFormat::mtx || format == DataFormat::jsonl ||
      format == DataFormat::packed)
    throw bad_input("ratings are written as .csv, .h5 or .parquet, not as " +
                    std::filesystem::path(path).extension().string());
  return format;
}

ColumnTable table_of(const Ratings& ratings) {
  ColumnTable table{{{"user", ratings.users}, {"item", ratings.items}}};
  if (ratings.has_ratings) table.columns.push_back({"rating", ratings.ratings});
  return table;
}

/// This rank's ratings in parts: chunks in scratch, or all at once.
TableParts parts_of(const Ratings& ratings) {
  TableParts parts{.names = {"user", "item"}, .count = ratings.chunks ? ratings.chunks->count() : 1};
  if (ratings.has_ratings) parts.names.emplace_back("rating");
  parts.make = [&](Index part) {
    return table_of(ratings.chunks ? ratings.chunks->read(ratings, part) : ratings);
  };
  return parts;
}

/// Rows here and there of a table in parts, best in order: the part that was looked at last is kept.
class PartReader {
 public:
  explicit PartReader(const TableParts& table) : table_(table) {}

  /// Calls use(part, its rows [first, end)) for the parts that hold the table's rows [first, end), in order.
  template <class Use>
  void rows(Index first, Index end, const Use& use) {
    if (first < begin_) part_ = -1;
    while (first < end) {
      if (part_ < 0 || first >= begin_ + made_.local_rows()) {
        next_part();
        continue;
      }
      const Index stop = std::min(end, begin_ + made_.local_rows());
      use(made_, first - begin_, stop - begin_);
      first = stop;
    }
  }

 private:
  void next_part() {
    begin_ = part_ < 0 ? 0 : begin_ + made_.local_rows();
    made_ = table_.make(++part_);
  }

  const TableParts& table_;
  Index part_ = -1;
  Index begin_ = 0;  ///< row of the table that part_ begins with
  ColumnTable made_;
};

/// Collective.
std::vector<TableColumn> columns_of(Communicator& comm, const TableParts& table) {
  std::vector<std::int64_t> kinds(table.names.size(), 0);
  comm.collectively([&] {
    for (Index part = 0; part < table.count; ++part) {
      const ColumnTable made = table.make(part);
      for (std::size_t i = 0; i < kinds.size(); ++i)
        if (made.local_rows() > 0) kinds[i] = static_cast<std::int64_t>(made.columns[i].values.index());
      if (made.local_rows() > 0) break;  // all parts that have rows are alike
    }
  });
  comm.allreduce_max(std::span(kinds));
  static constexpr TableKind kKinds[] = {TableKind::real, TableKind::whole, TableKind::text};
  std::vector<TableColumn> columns;
  for (std::size_t i = 0; i < kinds.size(); ++i) columns.push_back({table.names[i], kKinds[kinds[i]]});
  return columns;
}

std::vector<TableValues> rows_of(PartReader& reader, std::size_t columns, Index first, Index end) {
  std::vector<TableValues> values(columns);
  reader.rows(first, end, [&](const ColumnTable& part, Index from, Index to) {
    for (std::size_t i = 0; i < columns; ++i)
      std::visit(
          [&](const auto& all) {
            using Values = std::decay_t<decltype(all)>;
            if (column_size(values[i].values) == 0) values[i].values = Values();
            auto& some = std::get<Values>(values[i].values);
            some.insert(some.end(), all.begin() + from, all.begin() + to);
          },
          part.columns[i].values);
  });
  return values;
}

Index bytes_of_texts(PartReader& reader, Index first, Index end) {
  Index bytes = 0;
  reader.rows(first, end, [&](const ColumnTable& part, Index from, Index to) {
    for (const auto& column : part.columns)
      if (const auto* texts = std::get_if<std::vector<std::string>>(&column.values))
        for (Index i = from; i < to; ++i)
          bytes += static_cast<Index>((*texts)[static_cast<std::size_t>(i)].size());
  });
  return bytes;
}

}  // namespace

void write_ratings(const Ratings& ratings, const std::string& path) {
  const Index own_rows = ratings.chunks ? ratings.chunks->rows() : column_size(ratings.users);
  if (is_parts(path)) {
    return write_parts(ratings.context, path, own_rows, [&](const Context& own, const std::string& part) {
      Ratings mine = ratings;
      mine.context = own;
      mine.rows = own_rows;
      mine.first_row = 0;
      write_ratings(mine, part);
    });
  }
  Communicator& comm = ratings.context.comm();
  comm.collectively([&] { format_of_ratings(path); });
  const TableParts table = parts_of(ratings);
  if (arrow_format_of(path).empty()) {
    if (ratings.chunks)
      write_table(ratings.context, table, path);
    else
      write_table(ratings.context, table.make(0), path);
    return;
  }
  const auto columns = columns_of(comm, table);
  PartReader reader(table);
  write_arrow(
      ratings.context, path, columns, own_rows,
      [&](Index first, Index end) { return rows_of(reader, columns.size(), first, end); },
      [&](Index first, Index end) { return bytes_of_texts(reader, first, end); });
}

}  // namespace firesteel
