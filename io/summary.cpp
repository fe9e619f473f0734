// SPDX-License-Identifier: Apache-2.0
#include "firesteel/io/summary.hpp"

#include <algorithm>
#include <cmath>
#include <memory>
#include <mutex>

#include "firesteel/core/parallel.hpp"
#include "firesteel/core/row_reader.hpp"
#include "firesteel/io/rows_output.hpp"
#include "firesteel/io/summary_column.hpp"
#include "firesteel/io/table_view.hpp"
#include "firesteel/io/typed_rows.hpp"

namespace firesteel {

namespace {

using detail::ColumnState;

std::size_t size(Index i) { return static_cast<std::size_t>(i); }

/// The states of a rank's columns: each thread borrows a set of its own, and they are merged at the end.
class States {
 public:
  States(const std::vector<TableColumn>& columns, bool exact) {
    for (const auto& column : columns) fresh_.emplace_back(column.kind, exact);
  }
  template <class Body>
  void with(Body&& body) {
    std::unique_ptr<std::vector<ColumnState>> own;
    {
      const std::lock_guard lock(mutex_);
      if (!free_.empty()) {
        own = std::move(free_.back());
        free_.pop_back();
      }
    }
    if (!own) own = std::make_unique<std::vector<ColumnState>>(fresh_);
    body(*own);
    const std::lock_guard lock(mutex_);
    free_.push_back(std::move(own));
  }
  std::vector<ColumnState> merged() {
    std::vector<ColumnState> all = fresh_;
    for (auto& each : free_)
      for (std::size_t i = 0; i < all.size(); ++i) all[i].merge(std::move((*each)[i]));
    return all;
  }

