// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <cstring>

#include "firesteel/core/error.hpp"
#include "firesteel/core/parameters.hpp"
#include "firesteel/io/class_labels_check.hpp"
#include "firesteel/io/column_selection.hpp"
#include "firesteel/io/packed_reader.hpp"

namespace firesteel {

namespace {

std::size_t size(Index i) { return static_cast<std::size_t>(i); }

}  // namespace

namespace detail {

PackedSides::PackedSides(const PackedReader& reader, const PackedHeader& header, RowBlocks& rows)
    : reader_(reader), header_(header), rows_(rows) {
  const std::size_t count = size(reader.rows());
  if (header.label_kind == 0) rows.labels = std::vector<double>(count);
  if (header.label_kind == 1) rows.labels = std::vector<std::int64_t>(count);
  if (header.label_kind == 2) rows.labels = std::vector<std::string>(count);
  if (header.has_weights) rows.weights.assign((count + kTileRows - 1) / kTileRows * kTileRows, 0.0);
  if (header.has_dropped) rows.dropped.assign(count, 0);
  const Index first = reader.first_sum_block() * header.block_rows;
  const Index end = reader.end_sum_block() * header.block_rows;
  for (const auto& [place, bytes] : {std::pair(&header.labels, header.label_bytes),
                                     {&header.weights, Index{8}},
                                     {&header.dropped, Index{4}}})
    reader.expect(*place, first * bytes, end * bytes);
}

void PackedSides::take(const SideValues& values) {
  for (Index row = std::max(values.first, reader_.first_row); row < std::min(values.end, reader_.end_row);
       ++row) {
    const std::size_t from = size(row - values.first);
    const std::size_t to = size(row - reader_.first_row);
    if (header_.label_kind >= 0) put_label(values, from, to);
    if (header_.has_weights) rows_.weights[to] = weight(values, row, from);
    if (header_.has_dropped) rows_.dropped[to] = values.dropped[from] != 0 ? 1 : 0;
  }
}

double PackedSides::weight(const SideValues& values, Index row, std::size_t from) const {
  const double value = values.weights[from];
  if (!(value >= 0) || !std::isfinite(value)) reader_.damaged(row, "has the weight " + number_text(value));
  return value;
}
void PackedSides::put_label(const SideValues& values, std::size_t from, std::size_t to) {
  const char* const bytes = values.labels.data() + from * size(header_.label_bytes);
  std::visit(
      [&](auto& labels) {
        using Label = typename std::decay_t<decltype(labels)>::value_type;
        if constexpr (std::is_same_v<Label, std::string>)
          labels[to].assign(bytes, strnlen(bytes, size(header_.label_bytes)));
        else
          std::memcpy(&labels[to], bytes, sizeof(Label));
      },
      rows_.labels);
}

}  // namespace detail

namespace {

/// Columns that are copied beside predictions: features by name or number, `label`, `weight`.
ColumnTable keep_columns(const RowBlocks& rows, const std::string& path, const ReadOptions& options) {
  ColumnTable kept;
  InputColumns columns{.source = path,
                       .names = rows.schema.names,
                       .count = rows.columns(),
                       .numbered = rows.schema.names.empty()};
  for (const auto& name : options.keep) {
    if (name == "label" && rows.has_labels) {
      kept.columns.push_back({name, rows.labels});
      continue;
    }
    const Index column = require_column(columns, name, "--keep");
    std::vector<double> values;
    std::vector<double> row(size(rows.columns()));
    for (Index i = 0; i < rows.local_rows(); ++i)
      std::visit(
          [&](const auto& storage) {
            if constexpr (requires { storage.copy_row(i, row); }) {
              storage.copy_row(i, row);
              values.push_back(row[size(column)]);
            } else {
              const auto indices = storage.row_indices(i);
              const auto found = std::lower_bound(indices.begin(), indices.end(), column);
              const bool there = found != indices.end() && *found == column;
              values.push_back(
                  there ? static_cast<double>(storage.row_values(i)[size(found - indices.begin())]) : 0.0);
            }
          },
          rows.features);
    kept.columns.push_back({columns.name(column), std::move(values)});
  }
  return kept;
}

/// Of all columns of the file, which are read once more where the model has others.
ColumnTable read_kept(const Context& context, const ReadOptions& options, const std::string& path,
                      const detail::PackedReader& reader, const PackedHeader& header, RowBlocks& rows) {
  rows.has_labels = header.label_kind >= 0;
  if (rows.columns() == header.columns && rows.schema.names == header.schema.names)
    return keep_columns(rows, path, options);
  ReadOptions all = options;
  all.expected = nullptr;
  all.expected_features = 0;
  RowBlocks whole{.context = context};
  whole.partition = rows.partition;
  whole.rows_used = rows.rows_used;
  detail::read_packed_features(context, all, path, reader, header, whole);
  whole.has_labels = rows.has_labels;
  return keep_columns(whole, path, options);
}

void use_labels(const std::string& path, const ReadOptions& options, RowBlocks& rows, int kind) {
  rows.has_labels = kind >= 0 && options.label_use != ReadOptions::Label::ignored;
  if (kind < 0 && options.label_use == ReadOptions::Label::required)
    throw bad_input(path + " was packed without a label: convert the data anew, with --label NAME");
  if (!rows.has_labels) rows.labels = std::vector<double>();
  if (!rows.has_labels || !expects_texts(options)) return;
  std::vector<std::string> texts;
  if (const auto* numbers = std::get_if<std::vector<double>>(&rows.labels))
    for (const double number : *numbers) texts.push_back(number_text(number));
  else if (const auto* whole = std::get_if<std::vector<std::int64_t>>(&rows.labels))
    for (const std::int64_t number : *whole) texts.push_back(std::to_string(number));
  else
    return;
  rows.labels = std::move(texts);
}

const std::string& only_one(const std::vector<std::string>& paths) {
  if (paths.size() != 1)
    throw bad_input("packed files are read one at a time, got " + std::to_string(paths.size()) +
                    ": convert the original data to one packed file");
  return paths.front();
}

}  // namespace

RowInput read_rows_packed(const Context& context, const ReadOptions& options,
                          const std::vector<std::string>& paths) {
  Communicator& comm = context.comm();
  return comm.collectively([&] {
    const std::string& path = only_one(paths);
    const PackedHeader header = read_packed_header(path);
    const detail::PackedReader reader(context, path, header);
    RowInput input{.rows = {.context = context}, .kept = {}};
    RowBlocks& rows = input.rows;
    rows.partition = reader.partition;
    rows.rows_used = header.rows_used;
    detail::read_packed_features(context, options, path, reader, header, rows);
    if (!options.keep.empty()) input.kept = read_kept(context, options, path, reader, header, rows);
    use_labels(path, options, rows, header.label_kind);
    if (const auto bad = find_bad_label(rows, options))
      throw bad_input(path + ", row " + std::to_string(reader.first_row + bad->row) + ": " + bad->message(),
                      {0, reader.first_row + bad->row});
    return input;
  });
}

RowsShape measure_rows_packed(const Context& context, const std::vector<std::string>& paths) {
  return context.comm().collectively([&]() -> RowsShape {
    const PackedHeader header = read_packed_header(only_one(paths));
    return {.rows = header.rows,
            .columns = header.columns,
            .sparse = header.sparse,
            .values = header.values,
            .has_labels = header.label_kind >= 0};
  });
}

}  // namespace firesteel
