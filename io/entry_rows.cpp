// SPDX-License-Identifier: Apache-2.0
#include "firesteel/io/entry_rows.hpp"

#include <algorithm>
#include <cmath>
#include <tuple>

#include "firesteel/core/error.hpp"
#include "firesteel/core/parameters.hpp"
#include "firesteel/io/class_labels_check.hpp"
#include "firesteel/io/column_selection.hpp"
#include "firesteel/io/finish_rows.hpp"

namespace firesteel {

namespace {

std::size_t size(Index i) { return static_cast<std::size_t>(i); }

InputColumns columns_of(const EntryMatrix& matrix, const ReadOptions& options) {
  InputColumns columns{
      .source = matrix.source, .names = matrix.names, .count = matrix.columns, .numbered = true};
  if (!matrix.sparse) {
    for (Index j = 0; j < columns.count && matrix.names.empty() && options.expected == nullptr; ++j)
      columns.names.push_back(numbered_name(j));
    return columns;
  }
  if (!matrix.names.empty()) return columns;
  if (options.num_features && columns.count > *options.num_features)
    throw bad_input(matrix.source + " has " + std::to_string(columns.count) +
                    " columns, --num-features says " + std::to_string(*options.num_features));
  // Columns that the file does not reach are zeros.
  columns.count = std::max({columns.count, options.num_features.value_or(0), options.expected_features});
  return columns;
}

/// Sends every entry to the owner of its row.
std::vector<MatrixEntry> exchange(Communicator& comm, const BlockPartition& partition,
                                  std::vector<MatrixEntry> entries) {
  std::vector<Index> counts;
  std::vector<MatrixEntry> sorted;
  comm.collectively([&] {
    counts.resize(size(comm.size()));
    const auto owner = [&](const MatrixEntry& entry) {
      return partition.owner(entry.row / partition.block_rows());
    };
    for (const auto& entry : entries) ++counts[size(owner(entry))];
    std::vector<Index> next(counts.size(), 0);
    for (std::size_t i = 1; i < next.size(); ++i) next[i] = next[i - 1] + counts[i - 1];
    sorted.resize(entries.size());
    for (const auto& entry : entries) sorted[size(next[size(owner(entry))]++)] = entry;
    entries = {};
  });
  return comm.alltoallv(std::span<const MatrixEntry>(sorted), std::span<const Index>(counts));
}

/// Puts this rank's entries, in order, into its rows.
class EntryPacker {
 public:
  EntryPacker(const EntryMatrix& matrix, const ColumnPlan& plan, const ReadOptions& options, RowInput& input)
      : matrix_(matrix),
        plan_(plan),
        options_(options),
        input_(input),
        feature_of_(size(matrix.columns), -1) {
    for (std::size_t j = 0; j < plan.features.size(); ++j)
      if (plan.features[j] < matrix.columns) feature_of_[size(plan.features[j])] = static_cast<Index>(j);
    RowBlocks& rows = input.rows;
    first_row_ = rows.partition.first_row(rows.context.rank());
    local_rows_ = rows.local_rows();
    labels_.resize(plan.label ? size(local_rows_) : 0);
    kept_.assign(plan.keep.size(), std::vector<double>(size(local_rows_)));
    if (plan.weight) rows.weights.assign(size((local_rows_ + kTileRows - 1) / kTileRows * kTileRows), 0.0);
    if (options.missing == "drop") rows.dropped.assign(size(local_rows_), 0);
  }

  template <class Scalar>
  void pack_dense(const std::vector<MatrixEntry>& entries) {
    if (static_cast<Index>(entries.size()) != local_rows_ * matrix_.columns)
      throw internal_error("entries of a dense matrix are missing");
    DenseTiles<Scalar> tiles(local_rows_, static_cast<Index>(plan_.features.size()));
    for (const auto& entry : entries) {
      const Index row = entry.row - first_row_;
      const Index feature = feature_of_[size(entry.column)];
      if (feature >= 0) tiles.at(row, feature) = static_cast<Scalar>(feature_value(entry, row));
      other_parts(entry, row);
    }
    input_.rows.features = std::move(tiles);
  }

  template <class Scalar>
  void pack_sparse(const std::vector<MatrixEntry>& entries) {
    SparseRows<Scalar> rows;
    rows.columns_count = static_cast<Index>(plan_.features.size());
    rows.row_begin.reserve(size(local_rows_) + 1);
    std::vector<std::pair<std::int32_t, double>> row_entries;
    auto entry = entries.begin();
    for (Index row = 0; row < local_rows_; ++row) {
      row_entries.clear();
      for (; entry != entries.end() && entry->row == first_row_ + row; ++entry) {
        const Index feature = feature_of_[size(entry->column)];
        if (feature >= 0)
          row_entries.emplace_back(static_cast<std::int32_t>(feature), feature_value(*entry, row));
        other_parts(*entry, row);
      }
      std::sort(row_entries.begin(), row_entries.end());
      for (const auto& [feature, value] : row_entries) {
        rows.indices.push_back(feature);
        rows.values.push_back(static_cast<Scalar>(value));
      }
      rows.row_begin.push_back(static_cast<Index>(rows.indices.size()));
    }
    input_.rows.features = std::move(rows);
  }

