// SPDX-License-Identifier: Apache-2.0
// Parquet, Arrow and ORC are written as streams: rank 0 gathers batches of rows from the ranks and writes
// them.
#include "firesteel/io/write_arrow.hpp"

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <memory>
#include <optional>
#include <utility>

#include "firesteel/core/error.hpp"
#include "firesteel/core/memory_pool.hpp"
#include "firesteel/core/row_reader.hpp"
#include "firesteel/io/arrow_file.hpp"
#include "firesteel/io/output_file.hpp"
#include "firesteel/io/rows_output.hpp"

namespace firesteel {

namespace {

constexpr Index kBatchBytes = Index{8} << 20;
constexpr Index kMostBatchRows = Index{1} << 20;
/// Rows whose texts are weighed together.
constexpr Index kGranuleRows = 1024;
/// Of a text in memory, beside its bytes.
constexpr Index kTextBytes = 32;

std::size_t size(Index i) { return static_cast<std::size_t>(i); }

/// Where batches begin, and the rows' end: batches of as many rows as numbers of 8 bytes fill, fewer where
/// texts are long, whole granules then. A function of the rows alone. Collective.
std::vector<Index> cut_batches(Communicator& comm, const std::vector<TableColumn>& columns, Index first,
                               Index local_rows, Index total, BytesOfTexts text_bytes) {
  const Index row_bytes = 8 * std::max<Index>(1, static_cast<Index>(columns.size()));
  const Index most_rows = std::clamp(kBatchBytes / row_bytes, Index{1}, kMostBatchRows);
  const auto texts = std::count_if(columns.begin(), columns.end(),
                                   [](const TableColumn& column) { return column.kind == TableKind::text; });
  std::vector<Index> begin;
  if (texts == 0) {
    for (Index row = 0; row < total; row += most_rows) begin.push_back(row);
    begin.push_back(total);
    return begin;
  }
  const Index granule = std::min(kGranuleRows, most_rows);
  std::vector<std::int64_t> bytes;
  comm.collectively([&] {
    bytes.assign(size((total + granule - 1) / granule), 0);
    for (Index row = first; row < first + local_rows;) {
      const Index end = std::min(first + local_rows, (row / granule + 1) * granule);
      bytes[size(row / granule)] =
          text_bytes(row - first, end - first) + (end - row) * (row_bytes + kTextBytes * texts);
      row = end;
    }
  });
  comm.allreduce_sum(std::span(bytes));
  Index rows = 0;
  Index held = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const bool full = rows + granule > most_rows || held + bytes[i] > kBatchBytes;
    if (i == 0 || full) {
      begin.push_back(static_cast<Index>(i) * granule);
      rows = held = 0;
    }
    rows += granule;
    held += bytes[i];
  }
  begin.push_back(total);
  return begin;
}

/// The texts of all ranks on rank 0. Collective.
std::vector<std::string> gather_texts(Communicator& comm, std::vector<std::string> own) {
  std::vector<Index> lengths;
  std::string characters;
  comm.collectively([&] {
    for (const auto& text : own) {
      lengths.push_back(static_cast<Index>(text.size()));
      characters += text;
    }
    own = {};
  });
  const auto all_lengths = comm.gatherv(std::span<const Index>(lengths), 0);
  const auto all = comm.gatherv(std::span<const char>(characters), 0);
  return comm.collectively([&] { return cut_texts(all_lengths, all); });
}

/// Gathers one column's values of all ranks on rank 0. Collective.
ColumnValues gather(Communicator& comm, TableKind kind, ColumnValues own) {
  // A rank without rows may hold another kind of nothing.
  if (kind == TableKind::text) {
    auto* texts = std::get_if<std::vector<std::string>>(&own);
    std::vector<std::string> values = texts == nullptr ? std::vector<std::string>() : std::move(*texts);
    if (comm.size() == 1) return values;
    return gather_texts(comm, std::move(values));
  }
  if (kind == TableKind::whole) {
    auto* whole = std::get_if<std::vector<std::int64_t>>(&own);
    std::vector<std::int64_t> values = whole == nullptr ? std::vector<std::int64_t>() : std::move(*whole);
    if (comm.size() == 1) return values;
    return comm.gatherv(std::span<const std::int64_t>(values), 0);
  }
  auto* reals = std::get_if<std::vector<double>>(&own);
  std::vector<double> values = reals == nullptr ? std::vector<double>() : std::move(*reals);
  if (comm.size() == 1) return values;
  return comm.gatherv(std::span<const double>(values), 0);
}

/// Calls body(), and makes an error of writing of what Arrow throws.
template <class Body>
void writing(const std::string& path, Body&& body) {
  try {
    body();
  } catch (const Error&) {
    throw;
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const std::exception& fault) {
    throw Error(ErrorCode::io_failed,
                "writing " + path + " failed: " + fault.what() + "; an older file stays as it was");
  }
}

/// What a batch takes while it travels and is encoded: twice as values, once as Arrow has it.
Index bytes_of_writing(const std::vector<TableColumn>& columns, Index rows) {
  const Index all = rows * static_cast<Index>(columns.size()) * (8 + kTextBytes);
  return 3 * std::min(kBatchBytes, all);
}

}  // namespace

std::string arrow_format_of(const std::string& path) {
  const std::string extension = std::filesystem::path(path).extension().string();
  if (extension == ".parquet" || extension == ".pq") return "parquet";
  if (extension == ".arrow" || extension == ".feather") return "arrow";
  if (extension == ".orc") return "orc";
  return {};
}

