// SPDX-License-Identifier: Apache-2.0
#include "firesteel/io/relate_rows.hpp"

#include <algorithm>
#include <bit>
#include <set>

#include "firesteel/core/dataset/join.hpp"
#include "firesteel/core/dataset/sort.hpp"
#include "firesteel/io/kth_smallest.hpp"
#include "firesteel/io/quoted.hpp"

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

std::vector<Index> key_columns(const TypedRows& rows, const std::vector<std::string>& names,
                               const std::string& option) {
  std::vector<Index> columns;
  for (const auto& name : names) {
    columns.push_back(require_typed_column(rows, name, option));
    if (std::count(columns.begin(), columns.end(), columns.back()) > 1)
      throw bad_input(option + ": column " + quoted(name) + " is named twice");
  }
  return columns;
}

/// What a join is of, on every rank alike.
struct JoinPlan {
  std::vector<Index> left_keys;
  std::vector<Index> right_keys;
  Columns key_kinds;         ///< as which keys are compared
  std::vector<Index> taken;  ///< columns of the right side that go into the result
  Columns columns;           ///< of the result
  Columns left;              ///< of the sides
  Columns right;
};

bool is_number(TableKind kind) { return kind != TableKind::text; }

JoinPlan plan_join(const TypedRows& left, const TypedRows& right, const std::vector<JoinColumn>& on) {
  JoinPlan plan{.left = left.columns, .right = right.columns};
  std::vector<std::string> left_names;
  std::vector<std::string> right_names;
  for (const auto& each : on) {
    left_names.push_back(each.left);
    right_names.push_back(each.right);
  }
  plan.left_keys = key_columns(left, left_names, "--on");
  plan.right_keys = key_columns(right, right_names, "--on");
  for (std::size_t i = 0; i < on.size(); ++i) {
    const TableColumn& a = left.columns[size(plan.left_keys[i])];
    const TableColumn& b = right.columns[size(plan.right_keys[i])];
    if (is_number(a.kind) != is_number(b.kind))
      throw bad_input("--on: column " + quoted(a.name) + " holds " +
                      (is_number(a.kind) ? "numbers" : "texts") + " in " + left.source + " and column " +
                      quoted(b.name) + (is_number(b.kind) ? " numbers in " : " texts in ") + right.source +
                      ": keys must be of one kind");
    plan.key_kinds.push_back({a.name, a.kind == b.kind ? a.kind : TableKind::real});
  }
  const auto is_key = [](const std::vector<Index>& keys, Index column) {
    return std::find(keys.begin(), keys.end(), column) != keys.end();
  };
  std::set<std::string> of_left;
  std::set<std::string> of_right;
  for (const auto& column : left.columns) of_left.insert(column.name);
  for (Index column = 0; column < static_cast<Index>(right.columns.size()); ++column) {
    if (is_key(plan.right_keys, column)) continue;
    plan.taken.push_back(column);
    of_right.insert(right.columns[size(column)].name);
  }
  for (std::size_t i = 0; i < left.columns.size(); ++i) {
    TableColumn column = left.columns[i];
    const auto key = std::find(plan.left_keys.begin(), plan.left_keys.end(), static_cast<Index>(i));
    if (key != plan.left_keys.end())
      column.kind = plan.key_kinds[static_cast<std::size_t>(key - plan.left_keys.begin())].kind;
    if (of_right.contains(column.name)) column.name += "_left";
    plan.columns.push_back(std::move(column));
  }
  for (const Index taken : plan.taken) {
    TableColumn column = right.columns[size(taken)];
    if (of_left.contains(column.name)) column.name += "_right";
    plan.columns.push_back(std::move(column));
  }
  std::set<std::string> names;
  for (const auto& column : plan.columns)
    if (!names.insert(column.name).second)
      throw bad_input("the joined rows would have two columns called " + quoted(column.name) +
                      ": rename one before");
  return plan;
}

TypedCell as_kind(TypedCell cell, TableKind from, TableKind to) {
  if (from == TableKind::whole && to == TableKind::real) cell.real = static_cast<double>(cell.whole);
  return cell;
}

/// The key of a row of one side. Of a missing one, bytes that no row of the other side has.
std::string join_key(const std::vector<TypedCell>& cells, const Columns& columns,
                     const std::vector<Index>& keys, const Columns& kinds, char side) {
  std::string key;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const TableKind from = columns[size(keys[i])].kind;
    const TypedCell cell = as_kind(cells[size(keys[i])], from, kinds[i].kind);
    if (cell.missing) return {kMissing, side};
    append_sort_key(key, kinds[i], cell, false);
  }
  return key;
}

/// A row of the result from a row of each side, of which one may be absent.
std::string joined_row(const JoinPlan& plan, const std::string* left, const std::string* right) {
  std::vector<TypedCell> left_cells(plan.left.size(), TypedCell{.missing = true});
  std::vector<TypedCell> right_cells(plan.right.size(), TypedCell{.missing = true});
  if (left != nullptr) unpack_row(plan.left, *left, left_cells);
  if (right != nullptr) unpack_row(plan.right, *right, right_cells);
  for (std::size_t i = 0; i < plan.left_keys.size(); ++i) {
    TypedCell& cell = left_cells[size(plan.left_keys[i])];
    TableKind from = plan.left[size(plan.left_keys[i])].kind;
    if (left == nullptr) {
      cell = right_cells[size(plan.right_keys[i])];
      from = plan.right[size(plan.right_keys[i])].kind;
    }
    cell = as_kind(cell, from, plan.key_kinds[i].kind);
  }
  for (const Index column : plan.taken) left_cells.push_back(right_cells[size(column)]);
  return pack_row(plan.columns, left_cells);
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
    return key_columns(rows, names, "--by");
  });
  const auto keyed = rows.rows.map([columns = rows.columns, keys, by](const std::string& row) {
    std::vector<TypedCell> cells;
    unpack_row(columns, row, cells);
    Pair pair{{}, row};
    for (std::size_t i = 0; i < keys.size(); ++i)
      append_sort_key(pair.first, columns[size(keys[i])], cells[size(keys[i])], by[i].descending);
    return pair;
  });
  const auto sorted = keyed.sort_by([](const Pair& pair) -> const std::string& { return pair.first; });
  return {rows.source, rows.columns, sorted.map([](const Pair& pair) { return pair.second; })};
}

TypedRows join_rows(const TypedRows& left, const TypedRows& right, const std::vector<JoinColumn>& on,
                    JoinKind kind) {
  auto plan = left.rows.context().comm().collectively(
      [&] { return std::make_shared<const JoinPlan>(plan_join(left, right, on)); });
  const auto keyed = [&plan](const TypedRows& side, bool of_left) {
    return side.rows.map([plan, of_left](const std::string& row) {
      std::vector<TypedCell> cells;
      const Columns& columns = of_left ? plan->left : plan->right;
      unpack_row(columns, row, cells);
      return Pair{join_key(cells, columns, of_left ? plan->left_keys : plan->right_keys, plan->key_kinds,
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
  return {left.source, plan->columns, rows};
}

}  // namespace firesteel
