// SPDX-License-Identifier: Apache-2.0
#include "firesteel/io/relate_rows.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <optional>
#include <set>

#include "firesteel/core/dataset/join.hpp"
#include "firesteel/core/dataset/sort.hpp"
#include "firesteel/io/column_selection.hpp"
#include "firesteel/io/kth_smallest.hpp"
#include "firesteel/io/quoted.hpp"
#include "firesteel/io/sparse_entries.hpp"

namespace firesteel {

namespace {

std::size_t size(Index i) { return static_cast<std::size_t>(i); }

using Pair = std::pair<std::string, std::string>;  // key, packed row
using Columns = std::vector<TableColumn>;

constexpr char kPresent = 1;
constexpr char kMissing = 2;

void append_big_endian(std::string& key, std::uint64_t value, bool descending) {
  for (int shift = 56; shift >= 0; shift -= 8)
    key.push_back(static_cast<char>((descending ? ~value : value) >> shift));
}

/// A column that rows are compared by: one of `columns`, or a sparse feature.
struct Key {
  Index column = -1;
  Index feature = -1;
  TableColumn described;
};

/// Names are columns, of those with sparse features labels, weights and arrays; names and numbers that are
/// none are sparse features.
Key require_key(const TypedRows& rows, const std::string& name, const std::string& option) {
  if (!rows.sparse) {
    const Index column = require_typed_column(rows, name, option);
    return {column, -1, rows.columns[size(column)]};
  }
  for (std::size_t i = 0; i < rows.columns.size(); ++i)
    if (rows.columns[i].name == name) return {static_cast<Index>(i), -1, rows.columns[i]};
  const InputColumns features{.source = rows.source,
                              .names = rows.sparse->names,
                              .count = rows.sparse->count,
                              .numbered = rows.sparse->names.empty()};
  const Index feature = require_column(features, name, option);
  return {-1, feature, {features.name(feature), TableKind::real}};
}

std::vector<Key> require_keys(const TypedRows& rows, const std::vector<std::string>& names,
                              const std::string& option) {
  std::vector<Key> keys;
  for (const auto& name : names) {
    const Key key = require_key(rows, name, option);
    for (const Key& before : keys)
      if (before.column == key.column && before.feature == key.feature)
        throw bad_input(option + ": column " + quoted(name) + " is named twice");
    keys.push_back(key);
  }
  return keys;
}

/// `rest`: what unpack_row() left.
TypedCell cell_of(const Key& key, const std::vector<TypedCell>& cells, std::string_view rest) {
  if (key.feature < 0) return cells[size(key.column)];
  const double value = EntriesView(rest).at(key.feature);
  return {.missing = std::isnan(value), .real = value};
}

/// What a join is of, on every rank alike.
struct JoinPlan {
  std::vector<Key> left_keys;
  std::vector<Key> right_keys;
  Columns key_kinds;         ///< as which keys are compared
  std::vector<Index> taken;  ///< columns of the right side that go into the result
  Columns columns;           ///< of the result
  Columns left;              ///< of the sides
  Columns right;
  std::vector<ColumnPart> parts;  ///< of the result's columns; empty: a table
  // Sparse features, of the left side then of the right one without keys.
  bool left_sparse = false;
  bool right_sparse = false;
  Index left_features = 0;
  std::vector<Index> right_key_features;  ///< ascending
  std::optional<SparseColumns> sparse;
  std::vector<std::string> warnings;
};

bool is_number(TableKind kind) { return kind != TableKind::text; }

void plan_keys(JoinPlan& plan, const TypedRows& left, const TypedRows& right,
               const std::vector<JoinColumn>& on) {
  std::vector<std::string> left_names;
  std::vector<std::string> right_names;
  for (const auto& each : on) {
    left_names.push_back(each.left);
    right_names.push_back(each.right);
  }
  plan.left_keys = require_keys(left, left_names, "--on");
  plan.right_keys = require_keys(right, right_names, "--on");
  for (std::size_t i = 0; i < on.size(); ++i) {
    const TableColumn& a = plan.left_keys[i].described;
    const TableColumn& b = plan.right_keys[i].described;
    if (is_number(a.kind) != is_number(b.kind))
      throw bad_input("--on: column " + quoted(a.name) + " holds " +
                      (is_number(a.kind) ? "numbers" : "texts") + " in " + left.source + " and column " +
                      quoted(b.name) + (is_number(b.kind) ? " numbers in " : " texts in ") + right.source +
                      ": keys must be of one kind");
    plan.key_kinds.push_back({a.name, a.kind == b.kind ? a.kind : TableKind::real});
  }
}

const Key* key_of_column(const std::vector<Key>& keys, Index column) {
  const auto found =
      std::find_if(keys.begin(), keys.end(), [&](const Key& key) { return key.column == column; });
  return found == keys.end() ? nullptr : &*found;
}

ColumnPart part_of(const TypedRows& rows, std::size_t column) {
  if (!rows.is_table()) return rows.parts[column];
  return is_number(rows.columns[column].kind) ? ColumnPart::feature : ColumnPart::none;
}

/// One label and one weight: the first that is no key, else the first; LEFT's are first. The others are left
/// out.
void choose_one(JoinPlan& plan, ColumnPart part, const std::string& what) {
  std::vector<std::size_t> found;
  for (std::size_t i = 0; i < plan.parts.size(); ++i)
    if (plan.parts[i] == part) found.push_back(i);
  if (found.size() < 2) return;
  const bool first_is_key = key_of_column(plan.left_keys, static_cast<Index>(found[0])) != nullptr;
  const std::size_t chosen = first_is_key ? found[1] : found[0];
  for (const std::size_t column : found) {
    if (column == chosen) continue;
    plan.parts[column] = ColumnPart::none;
    if (!first_is_key)
      plan.warnings.push_back("both sides have a " + what +
                              ": that of LEFT is taken, that of RIGHT left out");
  }
}

void plan_result(JoinPlan& plan, const TypedRows& left, const TypedRows& right,
                 const std::set<std::string>& of_left, const std::set<std::string>& of_right) {
  for (std::size_t i = 0; i < left.columns.size(); ++i) {
    TableColumn column = left.columns[i];
    for (std::size_t k = 0; k < plan.left_keys.size(); ++k)
      if (plan.left_keys[k].column == static_cast<Index>(i)) column.kind = plan.key_kinds[k].kind;
    if (of_right.contains(column.name)) column.name += "_left";
    plan.columns.push_back(std::move(column));
    plan.parts.push_back(part_of(left, i));
  }
  for (const Index taken : plan.taken) {
    TableColumn column = right.columns[size(taken)];
    if (of_left.contains(column.name)) column.name += "_right";
    plan.columns.push_back(std::move(column));
    plan.parts.push_back(part_of(right, size(taken)));
  }
  if (left.is_table() && right.is_table()) plan.parts.clear();
  choose_one(plan, ColumnPart::label, "label");
  choose_one(plan, ColumnPart::weight, "weight");
}

/// Sparse features of a side that go into the result. Without names they are called f0, f1, … there.
std::vector<std::string> names_of_sparse(const TypedRows& side, const std::vector<Index>& without) {
  std::vector<std::string> names;
  if (!side.sparse) return names;
  for (Index feature = 0; feature < side.sparse->count; ++feature)
    if (!std::binary_search(without.begin(), without.end(), feature))
      names.push_back(side.sparse->names.empty() ? numbered_name(feature)
                                                 : side.sparse->names[size(feature)]);
  return names;
}

/// The result's features have names where any of them has one.
bool has_names(const JoinPlan& plan, const TypedRows& left, const TypedRows& right) {
  const auto is_feature = [](ColumnPart part) { return part == ColumnPart::feature; };
  return std::any_of(plan.parts.begin(), plan.parts.end(), is_feature) ||
         (left.sparse && !left.sparse->names.empty()) || (right.sparse && !right.sparse->names.empty());
}

JoinPlan plan_join(const TypedRows& left, const TypedRows& right, const std::vector<JoinColumn>& on) {
  JoinPlan plan{.left = left.columns, .right = right.columns};
  plan_keys(plan, left, right, on);
  std::set<std::string> of_left;
  std::set<std::string> of_right;
  for (const auto& column : left.columns) of_left.insert(column.name);
  for (Index column = 0; column < static_cast<Index>(right.columns.size()); ++column) {
    if (key_of_column(plan.right_keys, column) != nullptr) continue;
    plan.taken.push_back(column);
    of_right.insert(right.columns[size(column)].name);
  }
  for (const Key& key : plan.right_keys)
    if (key.feature >= 0) plan.right_key_features.push_back(key.feature);
  std::sort(plan.right_key_features.begin(), plan.right_key_features.end());
  plan.left_sparse = left.sparse.has_value();
  plan.right_sparse = right.sparse.has_value();
  if (left.sparse) plan.left_features = left.sparse->count;
  std::vector<std::string> names;  // of sparse features
  if (plan.left_sparse || plan.right_sparse) {
    plan.sparse = SparseColumns{.count = plan.left_features, .names = {}, .first = plan.left_sparse};
    if (right.sparse)
      plan.sparse->count += right.sparse->count - static_cast<Index>(plan.right_key_features.size());
    if (plan.sparse->count > std::numeric_limits<std::int32_t>::max())
      throw bad_input("the joined rows would have more than 2^31 - 1 features: choose some by --features");
    plan_result(plan, left, right, {}, {});
    const bool named = has_names(plan, left, right);
    plan.columns.clear();
    plan.parts.clear();
    plan.warnings.clear();
    if (named) {
      names = names_of_sparse(left, {});
      auto right_names = names_of_sparse(right, plan.right_key_features);
      of_left.insert(names.begin(), names.end());
      of_right.insert(right_names.begin(), right_names.end());
      for (auto& name : names)
        if (of_right.contains(name)) name += "_left";
      for (auto& name : right_names) names.push_back(of_left.contains(name) ? name + "_right" : name);
    }
  }
  plan_result(plan, left, right, of_left, of_right);
  std::set<std::string> all;
  const auto add = [&](const std::string& name) {
    if (!all.insert(name).second)
      throw bad_input("the joined rows would have two columns called " + quoted(name) +
                      ": rename one before");
  };
  for (const auto& column : plan.columns) add(column.name);
  for (const auto& name : names) add(name);
  if (plan.sparse) plan.sparse->names = std::move(names);
  return plan;
}

TypedCell as_kind(TypedCell cell, TableKind from, TableKind to) {
  if (from == TableKind::whole && to == TableKind::real) cell.real = static_cast<double>(cell.whole);
  return cell;
}

/// The key of a row of one side. Of a missing one, bytes that no row of the other side has.
std::string join_key(const std::vector<TypedCell>& cells, std::string_view rest, const std::vector<Key>& keys,
                     const Columns& kinds, char side) {
  std::string bytes;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const TypedCell cell = as_kind(cell_of(keys[i], cells, rest), keys[i].described.kind, kinds[i].kind);
    if (cell.missing) return {kMissing, side};
    append_sort_key(bytes, kinds[i], cell, false);
  }
  return bytes;
}

/// The sparse features of a row of the result. Of a side without a row they are zeros, but for keys of LEFT.
void append_joined_entries(std::string& row, const JoinPlan& plan, const std::string_view* left,
                           const std::string_view* right, const std::vector<std::pair<Index, double>>& keys) {
  std::vector<std::int32_t> columns;
  std::vector<double> values;
  const auto put = [&](Index column, double value) {
    columns.push_back(static_cast<std::int32_t>(column));
    values.push_back(value);
  };
  if (plan.left_sparse && left != nullptr) {
    const EntriesView entries(*left);
    for (std::size_t i = 0; i < entries.count(); ++i) put(entries.column(i), entries.value(i));
  } else {
    for (const auto& [column, value] : keys)
      if (value != 0) put(column, value);
  }
  if (plan.right_sparse && right != nullptr) {
    const EntriesView entries(*right);
    const auto& keys_of_right = plan.right_key_features;
    for (std::size_t i = 0; i < entries.count(); ++i) {
      const Index column = entries.column(i);
      const auto next = std::lower_bound(keys_of_right.begin(), keys_of_right.end(), column);
      if (next != keys_of_right.end() && *next == column) continue;
      put(plan.left_features + column - (next - keys_of_right.begin()), entries.value(i));
    }
  }
  append_entries(row, std::span<const std::int32_t>(columns), std::span<const double>(values));
}

/// A row of the result from a row of each side, of which one may be absent.
std::string joined_row(const JoinPlan& plan, const std::string* left, const std::string* right) {
  std::vector<TypedCell> left_cells(plan.left.size(), TypedCell{.missing = true});
  std::vector<TypedCell> right_cells(plan.right.size(), TypedCell{.missing = true});
  std::string_view left_rest;
  std::string_view right_rest;
  if (left != nullptr) left_rest = unpack_row(plan.left, *left, left_cells);
  if (right != nullptr) right_rest = unpack_row(plan.right, *right, right_cells);
  std::vector<std::pair<Index, double>> key_features;  // of LEFT, where it has no row
  for (std::size_t i = 0; i < plan.left_keys.size(); ++i) {
    const Key& key = plan.left_keys[i];
    const TableKind kind = plan.key_kinds[i].kind;
    TypedCell cell;
    if (left != nullptr && key.feature >= 0) continue;
    if (left != nullptr)
      cell = as_kind(left_cells[size(key.column)], key.described.kind, kind);
    else
      cell = as_kind(cell_of(plan.right_keys[i], right_cells, right_rest), plan.right_keys[i].described.kind,
                     kind);
    if (key.feature < 0)
      left_cells[size(key.column)] = cell;
    else
      key_features.emplace_back(key.feature,
                                cell.missing ? std::numeric_limits<double>::quiet_NaN() : cell.real);
  }
  std::sort(key_features.begin(), key_features.end());
  for (const Index column : plan.taken) left_cells.push_back(right_cells[size(column)]);
  std::string row = pack_row(plan.columns, left_cells);
  if (plan.sparse)
    append_joined_entries(row, plan, left == nullptr ? nullptr : &left_rest,
                          right == nullptr ? nullptr : &right_rest, key_features);
  return row;
}

}  // namespace

