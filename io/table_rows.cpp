// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <limits>

#include "firesteel/core/parameters.hpp"
#include "firesteel/io/class_labels_check.hpp"
#include "firesteel/io/finish_rows.hpp"
#include "firesteel/io/table_view.hpp"

namespace firesteel {

namespace {

std::size_t size(Index i) { return static_cast<std::size_t>(i); }

using Doubles = std::vector<double>;
using Integers = std::vector<std::int64_t>;
using Texts = std::vector<std::string>;

Error missing_feature(const Table& table, const TableView& view, const TablePart& part, Index row,
                      Index column) {
  return bad_input(table.where(part, row) +
                       ": the value is missing; say --missing drop or --missing mean (column '" +
                       view.columns.name(column) + "')",
                   {part.file, row});
}

/// Where values of features are known to be missing and none may be: throws 65 for the first of this rank's
/// rows, before memory is taken for all of them, which a short text of many names can make many.
void refuse_gaps(const Context& context, const ReadOptions& options, const Table& table,
                 const TableView& view, const ColumnPlan& plan, Index first_row, Index end_row) {
  std::vector<WantedColumn> wanted;
  for (const Index column : plan.features)
    if (size(column) < table.columns.size() && table.columns[size(column)].gaps)
      wanted.push_back({column, TableWant::doubles});
  if (options.missing != "error" || wanted.empty()) return;
  const auto reading = plan_reading(context, table, static_cast<Index>(wanted.size()));
  read_table_rows(
      context, table, view, reading, first_row, end_row, wanted,
      [&](const TablePart& part, Index row, Index from, Index rows, const std::vector<TableValues>& values) {
        for (Index i = 0; i < rows; ++i)
          for (std::size_t j = 0; j < wanted.size(); ++j)
            if (missing_at(values[j], from + i))
              throw missing_feature(table, view, part, row + i, wanted[j].column);
      });
}

template <class Scalar>
class TablePacker {
 public:
  TablePacker(const Table& table, const TableView& view, const ColumnPlan& plan, const ReadOptions& options,
              RowInput& input)
      : table_(table), view_(view), plan_(plan), options_(options), input_(input) {
    RowBlocks& rows = input.rows;
    first_row_ = rows.partition.first_row(rows.context.rank());
    const Index local = rows.local_rows();
    tiles = DenseTiles<Scalar>(rows.context, local, static_cast<Index>(plan.features.size()),
                               rows.partition.block_rows());
    for (const Index column : plan.features) wanted.push_back({column, TableWant::doubles});
    if (plan.weight) wanted.push_back({*plan.weight, TableWant::doubles});
    if (plan.label) wanted.push_back({*plan.label, TableWant::as_it_is});
    for (const Index column : plan.keep) wanted.push_back({column, TableWant::as_it_is});
    if (plan.weight) weights.assign(size((local + kTileRows - 1) / kTileRows * kTileRows), 0.0);
    if (options.missing == "drop") dropped.assign(size(local), 0);
    if (plan.label) labels = empty_column(*plan.label, local);
    for (const Index column : plan.keep) kept.push_back(empty_column(column, local));
    kept_missing.assign(kept.size(), std::vector<std::uint8_t>(size(local)));
  }

  void take(const TablePart& part, Index row, Index from, Index rows,
            const std::vector<TableValues>& values) {
    const std::size_t features = plan_.features.size();
    const Index local = row - first_row_;
    tiles.begin_rows(local, local + rows);
    for (std::size_t j = 0; j < features; ++j) put_feature(part, row, from, rows, j, values[j]);
    std::size_t next = features;
    if (plan_.weight) put_weights(part, row, from, rows, values[next++]);
    if (plan_.label) put_labels(part, row, from, rows, values[next++]);
    for (std::size_t i = 0; i < kept.size(); ++i, ++next) {
      put_column(row, from, rows, values[next], kept[i]);
      for (Index j = 0; j < rows; ++j)
        kept_missing[i][size(row + j - first_row_)] = missing_at(values[next], from + j) ? 1 : 0;
    }
    for (Index i = local; i < local + rows && !dropped.empty(); ++i)
      if (dropped[size(i)] != 0)
        for (Index j = 0; j < tiles.columns(); ++j) tiles.at(i, j) = 0;
    tiles.end_rows(local, local + rows);
  }

