// SPDX-License-Identifier: Apache-2.0
// What the verbs of rows are made of: packed rows, keys that sort as bytes, choosing and selecting.
#include "firesteel/io/relate_rows.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "firesteel/core/philox.hpp"
#include "firesteel/io/kth_smallest.hpp"
#include "firesteel/io/row_choice.hpp"

namespace firesteel {
namespace {

TEST(PackedRows, come_out_as_they_went_in) {
  const std::vector<TableColumn> columns{
      {"a", TableKind::whole}, {"b", TableKind::text}, {"c", TableKind::real}, {"d", TableKind::text}};
  const std::vector<TypedCell> cells{{.whole = -5},
                                     {.missing = true, .text = "NA"},
                                     {.missing = true},
                                     {.text = std::string_view("x\0y", 3)}};
  const std::string row = pack_row(columns, cells);
  std::vector<TypedCell> found;
  unpack_row(columns, row, found);
  EXPECT_EQ(found[0].whole, -5);
  EXPECT_TRUE(found[1].missing && found[2].missing && !found[3].missing);
  EXPECT_EQ(found[1].text, "NA");
  EXPECT_EQ(found[3].text, std::string_view("x\0y", 3));
  for (std::size_t length = 0; length < row.size(); ++length)
    EXPECT_THROW(unpack_row(columns, std::string_view(row).substr(0, length), found), Error);
  EXPECT_EQ(row.size(), 1u + 8 + 4 + 2 + 0 + 4 + 3);  // a number that is missing takes a bit alone
}

template <class Value>
std::string key_of(TableKind kind, const Value& value, bool descending) {
  TypedCell cell;
  if constexpr (std::is_same_v<Value, double>)
    cell.real = value;
  else if constexpr (std::is_same_v<Value, std::int64_t>)
    cell.whole = value;
  else
    cell.text = value;
  std::string key;
  append_sort_key(key, {"x", kind}, cell, descending);
  return key;
}

template <class Value>
void expect_ascending(TableKind kind, const std::vector<Value>& values) {
  for (std::size_t i = 0; i < values.size(); ++i)
    for (std::size_t j = 0; j < values.size(); ++j) {
      const bool less = values[i] < values[j];
      EXPECT_EQ(key_of(kind, values[i], false) < key_of(kind, values[j], false), less) << i << " " << j;
      EXPECT_EQ(key_of(kind, values[j], true) < key_of(kind, values[i], true), less) << i << " " << j;
    }
}

TEST(SortKeys, ascend_as_values_do) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  expect_ascending<double>(TableKind::real,
                           {-kInfinity, -1e300, -1, -1e-300, -0.0, 0.0, 5e-324, 1, 2, 1e300, kInfinity});
  expect_ascending<std::int64_t>(TableKind::whole, {std::numeric_limits<std::int64_t>::min(), -1, 0, 1,
                                                    std::numeric_limits<std::int64_t>::max()});
  using namespace std::string_view_literals;
  expect_ascending<std::string_view>(
      TableKind::text, {""sv, "\0"sv, "\0\0"sv, "\0\xff"sv, "\1"sv, "a"sv, "a\0"sv, "a\0b"sv, "aa"sv, "b"sv,
                        "\xff"sv, "\xff\xff"sv});
  TypedCell missing{.missing = true};
  for (const bool descending : {false, true}) {
    std::string key;
    append_sort_key(key, {"x", TableKind::real}, missing, descending);
    EXPECT_GT(key, key_of(TableKind::real, kInfinity, descending));
    EXPECT_GT(key, key_of(TableKind::real, -kInfinity, descending));
  }
}

TEST(KthSmallest, is_that_of_all_ranks_together) {
  const Context context;
  std::vector<std::uint64_t> all;
  std::vector<std::vector<std::uint64_t>> own(2);
  for (std::uint64_t i = 0; i < 500; ++i) {
    const std::uint64_t key = i % 3 == 0 ? philox_bits(1, 1, i) : philox_bits(1, 1, i) % 7;  // many are alike
    all.push_back(key);
    if (static_cast<int>(i % 5) % context.size() == context.rank()) own[1].push_back(key);
  }
  std::sort(all.begin(), all.end());
  std::sort(own[1].begin(), own[1].end());
  std::vector<KthTarget> targets;
  for (const Index k : {0, 1, 17, 250, 333, 498, 499}) targets.push_back({1, k});
  const auto found = kth_smallest(context.comm(), own, targets);
  for (std::size_t i = 0; i < targets.size(); ++i)
    EXPECT_EQ(found[i], all[static_cast<std::size_t>(targets[i].k)]) << targets[i].k;
  EXPECT_THROW(kth_smallest(context.comm(), own, std::vector<KthTarget>{{1, 500}}), Error);
  EXPECT_THROW(kth_smallest(context.comm(), own, std::vector<KthTarget>{{0, 0}}), Error);
}

TEST(OrderedKeys, go_there_and_back) {
  for (const double value : {-1e300, -2.5, 0.0, 5e-324, 3.0, 1e300})
    EXPECT_EQ(number_of_key(ordered_key(value)), value);
  EXPECT_EQ(ordered_key(-0.0), ordered_key(0.0));
}

TEST(RowChoice, takes_the_smallest_draws_of_each_group) {
  const Context context;
  constexpr Index kRows = 1000;
  const Index first = kRows * context.rank() / context.size();
  const Index end = kRows * (context.rank() + 1) / context.size();
  std::vector<std::string> groups;
  for (Index row = first; row < end; ++row) groups.push_back(row % 3 == 0 ? "a" : "b");
  const auto chosen = choose_rows(context, end - first, {.fraction = 0.25}, 9, groups);
  std::int64_t counts[2] = {0, 0};
  for (std::size_t i = 0; i < chosen.size(); ++i)
    if (chosen[i] != 0) ++counts[groups[i] == "a" ? 0 : 1];
  context.comm().allreduce_sum(counts);
  EXPECT_EQ(counts[0], 84);   // 83.5 of 334
  EXPECT_EQ(counts[1], 167);  // 166.5 of 666
  // Fewer rows are a part of more.
  const auto few = choose_rows(context, end - first, {.rows = 100}, 9);
  const auto many = choose_rows(context, end - first, {.rows = 200}, 9);
  for (std::size_t i = 0; i < few.size(); ++i) EXPECT_LE(few[i], many[i]);
}

}  // namespace
}  // namespace firesteel
