// SPDX-License-Identifier: Apache-2.0
// Parquet, Arrow and ORC are written as streams: rank 0 gathers batches of rows from the ranks and writes
// them. To a store, Parquet and Arrow are written by all ranks.
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
#include "firesteel/io/arrow_batches.hpp"
#include "firesteel/io/output_file.hpp"
#include "firesteel/io/rows_output.hpp"
#include "firesteel/io/store.hpp"

namespace firesteel {

namespace {

std::size_t size(Index i) { return static_cast<std::size_t>(i); }

/// What batches take while they travel and are encoded: twice as values, once as Arrow has them; and once
/// more where all ranks write, of which each may have gathered two.
Index bytes_of_writing(const std::vector<TableColumn>& columns, Index rows, bool together) {
  const Index all = rows * static_cast<Index>(columns.size()) * (8 + kTextBytes);
  return (together ? 4 : 3) * std::min(kArrowBatchBytes, all);
}

/// Batches travel to rank 0, which writes them one after another.
void write_by_rank_0(Communicator& comm, const std::string& path, const ArrowModule& module,
                     const std::vector<TableColumn>& columns, const ArrowBatches& batches,
                     ValuesOfRows values_of) {
  std::optional<OutputFile> file;
  std::unique_ptr<ArrowWriter> writer;
  comm.collectively([&] {
    if (comm.rank() != 0) return;
    file.emplace(path);
    writing_arrow(path,
                  [&] { writer = module.create(file->temporary_path(), arrow_format_of(path), columns); });
  });
  for (std::size_t i = 0; i < batches.count(); ++i) {
    auto batch = gather_batch(comm, columns, batches, i, 0, values_of);
    comm.collectively([&] {
      if (comm.rank() == 0) writing_arrow(path, [&] { writer->write(std::move(batch)); });
    });
  }
  comm.collectively([&] {
    if (comm.rank() != 0) return;
    writing_arrow(path, [&] { writer->finish(); });
    file->sync();
    file->commit();
  });
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
  const ArrowBatches batches = cut_batches(comm, columns, local_rows, text_bytes);
  const bool together = is_url(path) && comm.size() > 1 && format != "orc" && batches.count() > 1;
  MemoryReservation reserved;
  comm.collectively([&] {
    reserved = MemoryReservation(context.memory(), bytes_of_writing(columns, batches.total(), together),
                                 "rows that are written");
  });
  if (together)
    write_arrow_together(context, path, module, columns, batches, values_of);
  else
    write_by_rank_0(comm, path, module, columns, batches, values_of);
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