  DenseTiles<Scalar> tiles;
  std::vector<WantedColumn> wanted;
  AlignedVector<double> weights;
  std::vector<std::uint8_t> dropped;
  ColumnValues labels;
  std::vector<ColumnValues> kept;
  std::vector<std::vector<std::uint8_t>> kept_missing;

 private:
  ColumnValues empty_column(Index column, Index rows) const {
    if (view_.kind(column) == TableKind::text) return Texts(size(rows));
    if (view_.kind(column) == TableKind::whole) return Integers(size(rows));
    return Doubles(size(rows));
  }

  Error error(const TablePart& part, Index row, Index column, const std::string& what) const {
    return bad_input(table_.where(part, row) + ": " + what + " (column '" + view_.columns.name(column) + "')",
                     {part.file, row});
  }

  void put_feature(const TablePart& part, Index row, Index from, Index rows, std::size_t feature,
                   const TableValues& values) {
    const double* numbers = std::get<Doubles>(values.values).data() + from;
    const Index column = plan_.features[feature];
    Index local = row - first_row_;
    for (Index i = 0; i < rows;) {
      const Index lanes = std::min(rows - i, kTileRows - local % kTileRows);
      Scalar* cells =
          tiles.tile(local / kTileRows) + static_cast<Index>(feature) * kTileRows + local % kTileRows;
      bool good = true;
      for (Index lane = 0; lane < lanes; ++lane) {
        cells[lane] = static_cast<Scalar>(numbers[i + lane]);
        good = good && std::isfinite(cells[lane]);
      }
      if (!good || !values.missing.empty())
        for (Index lane = 0; lane < lanes; ++lane)
          if (missing_at(values, from + i + lane) || !std::isfinite(cells[lane]))
            cells[lane] = unusual(part, row + i + lane, column,
                                  missing_at(values, from + i + lane) ? kNaN : numbers[i + lane]);
      i += lanes;
      local += lanes;
    }
  }

  Scalar unusual(const TablePart& part, Index row, Index column, double value) {
    if (std::isinf(value))
      throw error(part, row, column, "expected a finite number, got " + number_text(value));
    if (!std::isnan(value))
      throw error(part, row, column, number_text(value) + " is beyond single precision");
    if (options_.missing == "error") throw missing_feature(table_, view_, part, row, column);
    if (options_.missing == "mean") return std::numeric_limits<Scalar>::quiet_NaN();
    dropped[size(row - first_row_)] = 1;
    return 0;
  }

  void put_weights(const TablePart& part, Index row, Index from, Index rows, const TableValues& values) {
    const auto& numbers = std::get<Doubles>(values.values);
    for (Index i = 0; i < rows; ++i) {
      const double weight = numbers[size(from + i)];
      if (missing_at(values, from + i) || !std::isfinite(weight) || weight < 0)
        throw error(part, row + i, *plan_.weight,
                    "expected a weight >= 0, got " +
                        (missing_at(values, from + i) ? "nothing" : number_text(weight)));
      weights[size(row + i - first_row_)] = weight;
    }
  }

  void put_labels(const TablePart& part, Index row, Index from, Index rows, const TableValues& values) {
    for (Index i = 0; i < rows; ++i) {
      bool missing = missing_at(values, from + i);
      if (const auto* texts = std::get_if<Texts>(&values.values))
        missing = missing || texts->at(size(from + i)).empty();
      if (missing) throw error(part, row + i, *plan_.label, "the label is missing");
      const auto* numbers = std::get_if<Doubles>(&values.values);
      if (numbers == nullptr) continue;
      const double label = (*numbers)[size(from + i)];
      if (!std::isfinite(label))
        throw error(part, row + i, *plan_.label,
                    "expected a finite number as label, got " + number_text(label));
    }
    put_column(row, from, rows, values, labels);
  }

  void put_column(Index row, Index from, Index rows, const TableValues& values, ColumnValues& out) {
    std::visit(
        [&](auto& column) {
          const auto& source = std::get<std::decay_t<decltype(column)>>(values.values);
          for (Index i = 0; i < rows; ++i) {
            auto& place = column[size(row + i - first_row_)];
            if (!missing_at(values, from + i))
              place = source[size(from + i)];
            else if constexpr (std::is_same_v<std::decay_t<decltype(place)>, double>)
              place = kNaN;
          }
        },
        out);
  }

  static constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

