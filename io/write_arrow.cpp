// SPDX-License-Identifier: Apache-2.0
// Parquet, Arrow and ORC are written as streams: rank 0 gathers batches of rows from the ranks and writes
// them.
#include "firesteel/io/write_arrow.hpp"

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <memory>
#include <optional>

#include "firesteel/core/error.hpp"
#include "firesteel/core/row_reader.hpp"
#include "firesteel/io/arrow_file.hpp"
#include "firesteel/io/output_file.hpp"
#include "firesteel/io/rows_output.hpp"

namespace firesteel {

namespace {

constexpr Index kBatchBytes = Index{32} << 20;
constexpr Index kMostBatchRows = Index{1} << 20;

std::size_t size(Index i) { return static_cast<std::size_t>(i); }

/// Gathers one column's values of all ranks on rank 0. Collective.
ColumnValues gather(Communicator& comm, TableKind kind, const ColumnValues& own) {
  // A rank without rows may hold another kind of nothing.
  if (kind == TableKind::text) {
    const auto* texts = std::get_if<std::vector<std::string>>(&own);
    return comm.allgather_texts(texts == nullptr ? std::span<const std::string>()
                                                 : std::span<const std::string>(*texts));
  }
  if (kind == TableKind::whole) {
    const auto* whole = std::get_if<std::vector<std::int64_t>>(&own);
    return comm.gatherv(
        whole == nullptr ? std::span<const std::int64_t>() : std::span<const std::int64_t>(*whole), 0);
  }
  const auto* reals = std::get_if<std::vector<double>>(&own);
  return comm.gatherv(reals == nullptr ? std::span<const double>() : std::span<const double>(*reals), 0);
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

}  // namespace

std::string arrow_format_of(const std::string& path) {
  const std::string extension = std::filesystem::path(path).extension().string();
  if (extension == ".parquet" || extension == ".pq") return "parquet";
  if (extension == ".arrow" || extension == ".feather") return "arrow";
  if (extension == ".orc") return "orc";
  return {};
}

void write_arrow(const Context& context, const std::string& path, const std::vector<TableColumn>& columns,
                 Index local_rows, ValuesOfRows values_of) {
  Communicator& comm = context.comm();
  const std::string format = arrow_format_of(path);
  const ArrowModule& module = *comm.collectively([&] { return &arrow_module(format); });
  const Index first = comm.exclusive_scan(local_rows);
  const Index total = comm.sum(local_rows);
  const Index batch_rows = std::clamp(
      kBatchBytes / (8 * std::max<Index>(1, static_cast<Index>(columns.size()))), Index{1}, kMostBatchRows);
  std::optional<OutputFile> file;
  std::unique_ptr<ArrowWriter> writer;
  comm.collectively([&] {
    if (comm.rank() != 0) return;
    file.emplace(path);
    writing(path, [&] { writer = module.create(file->temporary_path(), format, columns); });
  });
  for (Index begin = 0; begin < total; begin += batch_rows) {
    const Index from = std::clamp(begin - first, Index{0}, local_rows);
    const Index to = std::clamp(begin + batch_rows - first, Index{0}, local_rows);
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
      TableValues values{gather(comm, columns[column].kind, own[column].values), {}};
      if (lacks[column] != 0) {
        own[column].missing.resize(size(to - from), 0);
        values.missing = comm.gatherv(std::span<const std::uint8_t>(own[column].missing), 0);
      }
      batch.push_back(std::move(values));
    }
    comm.collectively([&] {
      if (comm.rank() == 0) writing(path, [&] { writer->write(batch); });
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
  write_arrow(output.context(), path, columns, output.count(), [&](Index begin, Index end) {
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
  });
}

}  // namespace firesteel
