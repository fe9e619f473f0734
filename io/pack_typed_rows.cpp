// SPDX-License-Identifier: Apache-2.0
#include "firesteel/io/pack_typed_rows.hpp"

#include <algorithm>
#include <cmath>
#include <memory>
#include <utility>

#include "firesteel/core/dataset/sequence.hpp"
#include "firesteel/core/parallel.hpp"
#include "firesteel/core/parameters.hpp"
#include "firesteel/core/sparse_rows_builder.hpp"
#include "firesteel/io/column_selection.hpp"
#include "firesteel/io/quoted.hpp"
#include "firesteel/io/sparse_entries.hpp"

namespace firesteel {

namespace {

std::size_t size(Index i) { return static_cast<std::size_t>(i); }

/// Which columns play which part; replicated.
struct Plan {
  std::vector<Index> features;  ///< columns, in the order of the features
  std::optional<Index> label;
  std::optional<Index> weight;
  std::vector<std::string> names;  ///< of all features; empty: they have none
  Index sparse = 0;                ///< features that are sparse
  bool sparse_first = true;

  Index width() const { return static_cast<Index>(features.size()) + sparse; }
  /// Feature of the i-th of `features`.
  Index dense_feature(std::size_t i) const { return static_cast<Index>(i) + (sparse_first ? sparse : 0); }
  Index sparse_feature(Index column) const {
    return column + (sparse_first ? 0 : static_cast<Index>(features.size()));
  }
};

/// The options applied to the columns of a table. Collective.
ColumnPlan plan_of_table(const TypedRows& rows, const ReadOptions& options, bool may_have_none) {
  const Context& context = rows.rows.context();
  auto plan = context.comm().collectively([&] {
    InputColumns columns{.source = rows.source, .count = static_cast<Index>(rows.columns.size())};
    std::vector<bool> is_text;
    for (const auto& column : rows.columns) {
      columns.names.push_back(column.name);
      is_text.push_back(column.kind == TableKind::text);
    }
    return plan_columns(columns, is_text, options, may_have_none);
  });
  for (const auto& warning : plan.warnings) context.monitor().warning(warning);
  if (!plan.left_out.empty())
    context.monitor().warning("text columns are left out: " + list_names(plan.left_out));
  return plan;
}

Plan plan_of(const TypedRows& rows, const ReadOptions& options) {
  Plan plan;
  if (rows.is_table()) {
    ColumnPlan table = plan_of_table(rows, options, false);
    plan.features = std::move(table.features);
    plan.label = table.label;
    plan.weight = table.weight;
    plan.names = std::move(table.feature_names);
    return plan;
  }
  std::vector<std::string> dense_names;
  for (std::size_t i = 0; i < rows.columns.size(); ++i) {
    const auto column = static_cast<Index>(i);
    if (rows.parts[i] == ColumnPart::label) plan.label = column;
    if (rows.parts[i] == ColumnPart::weight) plan.weight = column;
    if (rows.parts[i] != ColumnPart::feature) continue;
    plan.features.push_back(column);
    dense_names.push_back(rows.columns[i].name);
  }
  if (!rows.sparse) {
    plan.names = std::move(dense_names);
    return plan;
  }
  plan.sparse = rows.sparse->count;
  plan.sparse_first = rows.sparse->first;
  plan.names = rows.sparse->names;
  if (!dense_names.empty())
    plan.names.insert(plan.sparse_first ? plan.names.end() : plan.names.begin(), dense_names.begin(),
                      dense_names.end());
  return plan;
}

/// Of global row `row`, which is named where the block is run.
[[noreturn]] void fail(const TypedRows& rows, Index row, const std::string& what, const std::string& column) {
  throw bad_input(rows.source + ": " + what + " (column " + quoted(column) + ")", {0, row});
}

/// Local rows of features that are filled block by block. Labels and weights are kept by number of row.
class Packer {
 public:
  Packer(const TypedRows& rows, const Plan& plan, RowBlocks& packed)
      : rows_(rows), plan_(plan), packed_(packed), first_(packed.partition.first_row(packed.context.rank())) {
    const std::size_t local = size(packed.local_rows());
    packed.has_labels = plan.label.has_value();
    if (plan.label) {
      const TableKind kind = rows.columns[size(*plan.label)].kind;
      if (kind == TableKind::text)
        packed.labels = std::vector<std::string>(local);
      else if (kind == TableKind::whole)
        packed.labels = std::vector<std::int64_t>(local);
      else
        packed.labels = std::vector<double>(local);
    }
    if (plan.weight) packed.weights.assign((local + kTileRows - 1) / kTileRows * kTileRows, 0.0);
  }