  const Table& table_;
  const TableView& view_;
  const ColumnPlan& plan_;
  const ReadOptions& options_;
  RowInput& input_;
  Index first_row_ = 0;
};

template <class Scalar>
RowInput read_rows(const Context& context, const ReadOptions& options, const Table& table,
                   const TableView& view, const ColumnPlan& plan) {
  Communicator& comm = context.comm();
  RowInput input{.rows = {.context = context}, .kept = {}};
  RowBlocks& rows = input.rows;
  rows.partition = BlockPartition::even(
      table.rows(), choose_block_rows(static_cast<Index>(plan.features.size()), sizeof(Scalar), false),
      comm.size());
  std::vector<std::vector<std::uint8_t>> kept_missing;
  comm.collectively([&] {
    refuse_gaps(context, options, table, view, plan, rows.partition.first_row(comm.rank()),
                rows.partition.end_row(comm.rank()));
  });
  comm.collectively([&] {
    const Index label_bytes = plan.label ? (view.is_text[size(*plan.label)] ? 32 : 8) : 0;
    rows.reserved = std::make_shared<MemoryReservation>(
        context.memory(), rows.local_rows() * (label_bytes + (plan.weight ? 8 : 0)), "labels and weights");
    const auto reading = plan_reading(context, table, static_cast<Index>(plan.features.size()));
    TablePacker<Scalar> packer(table, view, plan, options, input);
    read_table_rows(
        context, table, view, reading, rows.partition.first_row(comm.rank()),
        rows.partition.end_row(comm.rank()), packer.wanted,
        [&](const TablePart& part, Index row, Index from, Index count,
            const std::vector<TableValues>& values) { packer.take(part, row, from, count, values); });
    rows.features = std::move(packer.tiles);
    rows.labels = std::move(packer.labels);
    rows.weights = std::move(packer.weights);
    rows.dropped = std::move(packer.dropped);
    for (std::size_t i = 0; i < plan.keep.size(); ++i)
      input.kept.columns.push_back({view.columns.name(plan.keep[i]), std::move(packer.kept[i])});
    kept_missing = std::move(packer.kept_missing);
    rows.has_labels = plan.label.has_value();
    rows.schema.names = plan.feature_names;
  });
  for (std::size_t i = 0; i < plan.keep.size(); ++i) {
    auto& values = input.kept.columns[i].values;
    values = with_missing(comm, std::move(values), kept_missing[i]);
  }
  finish_rows(rows, options, view.columns.source);
  comm.collectively([&] {
    const auto bad = find_bad_label(rows, options);
    if (!bad) return;
    const Index row = rows.partition.first_row(comm.rank()) + bad->row;
    const auto part =
        std::partition_point(table.parts.begin(), table.parts.end(),
                             [&](const TablePart& each) { return each.first_row + each.rows <= row; });
    throw bad_input(table.where(*part, row) + ": " + bad->message() + " (column '" +
                        view.columns.name(*plan.label) + "')",
                    {part->file, row});
  });
  return input;
}

}  // namespace

RowInput read_rows_table(const Context& context, const ReadOptions& options, const Table& table) {
  const auto plan_and_view = context.comm().collectively([&] {
    TableView view(table);
    if (table.rows() == 0) throw bad_input(table.paths.front() + " has no rows");
    ColumnPlan plan = plan_columns(view.columns, view.is_text, options);
    if (plan.label) view.require_values(*plan.label, "--label");
    if (plan.weight && view.is_text[size(*plan.weight)])
      throw bad_input("--weight: column '" + options.weight + "' of " + view.columns.source +
                      " holds no numbers");
    for (const Index column : plan.keep) view.require_values(column, "--keep");
    return std::pair(std::move(plan), std::move(view));
  });
  const auto& [plan, view] = plan_and_view;
  for (const auto& warning : plan.warnings) context.monitor().warning(warning);
  if (!plan.left_out.empty())
    context.monitor().warning("text columns are left out: " + list_names(plan.left_out));
  if (!plan.reserved.empty())
    context.monitor().warning("columns are left out as user, item or rating: " + list_names(plan.reserved) +
                              "; --features takes them in");
  return options.single_precision ? read_rows<float>(context, options, table, view, plan)
                                  : read_rows<double>(context, options, table, view, plan);
}

RowsShape measure_rows_table(const Context& context, const ReadOptions& options, const Table& table) {
  return context.comm().collectively([&]() -> RowsShape {
    const TableView view(table);
    const ColumnPlan plan = plan_columns(view.columns, view.is_text, options);
    return {.rows = table.rows(),
            .columns = static_cast<Index>(plan.features.size()),
            .has_labels = plan.label.has_value()};
  });
}

}  // namespace firesteel