void append_sort_key(std::string& key, const TableColumn& column, const TypedCell& cell, bool descending) {
  key.push_back(cell.missing ? kMissing : kPresent);
  if (cell.missing) return;
  if (column.kind == TableKind::whole) {
    append_big_endian(key, std::bit_cast<std::uint64_t>(cell.whole) ^ (std::uint64_t{1} << 63), descending);
  } else if (column.kind == TableKind::real) {
    append_big_endian(key, ordered_key(cell.real), descending);
  } else {
    // A zero byte is written as 0 255 and the end as 0 0, so that a text comes before its continuations.
    const auto put = [&](char c) { key.push_back(descending ? static_cast<char>(~c) : c); };
    for (const char c : cell.text) {
      put(c);
      if (c == '\0') put('\xff');
    }
    put('\0');
    put('\0');
  }
}

TypedRows sort_rows(const TypedRows& rows, const std::vector<SortColumn>& by) {
  const auto keys = rows.rows.context().comm().collectively([&] {
    std::vector<std::string> names;
    for (const auto& column : by) names.push_back(column.name);
    return require_keys(rows, names, "--by");
  });
  const auto keyed = rows.rows.map([columns = rows.columns, keys, by](const std::string& row) {
    std::vector<TypedCell> cells;
    const std::string_view rest = unpack_row(columns, row, cells);
    Pair pair{{}, row};
    for (std::size_t i = 0; i < keys.size(); ++i)
      append_sort_key(pair.first, keys[i].described, cell_of(keys[i], cells, rest), by[i].descending);
    return pair;
  });
  const auto sorted = keyed.sort_by([](const Pair& pair) -> const std::string& { return pair.first; });
  return with_rows(rows, sorted.map([](const Pair& pair) { return pair.second; }));
}