 private:
  std::vector<ColumnState> fresh_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<std::vector<ColumnState>>> free_;
};

Index count_numbers(const std::vector<TableColumn>& columns) {
  Index count = 0;
  for (const auto& column : columns) count += column.kind == TableKind::text ? 0 : 1;
  return count;
}

/// Room for the keys of a rank's numbers, or for sketches.
MemoryReservation reserve(const Context& context, Index local_rows, Index numbers, bool exact) {
  constexpr Index kSketchBytes = Index{1} << 20;
  return context.comm().collectively([&] {
    return MemoryReservation(context.memory(), exact ? 2 * 8 * local_rows * numbers : kSketchBytes * numbers,
                             "quantiles");
  });
}

void add_values(std::vector<ColumnState>& states, Index from, Index rows,
                const std::vector<TableValues>& values) {
  for (std::size_t j = 0; j < states.size(); ++j)
    std::visit(
        [&](const auto& column) {
          for (Index i = from; i < from + rows; ++i) {
            bool missing = missing_at(values[j], i);
            if constexpr (std::is_same_v<std::decay_t<decltype(column)>, std::vector<double>>)
              missing = missing || column[size(i)] != column[size(i)];
            if (missing)
              states[j].add_missing(1);
            else if constexpr (std::is_same_v<std::decay_t<decltype(column)>, std::vector<std::string>>)
              states[j].add(std::string_view(column[size(i)]));
            else
              states[j].add(column[size(i)]);
          }
        },
        values[j].values);
}

void describe_table(const Context& context, const Table& table, const TableView& view, Index top,
                    DataSummary& summary) {
  Communicator& comm = context.comm();
  std::vector<TableColumn> columns;
  std::vector<WantedColumn> wanted;
  for (Index column = 0; column < view.columns.count; ++column) {
    if (view.kind(column) == TableKind::other) continue;
    columns.push_back({view.columns.name(column), view.kind(column)});
    wanted.push_back({column, TableWant::as_it_is});
  }
  summary.rows = table.rows();
  const Index first = table.rows() * comm.rank() / comm.size();
  const Index end = table.rows() * (comm.rank() + 1) / comm.size();
  const Index numbers = count_numbers(columns);
  const bool exact = table.rows() <= kMostExactNumbers / std::max<Index>(1, numbers);
  const MemoryReservation reserved = reserve(context, end - first, numbers, exact);
  auto states = comm.collectively([&] {
    States all(columns, exact);
    const auto reading = plan_reading(context, table, static_cast<Index>(wanted.size()));
    read_table_rows(
        context, table, view, reading, first, end, wanted,
        [&](const TablePart&, Index, Index from, Index rows, const std::vector<TableValues>& values) {
          all.with([&](auto& own) { add_values(own, from, rows, values); });
        });
    return all.merged();
  });
  auto found = detail::finish_columns(comm, columns, states, top);
  std::size_t next = 0;
  for (Index column = 0; column < view.columns.count; ++column) {
    if (view.kind(column) == TableKind::other)
      summary.columns.push_back({.name = view.columns.name(column), .kind = TableKind::other});
    else
      summary.columns.push_back(std::move(found[next++]));
  }
}

template <class Scalar>
void add_features(const RowBlocks& rows, const DenseTiles<Scalar>& tiles, States& all) {
  for_each_block(rows, [&](Index block, int) {
    all.with([&](auto& states) {
      const Index first = rows.partition.first_row(rows.context.rank());
      for (Index row = rows.partition.row_of_block(block) - first;
           row < rows.partition.row_of_block(block + 1) - first; ++row)
        for (Index column = 0; column < tiles.columns(); ++column) {
          const auto value = static_cast<double>(tiles.at(row, column));
          if (value != value)
            states[size(column)].add_missing(1);
          else
            states[size(column)].add(value);
        }
    });
  });
}

template <class Scalar>
void add_features(const RowBlocks&, const SparseRows<Scalar>& rows, States& all) {
  all.with([&](auto& states) {
    std::vector<Index> given(size(rows.columns()), 0);
    SparseRowReader<Scalar> reader(rows);
    for (Index r = 0; r < rows.local_rows(); ++r) {
      const auto row = reader.row(r);
      for (std::size_t i = 0; i < row.indices.size(); ++i) {
        const auto column = static_cast<std::size_t>(row.indices[i]);
        states[column].add(static_cast<double>(row.values[i]));
        ++given[column];
      }
    }
    for (std::size_t column = 0; column < given.size(); ++column)
      states[column].add_zeros(rows.local_rows() - given[column]);
  });
}

void add_label(const RowBlocks& rows, std::size_t column, States& all) {
  all.with([&](auto& states) {
    std::visit(
        [&](const auto& labels) {
          for (const auto& label : labels) {
            if constexpr (std::is_same_v<std::decay_t<decltype(label)>, std::string>)
              states[column].add(std::string_view(label));
            else
              states[column].add(label);
          }
        },
        rows.labels);
  });
}

/// A label of doubles that are all whole is one of whole numbers, as its classes are.
void settle_whole_label(Communicator& comm, RowBlocks& rows) {
  const auto* numbers = std::get_if<std::vector<double>>(&rows.labels);
  constexpr double kMostWhole = 9007199254740992.0;
  const bool broken = numbers != nullptr && std::any_of(numbers->begin(), numbers->end(), [](double value) {
                        return !(std::abs(value) <= kMostWhole) || std::floor(value) != value;
                      });
  if (comm.any(broken) || numbers == nullptr) return;
  std::vector<std::int64_t> whole;
  for (const double value : *numbers) whole.push_back(static_cast<std::int64_t>(value));
  rows.labels = std::move(whole);
}

void describe_rows(const Context& context, const ReadOptions& options, Index top, DataSummary& summary) {
  Communicator& comm = context.comm();
  RowBlocks rows = read_rows(context, options).rows;
  settle_whole_label(comm, rows);
  summary.rows = rows.partition.rows();
  summary.sparse = rows.sparse();
  std::visit(
      [&](const auto& storage) {
        if constexpr (requires { storage.non_zeros(); }) summary.nonzeros = comm.sum(storage.non_zeros());
      },
      rows.features);
  const bool narrow = !rows.sparse() || rows.columns() <= kMostSparseColumns;
  std::vector<TableColumn> columns;
  if (narrow)
    for (const auto& name : feature_names(rows)) columns.push_back({name, TableKind::real});
  const std::size_t features = columns.size();
  const bool labelled = rows.has_labels && rows.local_rows() > 0;
  const bool texts = comm.any(labelled && std::holds_alternative<std::vector<std::string>>(rows.labels));
  const bool whole = comm.any(labelled && std::holds_alternative<std::vector<std::int64_t>>(rows.labels));
  if (rows.has_labels)
    columns.push_back({"label", texts ? TableKind::text : whole ? TableKind::whole : TableKind::real});
  const bool weighted = comm.any(!rows.weights.empty());
  if (weighted) columns.push_back({"weight", TableKind::real});
  const Index numbers = count_numbers(columns);
  const bool exact = summary.rows <= kMostExactNumbers / std::max<Index>(1, numbers);
  const MemoryReservation reserved = reserve(context, rows.local_rows(), numbers, exact);
  auto states = comm.collectively([&] {
    States all(columns, exact);
    if (narrow) std::visit([&](const auto& storage) { add_features(rows, storage, all); }, rows.features);
    if (rows.has_labels) add_label(rows, features, all);
    if (weighted)
      all.with([&](auto& own) {
        for (Index row = 0; row < rows.local_rows(); ++row)
          own.back().add(rows.weights.empty() ? 1.0 : rows.weights[size(row)]);
      });
    return all.merged();
  });
  summary.columns = detail::finish_columns(comm, columns, states, top);
}

}  // namespace

DataSummary describe_data(const Context& context, const ReadOptions& options, Index top) {
  DataSummary summary;
  summary.format = format_of_files(context.comm(), options, options.inputs);
  if (is_column_format(summary.format))
    with_table(context, options, [&](const Table& table, const TableView& view) {
      describe_table(context, table, view, top, summary);
    });
  else
    describe_rows(context, options, top, summary);
  return summary;
}

}  // namespace firesteel
