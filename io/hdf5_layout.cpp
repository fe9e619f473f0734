// SPDX-License-Identifier: Apache-2.0
#include "firesteel/io/hdf5_layout.hpp"

#include <algorithm>
#include <limits>
#include <set>

#include "firesteel/core/error.hpp"
#include "firesteel/core/parameters.hpp"

namespace firesteel::hdf5 {

namespace {

/// Of the tables that say which columns are read.
constexpr std::uint64_t kBytesPerColumn = sizeof(Index) + sizeof(std::int32_t);

struct FileLayout {
  bool sparse = false;
  bool by_column = false;
  Index rows = 0;
  Index columns = 0;
  std::vector<std::string> names;  // empty: the file has none
};

/// Rows and columns, from the attribute that the writer of the group uses.
std::optional<std::vector<std::int64_t>> sparse_shape(const Source& source, const std::string& name,
                                                      const SparseParts& parts) {
  if (auto rows = source.integers_attribute(name, "MATLAB_sparse"); rows && rows->size() == 1)
    return std::vector<std::int64_t>{rows->front(), source.array(parts.pointers, 1).shape[0] - 1};
  if (auto shape = source.integers_attribute(name, "shape")) return shape;
  return source.integers_attribute(name, "h5sparse_shape");
}

/// The number of rows and columns of a group of sparse arrays, whose lengths must fit one another.
FileLayout look_at_sparse(const Source& source, const std::string& name) {
  const SparseParts parts = sparse_parts(source, name);
  for (const auto& part : {parts.data, parts.indices, parts.pointers})
    if (!source.has(part))
      source.fail("the group '" + name + "' has no '" + part.substr(part.rfind('/') + 1) +
                  "': sparse rows are data, indices and indptr");
  const auto shape = sparse_shape(source, name, parts);
  if (!shape) source.fail("the group '" + name + "' has no attribute 'shape' (rows, columns)");
  if (shape->size() != 2 || (*shape)[0] < 0 || (*shape)[1] < 1)
    source.fail("attribute 'shape' of '" + name + "' is not a number of rows and a number of columns");
  FileLayout layout{
      .sparse = true, .by_column = parts.by_column, .rows = (*shape)[0], .columns = (*shape)[1], .names = {}};
  const SourceArray indices = source.array(parts.indices, 1);
  const SourceArray pointers = source.array(parts.pointers, 1);
  const Index values = source.array(parts.data, 1).shape[0];
  if (indices.kind == ValueKind::real || pointers.kind == ValueKind::real ||
      indices.kind == ValueKind::text || pointers.kind == ValueKind::text)
    source.fail("'indices' and 'indptr' of '" + name + "' must hold whole numbers");
  if (indices.shape[0] != values)
    source.fail("'" + name + "' has " + std::to_string(values) + " values but " +
                std::to_string(indices.shape[0]) + " indices");
  const Index lines = parts.by_column ? layout.columns : layout.rows;
  if (pointers.shape[0] - 1 != lines)
    source.fail("'indptr' of '" + name + "' has " + std::to_string(pointers.shape[0]) + " values, expected " +
                std::to_string(lines) + " + 1");
  if (layout.columns > std::numeric_limits<std::int32_t>::max())
    source.fail("'" + name + "' has " + std::to_string(layout.columns) +
                " columns, at most 2147483647 are possible");
  if (static_cast<std::uint64_t>(layout.columns) > source.most_bytes() / kBytesPerColumn)
    source.fail("'" + name + "' has " + std::to_string(layout.columns) +
                " columns, more than a file of this size can use");
  return layout;
}

FileLayout look_at(const Source& source, const ReadOptions& options) {
  const std::string& name = options.dataset;
  if (!source.has(name) && source.has(options.user) && source.has(options.item))
    source.fail("no array or group '" + name + "', but ratings: read them with --user " + options.user +
                " --item " + options.item);
  if (!source.has(name))
    source.fail("no array or group '" + name + "' (--dataset); the file holds " +
                list_names(source.contents()));
  FileLayout layout;
  if (source.is_group(name)) {
    layout = look_at_sparse(source, name);
  } else {
    const SourceArray array = source.array(name, 2);
    if (array.kind == ValueKind::text) source.fail("expected '" + name + "' to hold numbers, found texts");
    layout.rows = array.shape[0];
    layout.columns = array.shape[1];
    if (layout.columns < 1) source.fail("'" + name + "' has no columns");
  }
  auto names = source.texts_attribute(name, "feature_names");
  if (!names) names = source.texts_attribute("/", "feature_names");
  if (names) {
    if (static_cast<Index>(names->size()) != layout.columns)
      source.fail("'feature_names' has " + std::to_string(names->size()) + " names, expected " +
                  std::to_string(layout.columns));
    layout.names = std::move(*names);
    auto sorted = layout.names;
    std::sort(sorted.begin(), sorted.end());
    if (const auto twice = std::adjacent_find(sorted.begin(), sorted.end()); twice != sorted.end())
      source.fail("two columns are named '" + *twice + "'");
  }
  return layout;
}

void check_alike(const Source& source, const FileLayout& layout, const FileLayout& first,
                 const std::string& first_path) {
  if (layout.by_column != first.by_column)
    source.fail("its sparse features are stored by " + std::string(layout.by_column ? "column" : "row") +
                ", those of " + first_path + " by " + (first.by_column ? "column" : "row"));
  if (layout.sparse != first.sparse)
    source.fail(std::string(layout.sparse ? "sparse" : "dense") + ", but " + first_path + " is " +
                (first.sparse ? "sparse" : "dense"));
  if (!layout.sparse && layout.columns != first.columns)
    source.fail("expected " + std::to_string(first.columns) + " columns as in " + first_path + ", found " +
                std::to_string(layout.columns));
  if (layout.names != first.names) source.fail("its feature names differ from those of " + first_path);
}

/// The column of dense features that has the name; −1 where none has.
Index dense_column(const FileLayout& layout, const std::string& name) {
  if (layout.sparse) return -1;
  if (layout.names.empty()) {
    const auto column = parse_numbered_name(name);
    return column && *column < layout.columns ? *column : -1;
  }
  const auto found = std::find(layout.names.begin(), layout.names.end(), name);
  return found == layout.names.end() ? -1 : found - layout.names.begin();
}

/// Applies --features, --exclude and the model's columns to the columns of the feature array.
void select_features(RowsLayout& layout, const SourceFiles& files, const std::vector<std::string>& names,
                     const ReadOptions& options) {
  const bool scoring = options.expected != nullptr;
  InputColumns columns{.source = files.path(0), .names = names, .count = layout.columns};
  if (!layout.sparse && options.num_features && *options.num_features != columns.count)
    throw bad_parameter("--num-features " + std::to_string(*options.num_features) + ": '" + options.dataset +
                        "' of " + columns.source + " is dense and has " + std::to_string(columns.count) +
                        " columns; leave it out");
  if (layout.sparse && options.num_features) {
    if (columns.count > *options.num_features)
      throw bad_input(columns.source + " has " + std::to_string(columns.count) +
                      " columns, --num-features says " + std::to_string(*options.num_features));
    columns.count = *options.num_features;
  }
  // Columns that a sparse file at scoring does not reach are zeros.
  if (layout.sparse && scoring && names.empty())
    columns.count = std::max(columns.count, options.expected_features);
  if (!layout.sparse && !scoring && names.empty())
    for (Index column = 0; column < columns.count; ++column) columns.names.push_back(numbered_name(column));
  ReadOptions selection = options;  // weight and the rest are arrays of their own, as the label mostly is
  selection.label = layout.label_column < 0 ? "" : std::to_string(layout.label_column);
  selection.label_use = ReadOptions::Label::ignored;
  selection.weight.clear();
  selection.keep.clear();
  selection.user.clear();
  selection.item.clear();
  selection.rating.clear();
  auto plan =
      plan_columns(columns, std::vector<bool>(static_cast<std::size_t>(columns.count), false), selection);
  layout.columns = columns.count;
  layout.features = std::move(plan.features);
  layout.names = std::move(plan.feature_names);
  layout.warnings = std::move(plan.warnings);
}

/// The label is an array of its own, else a column of dense features, by name or number.
void find_label(RowsLayout& layout, const SourceFiles& files, const FileLayout& first,
                const ReadOptions& options) {
  const bool own_array = has_column(files, options.label);
  if (!own_array) layout.label_column = dense_column(first, options.label);
  if (const auto number = parse_integer(options.label); number && !own_array && layout.label_column < 0 &&
                                                        !first.sparse && *number < first.columns &&
                                                        *number >= -first.columns)
    layout.label_column = *number < 0 ? *number + first.columns : *number;
  if (options.label_use == ReadOptions::Label::ignored) return;
  layout.has_label = own_array || layout.label_column >= 0;
  if (own_array) {
    layout.label_kind = check_column(files, options.label);
  } else if (!layout.has_label && options.label_use == ReadOptions::Label::required) {
    const Source& source = files.open(0);
    source.fail("no array '" + options.label + "' for the labels (--label); the file holds " +
                list_names(source.contents()));
  }
}

void require_array(const SourceFiles& files, const std::string& name, const std::string& option) {
  if (has_column(files, name)) return;
  const Source& source = files.open(0);
  source.fail("no array '" + name + "' (" + option + "); the file holds " + list_names(source.contents()));
}

/// --keep: arrays with one value a row, by name; columns of the features by name, number and range.
/// Arrays among options.key_arrays come before them, but the label and the weight, which are there anyway.
std::vector<KeptColumn> plan_keep(const SourceFiles& files, const FileLayout& first, const RowsLayout& layout,
                                  Index count, const ReadOptions& options) {
  const InputColumns columns{
      .source = files.path(0), .names = first.names, .count = count, .numbered = first.names.empty()};
  std::vector<KeptColumn> kept;
  std::set<std::string> known;
  const auto add = [&](const KeptColumn& column) {
    if (!known.insert(column.name).second)
      throw bad_input("--keep: column '" + column.name + "' is given twice");
    kept.push_back(column);
  };
  for (const auto& name : options.key_arrays) {
    const bool is_part =
        (layout.has_label && (name == options.label || name == "label")) || name == options.weight;
    if (!is_part && has_column(files, name) && !known.contains(name))
      add({name, -1, check_column(files, name)});
  }
  for (const auto& reference : options.keep) {
    if (has_column(files, reference)) {
      add({reference, -1, check_column(files, reference)});
      continue;
    }
    const auto found = find_columns(columns, reference);
    const Source& source = files.open(0);
    if (!found)
      source.fail("no array '" + reference + "', and no such column of '" + options.dataset +
                  "' (--keep); the file holds " + list_names(source.contents()) + ", the columns are " +
                  (columns.named() ? list_names(columns.names) : "f0 … " + numbered_name(count - 1)) +
                  ", by number 0 … " + std::to_string(count - 1));
    if (first.by_column)
      source.fail("--keep: column '" + reference + "' of '" + options.dataset +
                  "' cannot be copied, as it is stored by column: store it by row (.tocsr())");
    for (const Index column : *found) add({columns.name(column), column, ColumnKind::real});
  }
  return kept;
}

}  // namespace

bool RowsLayout::all_features() const {
  if (static_cast<Index>(features.size()) != columns) return false;
  for (Index column = 0; column < columns; ++column)
    if (features[static_cast<std::size_t>(column)] != column) return false;
  return true;
}

SparseParts sparse_parts(const ArraySource& source, const std::string& name) {
  if (source.has(name + "/jc")) return {name + "/data", name + "/ir", name + "/jc", true};
  SparseParts parts{name + "/data", name + "/indices", name + "/indptr", false};
  for (const auto* attribute : {"encoding-type", "h5sparse_format"})
    if (const auto kind = source.texts_attribute(name, attribute); kind && kind->size() == 1)
      parts.by_column = kind->front() == "csc_matrix" || kind->front() == "csc";
  return parts;
}

RowsLayout plan_rows(SourceFiles& files, const ReadOptions& options) {
  RowsLayout layout;
  FileLayout first;
  std::vector<Index> rows;
  for (Index file = 0; file < files.count(); ++file) {
    const Source& source = files.open(file);
    const FileLayout found = look_at(source, options);
    if (file == 0)
      first = found;
    else
      check_alike(source, found, first, files.path(0));
    layout.columns = std::max(layout.columns, found.columns);
    rows.push_back(found.rows);
  }
  layout.sparse = first.sparse;
  const Index widest = layout.columns;
  layout.by_column = first.by_column;
  files.set_rows(rows);
  if (files.rows() == 0) files.open(0).fail("'" + options.dataset + "' has no rows");
  find_label(layout, files, first, options);
  layout.all_names = first.names;
  select_features(layout, files, first.names, options);
  if (!options.weight.empty()) {
    require_array(files, options.weight, "--weight");
    if (check_column(files, options.weight) == ColumnKind::text)
      files.open(0).fail("expected '" + options.weight + "' to hold numbers, found texts");
  }
  layout.keep = plan_keep(files, first, layout, widest, options);
  return layout;
}

}  // namespace firesteel::hdf5
