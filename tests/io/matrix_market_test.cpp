// SPDX-License-Identifier: Apache-2.0
#include "firesteel/io/matrix_market.hpp"

#include <random>

#include "text_fixture.hpp"

namespace firesteel {
namespace {

using Numbers = std::vector<double>;

class MatrixMarket : public testing::TextTest {
 protected:
  ReadOptions options_for(const std::string& path) const {
    ReadOptions options;
    options.inputs = {path};
    options.label_use = ReadOptions::Label::optional;
    return options;
  }
  RowInput read(const std::string& text) { return read_rows(context, options_for(write("a.mtx", text))); }
  std::string error(const std::string& text) { return error_of(options_for(write("a.mtx", text))); }
};

constexpr const char* kReal = "%%MatrixMarket matrix coordinate real general\n";

TEST_F(MatrixMarket, entries_in_any_order_are_sparse_rows) {
  const auto input =
      read(std::string(kReal) + "% a comment\n%\n\n3 4 4\n3 1 -2.5\n1 4 1e3\n\n2 2 7\n1 1 .5\n");
  EXPECT_TRUE(input.rows.sparse());
  EXPECT_EQ(all_values(input.rows), (Numbers{.5, 0, 0, 1000, 0, 7, 0, 0, -2.5, 0, 0, 0}));
  EXPECT_EQ(input.rows.partition.rows(), 3);
}

TEST_F(MatrixMarket, patterns_and_integers) {
  EXPECT_EQ(all_values(read("%%matrixmarket MATRIX Coordinate Pattern General\n2 2 2\n2 1\n1 2\n").rows),
            (Numbers{0, 1, 1, 0}));
  EXPECT_EQ(all_values(read("%%MatrixMarket matrix coordinate integer general\n2 2 1\n2 1 -3\n").rows),
            (Numbers{0, 0, -3, 0}));
}

TEST_F(MatrixMarket, symmetric_matrices_are_completed) {
  EXPECT_EQ(all_values(read("%%MatrixMarket matrix coordinate real symmetric\n2 2 2\n1 1 5\n2 1 3\n").rows),
            (Numbers{5, 3, 3, 0}));
  EXPECT_EQ(all_values(read("%%MatrixMarket matrix coordinate real skew-symmetric\n2 2 1\n2 1 3\n").rows),
            (Numbers{0, -3, 3, 0}));
  EXPECT_EQ(all_values(read("%%MatrixMarket matrix array real symmetric\n3 3\n1\n2\n3\n4\n5\n6\n").rows),
            (Numbers{1, 2, 3, 2, 4, 5, 3, 5, 6}));
  EXPECT_EQ(all_values(read("%%MatrixMarket matrix array real skew-symmetric\n3 3\n2\n3\n5\n").rows),
            (Numbers{0, -2, -3, 2, 0, -5, 3, 5, 0}));
}

TEST_F(MatrixMarket, arrays_are_dense_and_come_column_by_column) {
  const auto input = read("%%MatrixMarket matrix array real general\n3 2\n1\n2\n3\n4\n5\n6\n");
  EXPECT_FALSE(input.rows.sparse());
  EXPECT_EQ(all_values(input.rows), (Numbers{1, 4, 2, 5, 3, 6}));
  EXPECT_EQ(input.rows.schema.names, (std::vector<std::string>{"f0", "f1"}));
}

TEST_F(MatrixMarket, a_column_can_be_label_weight_or_kept) {
  auto options =
      options_for(write("a.mtx", std::string(kReal) + "3 4 5\n1 1 2\n2 1 3\n2 4 1\n3 3 9\n1 2 6\n"));
  options.label = "-1";
  options.weight = "f0";
  options.keep = {"f1"};
  options.features = {"f2", "f1"};
  const auto input = read_rows(context, options);
  EXPECT_EQ(all_numbers(input.rows.labels), (Numbers{0, 1, 0}));
  EXPECT_EQ(all_values(input.rows), (Numbers{0, 6, 0, 0, 9, 0}));
  EXPECT_EQ(all_numbers(input.kept.columns.at(0).values), (Numbers{6, 0, 0}));
}

TEST_F(MatrixMarket, ratings_keep_their_order) {
  const auto input =
      read_ratings(context, options_for(write("r.mtx", std::string(kReal) + "3 4 3\n3 1 4\n1 4 2\n2 2 5\n")));
  const auto& users = std::get<std::vector<std::int64_t>>(input.ratings.users);
  const auto& items = std::get<std::vector<std::int64_t>>(input.ratings.items);
  EXPECT_EQ(context.comm().allgatherv(std::span<const std::int64_t>(users)),
            (std::vector<std::int64_t>{3, 1, 2}));
  EXPECT_EQ(context.comm().allgatherv(std::span<const std::int64_t>(items)),
            (std::vector<std::int64_t>{1, 4, 2}));
  EXPECT_EQ(context.comm().allgatherv(std::span<const double>(input.ratings.ratings)), (Numbers{4, 2, 5}));
}

TEST_F(MatrixMarket, rows_of_several_files_follow_one_another) {
  auto options = options_for(write("a.mtx", std::string(kReal) + "2 2 1\n2 1 3\n"));
  options.inputs.push_back(write("b.mtx", std::string(kReal) + "1 2 1\n1 2 4\n"));
  EXPECT_EQ(all_values(read_rows(context, options).rows), (Numbers{0, 0, 3, 0, 0, 4}));
  options.inputs.push_back(write("c.mtx", std::string(kReal) + "1 3 1\n1 2 4\n"));
  EXPECT_EQ(error_of(options),
            "c.mtx: a matrix of 3 sparse columns, but a.mtx has 2 sparse ones: all files must have the same "
            "columns");
}

TEST_F(MatrixMarket, many_entries_on_many_ranks) {
  constexpr Index kRows = 700;
  constexpr Index kColumns = 40;
  std::mt19937_64 random(5);
  Numbers dense(static_cast<std::size_t>(kRows * kColumns));
  std::string lines;
  Index entries = 0;
  for (Index column = 0; column < kColumns; ++column)
    for (Index row = 0; row < kRows; ++row) {
      if (random() % 5 != 0) continue;
      const double value = static_cast<double>(random() % 1000) / 8;
      dense[static_cast<std::size_t>(row * kColumns + column)] = value;
      lines +=
          std::to_string(row + 1) + " " + std::to_string(column + 1) + " " + std::to_string(value) + "\n";
      ++entries;
    }
  const auto input = read(std::string(kReal) + std::to_string(kRows) + " " + std::to_string(kColumns) + " " +
                          std::to_string(entries) + "\n" + lines);
  EXPECT_EQ(all_values(input.rows), dense);
}

TEST_F(MatrixMarket, faults_are_named_with_their_line) {
  const std::string real = kReal;
  EXPECT_EQ(error(real + "2 2 1\n3 1 5\n"), "a.mtx:3: expected a row, 1 … 2, got '3'");
  EXPECT_EQ(error(real + "2 2 1\n1 0 5\n"), "a.mtx:3: expected a column, 1 … 2, got '0'");
  EXPECT_EQ(error(real + "2 2 1\n1 1\n"), "a.mtx:3: expected a number, got nothing");
  EXPECT_EQ(error(real + "2 2 1\n1 1 x\n"), "a.mtx:3: expected a number, got 'x'");
  EXPECT_EQ(error(real + "2 2 1\n1 1 2 3\n"), "a.mtx:3: expected the end of the line, got '3'");
  EXPECT_EQ(error(real + "2 2 1\n1 1 inf\n"), "a.mtx:3: expected a finite number, got inf");
  EXPECT_EQ(error(real + "2 2 2\n1 1 2\n"),
            "a.mtx: expected 2 lines of values, as its header says, found 1: it is cut short");
  EXPECT_EQ(error(real + "2 2 1\n1 1 2\n1 2 2\n"),
            "a.mtx: expected 1 lines of values, as its header says, found 2");
  EXPECT_EQ(error(real + "2 2 2\n2 1 2\n2 1 2\n"), "a.mtx: row 1, column 0 (counted from 0) is given twice");
  EXPECT_EQ(error(real + "2 2\n1 1 2\n"),
            "a.mtx: expected the line of sizes, rows, columns and entries, got '2 2'");
  EXPECT_EQ(error("%%MatrixMarket matrix coordinate complex general\n1 1 1\n1 1 2 3\n"),
            "a.mtx: 'complex' matrices are not read: expected real, integer or pattern");
  EXPECT_EQ(error("%%MatrixMarket matrix coordinate real symmetric\n2 2 1\n1 2 3\n").substr(0, 25),
            "a.mtx:3: an entry above t");
  EXPECT_EQ(error("%%MatrixMarket matrix coordinate real symmetric\n2 3 1\n1 2 3\n").substr(0, 24),
            "a.mtx: a symmetric matri");
  EXPECT_EQ(error(real + "900000000000 2 1\n1 1 2\n"),
            "a.mtx: a matrix of 900000000000 x 2, more than a file of this size can use: at most 16781632 of "
            "either");
  EXPECT_EQ(error("hello\n"),
            "a.mtx: expected '%%MatrixMarket matrix FORMAT FIELD SYMMETRY' in the first line");
}

TEST_F(MatrixMarket, a_missing_value_is_dealt_with_as_options_say) {
  auto options = options_for(write("a.mtx", std::string(kReal) + "2 1 2\n1 1 nan\n2 1 3\n"));
  EXPECT_EQ(error_of(options), "a.mtx:3: the value is missing (NaN); say --missing drop or --missing mean");
  options.missing = "drop";
  EXPECT_EQ(read_rows(context, options).rows.rows_used, 1);
}

}  // namespace
}  // namespace firesteel