void write_arrow(const Context& context, const std::string& path, const std::vector<TableColumn>& columns,
                 Index local_rows, ValuesOfRows values_of, BytesOfTexts text_bytes) {
  Communicator& comm = context.comm();
  const std::string format = arrow_format_of(path);
  const ArrowModule& module = *comm.collectively([&] { return &arrow_module(format); });
  const Index first = comm.exclusive_scan(local_rows);
  const Index total = comm.sum(local_rows);
  const auto begin = cut_batches(comm, columns, first, local_rows, total, text_bytes);
  std::optional<OutputFile> file;
  std::unique_ptr<ArrowWriter> writer;
  MemoryReservation reserved;
  comm.collectively([&] {
    reserved = MemoryReservation(context.memory(), bytes_of_writing(columns, total), "rows that are written");
    if (comm.rank() != 0) return;
    file.emplace(path);
    writing(path, [&] { writer = module.create(file->temporary_path(), format, columns); });
  });
  for (std::size_t i = 0; i + 1 < begin.size(); ++i) {
    const Index from = std::clamp(begin[i] - first, Index{0}, local_rows);
    const Index to = std::clamp(begin[i + 1] - first, Index{0}, local_rows);
    std::vector<TableValues> own;
    std::vector<std::int64_t> lacks(columns.size(), 0);
    comm.collectively([&] {
      own = values_of(from, to);
      for (std::size_t column = 0; column < columns.size(); ++column)
        lacks[column] = own[column].missing.empty() ? 0 : 1;
    });
    comm.allreduce_max(std::span(lacks));
    std::vector<TableValues> batch;
    for (std::size_t column = 0; column < columns.size(); ++column) {
      TableValues values{gather(comm, columns[column].kind, std::move(own[column].values)), {}};
      if (lacks[column] != 0) {
        own[column].missing.resize(size(to - from), 0);
        values.missing = comm.gatherv(std::span<const std::uint8_t>(own[column].missing), 0);
      }
      own[column] = {};
      batch.push_back(std::move(values));
    }
    comm.collectively([&] {
      if (comm.rank() == 0) writing(path, [&] { writer->write(std::move(batch)); });
    });
  }
  comm.collectively([&] {
    if (comm.rank() != 0) return;
    writing(path, [&] { writer->finish(); });
    file->sync();
    file->commit();
  });
}

namespace {

template <class Scalar>
std::unique_ptr<SparseRowReader<Scalar>> reader_of(const SparseRows<Scalar>& rows) {
  return std::make_unique<SparseRowReader<Scalar>>(rows);
}
template <class Scalar>
std::unique_ptr<DenseRowReader<Scalar>> reader_of(const DenseTiles<Scalar>& rows) {
  return std::make_unique<DenseRowReader<Scalar>>(rows);
}

}  // namespace

void write_rows_arrow(const RowsOutput& output, const std::string& path) {
  const RowBlocks& rows = *output.rows;
  std::vector<TableColumn> columns;
  for (const auto& name : feature_names(rows)) columns.push_back({name, TableKind::real});
  const TableKind label_kind = output.text_labels    ? TableKind::text
                               : output.whole_labels ? TableKind::whole
                                                     : TableKind::real;
  if (output.has_labels) columns.push_back({"label", label_kind});
  if (output.has_weights) columns.push_back({"weight", TableKind::real});
  output.context().comm().collectively([&] {
    std::vector<std::string> names;
    for (const auto& column : columns) names.push_back(column.name);
    std::sort(names.begin(), names.end());
    if (const auto twice = std::adjacent_find(names.begin(), names.end()); twice != names.end())
      throw bad_input("the output would have two columns named '" + *twice + "': leave one out by --exclude");
  });
  const auto text_bytes = [&](Index begin, Index end) {
    Index bytes = 0;
    if (const auto* texts = std::get_if<std::vector<std::string>>(&rows.labels))
      for (Index i = begin; i < end; ++i)
        bytes += static_cast<Index>((*texts)[size(output.used[size(i)])].size());
    return bytes;
  };
  const auto values_of = [&](Index begin, Index end) {
    std::vector<TableValues> values;
    std::visit(
        [&](const auto& storage) {
          for (Index column = 0; column < storage.columns(); ++column)
            values.push_back({std::vector<double>(size(end - begin)), {}});
          std::vector<double> dense(size(storage.columns()));
          const auto reader = reader_of(storage);
          for (Index i = begin; i < end; ++i) {
            const Index row = output.used[size(i)];
            if constexpr (requires { storage.row_begin; }) {
              const auto [indices, entries] = reader->row(row);
              for (std::size_t j = 0; j < indices.size(); ++j)
                std::get<0>(values[static_cast<std::size_t>(indices[j])].values)[size(i - begin)] =
                    static_cast<double>(entries[j]);
            } else {
              reader->copy(row, dense);
              for (std::size_t column = 0; column < dense.size(); ++column)
                std::get<0>(values[column].values)[size(i - begin)] = dense[column];
            }
          }
        },
        rows.features);
    if (output.has_labels)
      std::visit(
          [&](const auto& labels) {
            std::decay_t<decltype(labels)> used;
            for (Index i = begin; i < end; ++i) used.push_back(labels[size(output.used[size(i)])]);
            values.push_back({std::move(used), {}});
          },
          rows.labels);
    if (output.has_weights) {
      std::vector<double> weights;
      for (Index i = begin; i < end; ++i) weights.push_back(output.weight(output.used[size(i)]));
      values.push_back({std::move(weights), {}});
    }
    return values;
  };
  write_arrow(output.context(), path, columns, output.count(), values_of, text_bytes);
}

}  // namespace firesteel