TypedRows join_rows(const TypedRows& left, const TypedRows& right, const std::vector<JoinColumn>& on,
                    JoinKind kind) {
  const Context& context = left.rows.context();
  auto plan = context.comm().collectively(
      [&] { return std::make_shared<const JoinPlan>(plan_join(left, right, on)); });
  for (const auto& warning : plan->warnings) context.monitor().warning(warning);
  const auto keyed = [&plan](const TypedRows& side, bool of_left) {
    return side.rows.map([plan, of_left](const std::string& row) {
      std::vector<TypedCell> cells;
      const std::string_view rest = unpack_row(of_left ? plan->left : plan->right, row, cells);
      return Pair{join_key(cells, rest, of_left ? plan->left_keys : plan->right_keys, plan->key_kinds,
                           of_left ? 'L' : 'R'),
                  row};
    });
  };
  const auto both = keyed(left, true).full_join(keyed(right, false));
  const bool all_left = kind == JoinKind::left || kind == JoinKind::full;
  const bool all_right = kind == JoinKind::right || kind == JoinKind::full;
  const auto rows = both.filter([=](const auto& row) {
                          const auto& [a, b] = row.second;
                          return (a.has_value() || all_right) && (b.has_value() || all_left);
                        })
                        .map([plan](const auto& row) {
                          const auto& [a, b] = row.second;
                          return joined_row(*plan, a ? &*a : nullptr, b ? &*b : nullptr);
                        });
  return {left.source,  plan->columns, rows,
          plan->sparse, plan->parts,   left.single_precision && right.single_precision};
}

}  // namespace firesteel