  /// A row's label and weight. By any thread, each row once.
  void set_parts(Index local, const std::vector<TypedCell>& cells) {
    if (plan_.weight) {
      const double weight = number(local, *plan_.weight, cells);
      if (weight < 0)
        fail(rows_, first_ + local, "expected a weight >= 0, got " + number_text(weight),
             rows_.columns[size(*plan_.weight)].name);
      packed_.weights[size(local)] = weight;
    }
    if (!plan_.label) return;
    const TypedCell& cell = cells[size(*plan_.label)];
    if (cell.missing)
      fail(rows_, first_ + local, "the label is missing", rows_.columns[size(*plan_.label)].name);
    if (auto* texts = std::get_if<std::vector<std::string>>(&packed_.labels))
      (*texts)[size(local)] = cell.text;
    else if (auto* whole = std::get_if<std::vector<std::int64_t>>(&packed_.labels))
      (*whole)[size(local)] = cell.whole;
    else
      std::get<std::vector<double>>(packed_.labels)[size(local)] = cell.real;
  }

  double number(Index local, Index column, const std::vector<TypedCell>& cells) const {
    const TypedCell& cell = cells[size(column)];
    const TableColumn& described = rows_.columns[size(column)];
    if (cell.missing)
      fail(rows_, first_ + local,
           std::string("a value is missing; say --missing drop") +
               (rows_.sparse ? "" : ", or write .csv or .parquet"),
           described.name);
    const double value = described.kind == TableKind::whole ? static_cast<double>(cell.whole) : cell.real;
    if (!std::isfinite(value))
      fail(rows_, first_ + local, "expected finite numbers as features", described.name);
    return value;
  }

  template <class Scalar>
  Scalar as(Index local, Index feature, double value) const {
    const auto number = static_cast<Scalar>(value);
    if (std::isnan(value))
      fail(rows_, first_ + local, "a value is missing; say --missing drop", feature_name(feature));
    if (!std::isfinite(number))
      fail(rows_, first_ + local, number_text(value) + " is beyond single precision", feature_name(feature));
    return number;
  }

 private:
  std::string feature_name(Index feature) const {
    return plan_.names.empty() ? numbered_name(feature) : plan_.names[size(feature)];
  }