  void finish(const InputColumns& columns) {
    input_.rows.has_labels = plan_.label.has_value();
    input_.rows.labels = std::move(labels_);
    input_.rows.schema.names = plan_.feature_names;
    for (std::size_t i = 0; i < plan_.keep.size(); ++i)
      input_.kept.columns.push_back({columns.name(plan_.keep[i]), std::move(kept_[i])});
  }

 private:
  double feature_value(const MatrixEntry& entry, Index row) {
    if (std::isnan(entry.value) && options_.missing == "drop") input_.rows.dropped[size(row)] = 1;
    return entry.value;
  }

  void other_parts(const MatrixEntry& entry, Index row) {
    const auto where = [&] {
      return matrix_.source + ": row " + std::to_string(entry.row) + ", column " +
             std::to_string(entry.column);
    };
    if (entry.column == plan_.label) {
      if (!std::isfinite(entry.value))
        throw bad_input(where() + ": expected a label, got " + number_text(entry.value), {0, entry.row});
      labels_[size(row)] = entry.value;
    }
    if (entry.column == plan_.weight) {
      if (!std::isfinite(entry.value) || entry.value < 0)
        throw bad_input(where() + ": expected a weight >= 0, got " + number_text(entry.value),
                        {0, entry.row});
      input_.rows.weights[size(row)] = entry.value;
    }
    for (std::size_t i = 0; i < plan_.keep.size(); ++i)
      if (plan_.keep[i] == entry.column) kept_[i][size(row)] = entry.value;
  }

  const EntryMatrix& matrix_;
  const ColumnPlan& plan_;
  const ReadOptions& options_;
  RowInput& input_;
  std::vector<Index> feature_of_;
  Index first_row_ = 0;
  Index local_rows_ = 0;
  std::vector<double> labels_;
  std::vector<std::vector<double>> kept_;
};

void sort_and_check(std::vector<MatrixEntry>& entries, const EntryMatrix& matrix) {
  const auto key = [](const MatrixEntry& entry) { return std::tuple(entry.row, entry.column); };
  std::sort(entries.begin(), entries.end(),
            [&](const MatrixEntry& a, const MatrixEntry& b) { return key(a) < key(b); });
  const auto twice = std::adjacent_find(entries.begin(), entries.end(),
                                        [&](const auto& a, const auto& b) { return key(a) == key(b); });
  if (twice != entries.end())
    throw bad_input(matrix.source + ": row " + std::to_string(twice->row) + ", column " +
                        std::to_string(twice->column) + " (counted from 0) is given twice",
                    {0, twice->row});
}

}  // namespace

std::string fault_of_value(double value, const ReadOptions& options, bool sparse) {
  if (std::isinf(value)) return "expected a finite number, got " + number_text(value);
  if (std::isnan(value)) {
    if (options.missing == "error") return "the value is missing (NaN); say --missing drop or --missing mean";
    if (sparse && options.missing == "mean")
      return "--missing mean is for dense features; drop leaves such rows out";
    return {};
  }
  if (options.single_precision && !std::isfinite(static_cast<float>(value)))
    return number_text(value) + " is beyond single precision";
  return {};
}

RowInput rows_of_entries(const Context& context, const ReadOptions& options, const EntryMatrix& matrix,
                         std::vector<MatrixEntry> entries, bool finish) {
  Communicator& comm = context.comm();
  InputColumns columns;
  const ColumnPlan plan = comm.collectively([&] {
    if (matrix.rows == 0) throw bad_input(matrix.source + " has no rows");
    columns = columns_of(matrix, options);
    return plan_columns(columns, std::vector<bool>(size(columns.count), false), options);
  });
  RowInput input{.rows = {.context = context}, .kept = {}};
  const Index value_bytes = options.single_precision ? sizeof(float) : sizeof(double);
  input.rows.partition = BlockPartition::even(
      matrix.rows, choose_block_rows(static_cast<Index>(plan.features.size()), value_bytes, matrix.sparse),
      comm.size());
  auto own = exchange(comm, input.rows.partition, std::move(entries));
  comm.collectively([&] {
    sort_and_check(own, matrix);
    EntryPacker packer(matrix, plan, options, input);
    if (matrix.sparse && options.single_precision)
      packer.pack_sparse<float>(own);
    else if (matrix.sparse)
      packer.pack_sparse<double>(own);
    else if (options.single_precision)
      packer.pack_dense<float>(own);
    else
      packer.pack_dense<double>(own);
    packer.finish(columns);
  });
  for (const auto& warning : plan.warnings) context.monitor().warning(warning);
  if (!finish) return input;
  finish_rows(input.rows, options, matrix.source);
  comm.collectively([&] {
    const auto bad = find_bad_label(input.rows, options);
    if (!bad) return;
    const Index row = input.rows.partition.first_row(comm.rank()) + bad->row;
    throw bad_input(matrix.source + ": row " + std::to_string(row) + ": " + bad->message(), {0, row});
  });
  return input;
}

}  // namespace firesteel
