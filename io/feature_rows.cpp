// SPDX-License-Identifier: Apache-2.0
#include "firesteel/io/feature_rows.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <memory>
#include <utility>

#include "firesteel/core/row_reader.hpp"
#include "firesteel/io/rows_output.hpp"
#include "firesteel/io/sparse_entries.hpp"

namespace firesteel {

namespace {

std::size_t size(Index i) { return static_cast<std::size_t>(i); }

void set_cell(TypedCell& cell, const ColumnValues& values, std::size_t row) {
  if (const auto* texts = std::get_if<std::vector<std::string>>(&values))
    cell.text = (*texts)[row];
  else if (const auto* whole = std::get_if<std::vector<std::int64_t>>(&values))
    cell.whole = (*whole)[row];
  else
    cell.real = std::get<std::vector<double>>(values)[row];
  cell.missing = std::isnan(cell.real);
}

/// Rows of features as packed rows.
class FeatureRows final : public BlockSource<std::string> {
 public:
  FeatureRows(RowInput input, std::vector<TableColumn> columns, bool has_weights)
      : input_(std::move(input)), columns_(std::move(columns)), has_weights_(has_weights) {}

  void read(Index block, RowCursor&, BlockRows<std::string>& out) const override {
    const RowBlocks& rows = input_.rows;
    std::vector<TypedCell> cells(columns_.size());
    const Index first = rows.partition.first_row(rows.context.rank());
    std::visit(
        [&](const auto& storage) {
          const auto reader = reader_of(storage);
          std::vector<double> dense;
          for (Index row = out.first_row; row < rows.partition.row_of_block(block + 1); ++row) {
            const std::size_t local = size(row - first);
            if (!rows.dropped.empty() && rows.dropped[local] != 0) continue;
            std::size_t next = set_features(storage, *reader, row - first, dense, cells);
            if (rows.has_labels) set_cell(cells[next++], rows.labels, local);
            if (has_weights_) cells[next++].real = rows.weights.empty() ? 1 : rows.weights[local];
            for (const auto& kept : input_.kept.columns) set_cell(cells[next++], kept.values, local);
            std::string packed = pack_row(columns_, cells);
            add_entries(storage, *reader, row - first, packed);
            out.values.push_back(std::move(packed));
            out.offsets.push_back(static_cast<std::uint16_t>(row - out.first_row));
          }
        },
        rows.features);
  }

 private:
  template <class Scalar>
  static std::unique_ptr<DenseRowReader<Scalar>> reader_of(const DenseTiles<Scalar>& tiles) {
    return std::make_unique<DenseRowReader<Scalar>>(tiles);
  }
  template <class Scalar>
  static std::unique_ptr<SparseRowReader<Scalar>> reader_of(const SparseRows<Scalar>& rows) {
    return std::make_unique<SparseRowReader<Scalar>>(rows);
  }
  /// Returns how many cells they are.
  template <class Scalar>
  static std::size_t set_features(const DenseTiles<Scalar>& tiles, DenseRowReader<Scalar>& reader, Index row,
                                  std::vector<double>& features, std::vector<TypedCell>& cells) {
    features.resize(size(tiles.columns()));
    reader.copy(row, features);
    for (std::size_t j = 0; j < features.size(); ++j)
      cells[j] = {.missing = std::isnan(features[j]), .real = features[j]};
    return features.size();
  }
  template <class Scalar>
  static std::size_t set_features(const SparseRows<Scalar>&, SparseRowReader<Scalar>&, Index,
                                  std::vector<double>&, std::vector<TypedCell>&) {
    return 0;
  }
  template <class Scalar>
  static void add_entries(const DenseTiles<Scalar>&, DenseRowReader<Scalar>&, Index, std::string&) {}
  template <class Scalar>
  static void add_entries(const SparseRows<Scalar>&, SparseRowReader<Scalar>& reader, Index row,
                          std::string& packed) {
    const auto [indices, values] = reader.row(row);
    append_entries(packed, indices, values);
  }

  RowInput input_;
  std::vector<TableColumn> columns_;
  bool has_weights_;
};

/// The kind of a column on all ranks: one without rows does not know. Collective.
TableKind kind_of(Communicator& comm, const ColumnValues& values) {
  const bool knows = column_size(values) > 0;
  const bool texts = comm.any(knows && std::holds_alternative<std::vector<std::string>>(values));
  const bool whole = comm.any(knows && std::holds_alternative<std::vector<std::int64_t>>(values));
  return texts ? TableKind::text : whole ? TableKind::whole : TableKind::real;
}

/// Where rows were dropped, weights of 1 were put beside the others: not the input's. Collective.
bool weighted(const RowBlocks& rows) {
  Communicator& comm = rows.context.comm();
  const bool dropped = comm.any(!rows.dropped.empty());
  bool uneven = false;
  for (std::size_t row = 0; row < size(rows.local_rows()) && !rows.weights.empty(); ++row)
    uneven = uneven || (rows.weights[row] != 1 && (rows.dropped.empty() || rows.dropped[row] == 0));
  const bool any_uneven = comm.any(uneven);
  return comm.any(!rows.weights.empty()) && (any_uneven || !dropped);
}

}  // namespace

TypedRows rows_of_features(const Context& context, RowInput input, const std::string& source) {
  Communicator& comm = context.comm();
  const RowBlocks& rows = input.rows;
  std::vector<TableColumn> columns;
  std::vector<ColumnPart> parts;
  std::optional<SparseColumns> sparse;
  const auto add = [&](const std::string& name, TableKind kind, ColumnPart part) {
    columns.push_back({name, kind});
    parts.push_back(part);
  };
  if (rows.sparse())
    sparse = SparseColumns{.count = rows.columns(), .names = rows.schema.names};
  else
    for (const auto& name : feature_names(rows)) add(name, TableKind::real, ColumnPart::feature);
  if (rows.has_labels) add("label", kind_of(comm, rows.labels), ColumnPart::label);
  const bool has_weights = weighted(rows);
  if (has_weights) add("weight", TableKind::real, ColumnPart::weight);
  for (const auto& kept : input.kept.columns) add(kept.name, kind_of(comm, kept.values), ColumnPart::none);
  const auto partition = std::make_shared<const BlockPartition>(rows.partition);
  const bool single = rows.single_precision();
  auto blocks = std::make_shared<const FeatureRows>(std::move(input), columns, has_weights);
  return {source,
          std::move(columns),
          {context, partition, ErasedPipeline<std::string>{std::move(blocks)}},
          std::move(sparse),
          std::move(parts),
          single};
}

}  // namespace firesteel