  const TypedRows& rows_;
  const Plan& plan_;
  RowBlocks& packed_;
  Index first_;
};

/// body(local row, cells, what follows them) for the rows of an own block.
template <class Data, class Body>
void for_rows(const Data& data, const TypedRows& rows, Index block, Body&& body) {
  std::vector<TypedCell> cells;
  Index local = data.partition().row_of_block(block) - data.partition().first_row(data.context().rank());
  data.run_block(block, [&](auto&& packed) {
    const std::string_view rest = unpack_row(rows.columns, packed, cells);
    body(local++, cells, rest);
  });
}

template <class Scalar, class Data>
DenseTiles<Scalar> pack_dense(const Data& data, const TypedRows& rows, const Plan& plan, RowBlocks& packed) {
  const Context& context = packed.context;
  DenseTiles<Scalar> tiles(context, packed.local_rows(), plan.width(), packed.partition.block_rows());
  Packer packer(rows, plan, packed);
  const Index first = packed.partition.first_block(context.rank());
  parallel_for(context.threads(), packed.partition.end_block(context.rank()) - first, [&](Index i, int) {
    const Index first_row = packed.partition.first_row(context.rank());
    const Index begin = packed.partition.row_of_block(first + i) - first_row;
    const Index end = packed.partition.row_of_block(first + i + 1) - first_row;
    tiles.begin_rows(begin, end);
    for_rows(data, rows, first + i, [&](Index local, const std::vector<TypedCell>& cells, std::string_view) {
      for (std::size_t j = 0; j < plan.features.size(); ++j)
        tiles.at(local, static_cast<Index>(j)) =
            packer.as<Scalar>(local, static_cast<Index>(j), packer.number(local, plan.features[j], cells));
      packer.set_parts(local, cells);
    });
    tiles.end_rows(begin, end);
  });
  return tiles;
}

template <class Data>
Index count_entries(const Data& data, const TypedRows& rows, const Plan& plan) {
  const Context& context = data.context();
  const Index first = data.partition().first_block(context.rank());
  std::vector<Index> counts(size(data.partition().end_block(context.rank()) - first));
  parallel_for(context.threads(), static_cast<Index>(counts.size()), [&](Index i, int) {
    Index count = 0;
    for_rows(data, rows, first + i, [&](Index, const std::vector<TypedCell>&, std::string_view rest) {
      count += static_cast<Index>(EntriesView(rest).count() + plan.features.size());
    });
    counts[size(i)] = count;
  });
  Index total = 0;
  for (const Index count : counts) total += count;
  return total;
}

template <class Scalar, class Data>
SparseRows<Scalar> pack_sparse(const Data& data, const TypedRows& rows, const Plan& plan, RowBlocks& packed) {
  const Context& context = packed.context;
  SparseRowsBuilder<Scalar> builder(context, packed.local_rows(), plan.width(), packed.partition.block_rows(),
                                    count_entries(data, rows, plan));
  Packer packer(rows, plan, packed);
  std::vector<std::int32_t> indices;
  std::vector<Scalar> values;
  for (Index block = packed.partition.first_block(context.rank());
       block < packed.partition.end_block(context.rank()); ++block)
    for_rows(data, rows, block, [&](Index local, const std::vector<TypedCell>& cells, std::string_view rest) {
      indices.clear();
      values.clear();
      const auto put = [&](Index feature, double value) {
        indices.push_back(static_cast<std::int32_t>(feature));
        values.push_back(packer.as<Scalar>(local, feature, value));
      };
      const auto put_dense = [&] {
        for (std::size_t j = 0; j < plan.features.size(); ++j)
          if (const double value = packer.number(local, plan.features[j], cells); value != 0)
            put(plan.dense_feature(j), value);
      };
      if (!plan.sparse_first) put_dense();
      const EntriesView entries(rest);
      for (std::size_t i = 0; i < entries.count(); ++i)
        put(plan.sparse_feature(entries.column(i)), entries.value(i));
      if (plan.sparse_first) put_dense();
      packer.set_parts(local, cells);
      builder.add(indices, values);
    });
  return builder.finish();
}

/// Rows without those where a feature is missing.
TypedRows without_missing(const TypedRows& rows, const Plan& plan) {
  const auto whole = [columns = rows.columns, features = plan.features,
                      sparse = rows.sparse.has_value()](const std::string& row) {
    std::vector<TypedCell> cells;
    const std::string_view rest = unpack_row(columns, row, cells);
    for (const Index feature : features)
      if (cells[size(feature)].missing) return false;
    if (!sparse) return true;
    const EntriesView entries(rest);
    for (std::size_t i = 0; i < entries.count(); ++i)
      if (std::isnan(entries.value(i))) return false;
    return true;
  };
  return with_rows(rows, rows.rows.filter(whole));
}

}  // namespace

TypedRows with_parts(const TypedRows& rows, const ReadOptions& options) {
  TypedRows parted = rows;
  if (!rows.is_table()) return parted;
  const ColumnPlan plan = plan_of_table(rows, options, true);
  parted.parts.assign(rows.columns.size(), ColumnPart::none);
  for (const Index column : plan.features) parted.parts[size(column)] = ColumnPart::feature;
  if (plan.label) parted.parts[size(*plan.label)] = ColumnPart::label;
  if (plan.weight) parted.parts[size(*plan.weight)] = ColumnPart::weight;
  return parted;
}

RowBlocks pack_typed_rows(TypedRows rows, const ReadOptions& options) {
  const Context context = rows.rows.context();
  Communicator& comm = context.comm();
  const Plan plan = plan_of(rows, options);
  if (options.missing == "drop") rows = without_missing(rows, plan);
  const bool sparse = rows.sparse.has_value();
  const bool single = rows.single_precision || options.single_precision;
  const Index block_rows = comm.collectively([&] {
    if (plan.width() == 0) throw bad_input(rows.source + " has no columns that can be features");
    return choose_block_rows(plan.width(), single ? sizeof(float) : sizeof(double), sparse);
  });
  const auto data = detail::dealt(rows.rows, block_rows);
  rows.rows = data;  // what was read and sorted is given up
  RowBlocks packed{.context = context};
  packed.partition = data.partition();
  packed.rows_used = data.partition().rows();
  packed.schema.names = plan.names;
  comm.collectively([&] {
    const bool texts = plan.label && rows.columns[size(*plan.label)].kind == TableKind::text;
    packed.reserved = std::make_shared<MemoryReservation>(
        context.memory(), packed.local_rows() * ((plan.label ? (texts ? 32 : 8) : 0) + (plan.weight ? 8 : 0)),
        "labels and weights");
    if (sparse && single)
      packed.features = pack_sparse<float>(data, rows, plan, packed);
    else if (sparse)
      packed.features = pack_sparse<double>(data, rows, plan, packed);
    else if (single)
      packed.features = pack_dense<float>(data, rows, plan, packed);
    else
      packed.features = pack_dense<double>(data, rows, plan, packed);
  });
  return packed;
}

}  // namespace firesteel
