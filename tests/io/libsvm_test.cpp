// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdlib>
#include <numeric>
#include <random>

#include "text_fixture.hpp"

namespace firesteel {
namespace {

using Libsvm = testing::TextTest;
using Label = ReadOptions::Label;
using Numbers = std::vector<double>;
using Texts = std::vector<std::string>;

ReadOptions options_for(const std::string& path, Label label = Label::required) {
  ReadOptions options;
  options.inputs = {path};
  options.label_use = label;
  return options;
}

TEST_F(Libsvm, reads_sparse_rows_and_labels) {
  const auto path =
      write("a.libsvm", "+1 1:0.5 3:2 # note 9:9\n# 77:1 alone\n\n-1  2:1e-3 \r\n  \n0\n2 qid:7 4:-1");
  const auto rows = read_rows(context, options_for(path)).rows;
  EXPECT_TRUE(rows.sparse());
  EXPECT_EQ(rows.columns(), 4);
  EXPECT_TRUE(rows.schema.names.empty());
  EXPECT_EQ(all_numbers(rows.labels), (Numbers{1, -1, 0, 2}));
  EXPECT_EQ(all_values(rows), (Numbers{.5, 0, 2, 0, 0, 1e-3, 0, 0, 0, 0, 0, 0, 0, 0, 0, -1}));
  EXPECT_EQ(rows.rows_used, 4);
}

TEST_F(Libsvm, width_is_the_largest_index_or_what_is_asked) {
  auto options = options_for(write("a.txt", "1 1:1\n0 7:1\n1 2:1\n"));
  EXPECT_EQ(read_rows(context, options).rows.columns(), 7);
  options.num_features = 10;
  EXPECT_EQ(read_rows(context, options).rows.columns(), 10);
  options.num_features = 6;
  EXPECT_EQ(error_of(options), "a.txt:2: index 7 is beyond 6 features (--num-features)");
  options.num_features.reset();
  options.zero_based = true;
  EXPECT_EQ(read_rows(context, options).rows.columns(), 8);
}

TEST_F(Libsvm, says_what_is_wrong) {
  EXPECT_EQ(error_of(options_for(write("a.svm", "1 0:1\n"))),
            "a.svm:1: index 0, but indices count from 1: if these count from 0, say --zero-based");
  EXPECT_EQ(last_code, ErrorCode::bad_input);
  EXPECT_EQ(error_of(options_for(write("b.svm", "1 1:1\n\n1 3:1 2:1\n"))),
            "b.svm:3: index 2 after index 3: indices must ascend; sort the entries of the line");
  EXPECT_EQ(error_of(options_for(write("c.svm", "1 3:1 3:1\n"))),
            "c.svm:1: index 3 after index 3: indices must ascend; sort the entries of the line");
  EXPECT_EQ(error_of(options_for(write("d.svm", "1 1:x\n"))), "d.svm:1: expected index:value, got '1:x'");
  EXPECT_EQ(error_of(options_for(write("e.svm", "1 1:1 word\n"))),
            "e.svm:1: expected index:value, got 'word'");
  EXPECT_EQ(error_of(options_for(write("f.svm", "1 1:inf\n"))),
            "f.svm:1: expected a finite number, got '1:inf'");
  EXPECT_EQ(error_of(options_for(write("g.svm", "1 1:nan\n"))),
            "g.svm:1: the value is missing ('1:nan'); say --missing drop");
  EXPECT_EQ(error_of(options_for(write("h.svm", "1 1:1\nb 1:1\n"))),
            "h.svm:2: expected a finite number as label, got 'b'");
  EXPECT_EQ(error_of(options_for(write("i.svm", "1 1:1\n2:1\n"))), "i.svm:2: expected a label, got '2:1'");
  EXPECT_EQ(error_of(options_for(write("j.svm", ""))), "j.svm is empty");
  EXPECT_EQ(error_of(options_for(write("k.svm", "1\n0\n"))),
            "k.svm has no feature columns: no line holds an index:value pair");
  EXPECT_EQ(error_of(options_for(write("l.svm", "1 99999999999999999999:1\n"))),
            "l.svm:1: index 99999999999999999999 is beyond 2147483647 features (--num-features)");
  EXPECT_EQ(error_of(options_for(write("m.svm", "1:1\n"))),
            "m.svm has no labels: its first line begins with an index:value pair");
}

TEST_F(Libsvm, missing_values_can_be_dropped) {
  auto options = options_for(write("a.svm", "1 1:1 2:2\n0 1:nan 2:3\n"));
  options.missing = "drop";
  const auto rows = read_rows(context, options).rows;
  EXPECT_EQ(rows.rows_used, 1);
  EXPECT_EQ(all_values(rows), (Numbers{1, 2, 0, 0}));
}

TEST_F(Libsvm, labels_may_be_texts_or_absent) {
  const auto rows = read_rows(context, options_for(write("a.svm", "spam 1:1\nham 2:1\n"))).rows;
  EXPECT_EQ(all_texts(rows.labels), (Texts{"spam", "ham"}));
  const auto unlabelled = read_rows(context, options_for(write("b.svm", "1:1\n2:5\n"), Label::optional)).rows;
  EXPECT_FALSE(unlabelled.has_labels);
  EXPECT_EQ(all_values(unlabelled), (Numbers{1, 0, 0, 5}));
}

TEST_F(Libsvm, scoring_takes_fewer_columns_and_refuses_more) {
  FeatureSchema model;
  auto options = options_for(write("a.svm", "1 1:1\n0 2:5\n"), Label::optional);
  options.expected = &model;
  options.expected_features = 4;
  EXPECT_EQ(all_values(read_rows(context, options).rows), (Numbers{1, 0, 0, 0, 0, 5, 0, 0}));
  options.expected_features = 1;
  EXPECT_EQ(error_of(options), "a.svm:2: index 2 is beyond the model's 1 features");
}

TEST_F(Libsvm, users_and_items_are_not_in_it) {
  EXPECT_EQ(rating_error_of(options_for(write("a.svm", "1 1:1\n"))),
            "a.svm is LIBSVM text, which has no users and items: expected CSV or HDF5");
}

TEST_F(Libsvm, features_are_chosen_by_number_range_and_name) {
  auto options = options_for(write("a.svm", "1 1:1 2:2 3:3 4:4 6:6\n0 2:-2 4:-4 5:-5\n"));
  options.features = {"f5", "0-1", "-3"};  // out of order: a row's entries are put in order
  auto rows = read_rows(context, options).rows;
  EXPECT_TRUE(rows.sparse());
  EXPECT_EQ(rows.schema.names, (Texts{"f5", "f0", "f1", "f3"}));
  EXPECT_EQ(all_values(rows), (Numbers{6, 1, 2, 4, 0, 0, -2, -4}));
  for (Index row = 0; row < rows.local_rows(); ++row) {
    const auto indices = std::get<SparseRows<double>>(rows.features).row_indices(row);
    EXPECT_TRUE(std::is_sorted(indices.begin(), indices.end()));
  }
  options.exclude = {"f0", "5"};
  EXPECT_EQ(read_rows(context, options).rows.schema.names, (Texts{"f1", "f3"}));
  options.features.clear();
  rows = read_rows(context, options).rows;
  EXPECT_EQ(rows.schema.names, (Texts{"f1", "f2", "f3", "f4"}));
  EXPECT_EQ(all_values(rows), (Numbers{2, 3, 4, 0, -2, 0, -4, -5}));
  options.zero_based = true;  // seven columns now, f0 to f6
  EXPECT_EQ(read_rows(context, options).rows.schema.names, (Texts{"f1", "f2", "f3", "f4", "f6"}));
}

TEST_F(Libsvm, a_column_may_be_the_weight) {
  auto options = options_for(write("a.svm", "1 1:1 2:2.5 3:3\n0 1:4\n1 2:1 3:6\n"));
  options.weight = "f1";
  auto rows = read_rows(context, options).rows;
  EXPECT_EQ(rows.schema.names, (Texts{"f0", "f2"}));
  EXPECT_EQ(all_values(rows), (Numbers{1, 3, 4, 0, 0, 6}));
  const auto own = std::span<const double>(rows.weights).first(static_cast<std::size_t>(rows.local_rows()));
  EXPECT_EQ(context.comm().allgatherv(own), (Numbers{2.5, 0, 1}));
  options = options_for(write("b.svm", "1 1:1 2:1\n0 1:4 2:-1\n"));
  options.weight = "-1";
  EXPECT_EQ(error_of(options), "b.svm:2: expected a finite weight >= 0, got '2:-1'");
  options = options_for(write("c.svm", "1 1:1 2:1\n0 1:4 2:nan\n"));
  options.weight = "1";
  EXPECT_EQ(error_of(options), "c.svm:2: expected a finite weight >= 0, got '2:nan'");
}

TEST_F(Libsvm, columns_and_the_label_are_kept_as_written) {
  auto options = options_for(write("a.svm", "+1 1:1.50 3:3\n0 1:4e0\n"), Label::ignored);
  options.keep = {"label", "f2", "0"};
  const auto input = read_rows(context, options);
  ASSERT_EQ(input.kept.columns.size(), 3U);
  EXPECT_EQ(input.kept.columns[0].name, "label");
  EXPECT_EQ(input.kept.columns[1].name, "f2");
  EXPECT_EQ(input.kept.columns[2].name, "f0");
  EXPECT_EQ(all_texts(input.kept.columns[0].values), (Texts{"+1", "0"}));
  EXPECT_EQ(all_texts(input.kept.columns[1].values), (Texts{"3", "0"}));
  EXPECT_EQ(all_texts(input.kept.columns[2].values), (Texts{"1.50", "4e0"}));
  EXPECT_EQ(all_values(input.rows), (Numbers{1.5, 0, 3, 4, 0, 0}));
}

TEST_F(Libsvm, a_model_of_chosen_columns_finds_them_by_name) {
  FeatureSchema model;
  model.names = {"f3", "f0"};
  auto options = options_for(write("a.svm", "1 1:1 2:2 4:4 9:9\n0 2:5\n"), Label::ignored);
  options.expected = &model;
  options.expected_features = 2;
  EXPECT_EQ(all_values(read_rows(context, options).rows), (Numbers{4, 1, 0, 0}));
  options = options_for(write("b.svm", "1 1:7\n"), Label::ignored);  // too narrow: zeros
  options.expected = &model;
  options.expected_features = 2;
  options.keep = {"f3"};
  EXPECT_EQ(all_values(read_rows(context, options).rows), (Numbers{0, 7}));
  // What a model calls otherwise is matched by position, and so is what --features names.
  model.names = {"age", "size"};
  options = options_for(write("c.svm", "1 1:1 2:2\n"), Label::ignored);
  options.expected = &model;
  options.expected_features = 2;
  EXPECT_EQ(all_values(read_rows(context, options).rows), (Numbers{1, 2}));
  options.features = {"1", "0"};
  EXPECT_EQ(all_values(read_rows(context, options).rows), (Numbers{2, 1}));
  options.features = {"1"};
  EXPECT_EQ(error_of(options), "c.svm has 1 feature columns, the model was trained on 2");
  // Without names, a weight at scoring leaves the other columns to the model.
  model.names.clear();
  options.features.clear();
  options.weight = "0";
  EXPECT_EQ(all_values(read_rows(context, options).rows), (Numbers{2, 0}));
  model.names = {"f0", "f1"};  // and where all columns are named in order, more are refused as ever
  options.weight.clear();
  EXPECT_EQ(all_values(read_rows(context, options).rows), (Numbers{1, 2}));
  options.inputs = {write("d.svm", "1 3:1\n")};
  EXPECT_EQ(error_of(options), "d.svm:1: index 3 is beyond the model's 2 features");
}

TEST_F(Libsvm, a_few_of_very_many_columns_are_found) {
  auto options = options_for(write("a.svm", "1 1:1 2:2 100000000:3\n0 77:4 99999999:5\n"));
  options.features = {"f99999999", "0", "76"};
  const auto rows = read_rows(context, options).rows;
  EXPECT_EQ(rows.schema.names, (Texts{"f99999999", "f0", "f76"}));
  EXPECT_EQ(all_values(rows), (Numbers{3, 1, 0, 0, 0, 4}));
}

TEST_F(Libsvm, columns_that_cannot_be_meant_are_refused) {
  auto options = options_for(write("a.svm", "1 1:1 2:1\n0 1:4\n"));
  options.features = {"age"};
  EXPECT_EQ(error_of(options),
            "--features: no column 'age' in a.svm, whose columns are f0 … f1: give such a name, a number, "
            "0 … 1 or -1 for the last; --num-features says how many there are");
  options.features = {"f01"};
  EXPECT_TRUE(error_of(options).starts_with("--features: no column 'f01' in a.svm"));
  options.features = {"0-2"};
  EXPECT_TRUE(error_of(options).starts_with("--features: no column '0-2' in a.svm"));
  options.num_features = 3;
  EXPECT_EQ(read_rows(context, options).rows.columns(), 3);
  options.features = {"0", "f0"};
  EXPECT_EQ(error_of(options), "--features: column 'f0' is given twice");
  options.features = {"0"};
  options.weight = "f0";
  EXPECT_EQ(error_of(options), "--features: column 'f0' of a.svm is the weight, and cannot be a feature too");
  options.features.clear();
  options.weight = "label";
  EXPECT_EQ(
      error_of(options),
      "--weight label: in a.svm, LIBSVM text, the label is no column: give a number from 0, or f0, f1, …");
  options.weight.clear();
  options.exclude = {"0-2"};
  EXPECT_TRUE(error_of(options).starts_with("a.svm has no feature columns"));
  options.exclude.clear();
  options.keep = {"label", "label"};
  EXPECT_EQ(error_of(options), "--keep: column 'label' is given twice");
  options = options_for(write("b.svm", "1:1\n2:1\n"), Label::ignored);
  options.keep = {"label"};
  EXPECT_EQ(error_of(options),
            "--keep label: b.svm has no labels: its first line begins with an index:value pair");
}

TEST_F(Libsvm, format_is_told_by_the_first_bytes) {
  EXPECT_EQ(detect_format(write("a", "# c\n\n-1 3:1 11:1\n"), {}), "libsvm");
  EXPECT_EQ(detect_format(write("b", "3:1 11:1\n"), {}), "libsvm");
  EXPECT_EQ(detect_format(write("c.txt", "time,x\n12:30,4\n"), {}), "csv");
  EXPECT_EQ(detect_format(write("d.data", "5.1,3.5,Iris\n"), {}), "csv");
  EXPECT_EQ(detect_format(write("e", "\x89HDF\r\n\x1a\n"), {}), "hdf5");
  ReadOptions given;
  given.format = "libsvm";
  EXPECT_EQ(detect_format("x.csv", given), "libsvm");
  given.format = "excel";
  EXPECT_THROW(detect_format("x.csv", given), Error);
}

TEST_F(Libsvm, any_cut_gives_the_same_rows_or_the_same_error) {
  const Texts texts = {"1 3:1 qid:7\n0 5:2 qid:1\n0 1:1\n",
                       "\xEF\xBB\xBF"
                       "1 4:1\n-1 2:1\n",
                       "1 1:1\r2:1\n0 7:1\r9:2\r\n",
                       "1 1:1 00000000000000000000000000000000000000000000000005:1\n0 2:1\n",
                       "1 1:1 x00000000000000000000000000000000000000000000000005:1\n0 2:1\n",
                       "1 8:1 a:b\n0 2:1\n",
                       "1 5:1 qid:00000000000000000000000000000000000000000003:7\n0 2:1\n"};
  for (const auto& text : texts) {
    const auto options = options_for(write("a.svm", text));
    const auto read = [&](const char* piece_bytes) {
      ::setenv("FIRESTEEL_PIECE_BYTES", piece_bytes, 1);
      std::string outcome = error_of(options);
      if (outcome == "no error") outcome = std::to_string(read_rows(context, options).rows.columns());
      ::unsetenv("FIRESTEEL_PIECE_BYTES");
      return outcome;
    };
    const std::string whole = read("1048576");
    for (const char* piece_bytes : {"4", "5", "7", "11", "16", "23", "40"})
      EXPECT_EQ(read(piece_bytes), whole) << text << " in pieces of " << piece_bytes;
  }
  EXPECT_EQ(read_rows(context, options_for(write("b.svm", texts[0]))).rows.columns(), 5);
}

TEST_F(Libsvm, random_rows_read_the_same_on_any_number_of_ranks) {
  std::mt19937_64 random(3);
  for (int round = 0; round < 30; ++round) {
    const std::size_t rows = 1 + random() % 300;
    const std::size_t columns = 1 + random() % 40;
    Numbers values(rows * columns, 0.0);
    Numbers labels;
    Index largest = 0;
    std::string text;
    for (std::size_t row = 0; row < rows; ++row) {
      labels.push_back(static_cast<double>(random() % 3));
      text += std::to_string(random() % 1 + static_cast<std::uint64_t>(labels.back()));
      for (std::size_t column = 0; column < columns; ++column) {
        if (random() % 4 != 0) continue;
        values[row * columns + column] = static_cast<double>(random() % 1000) / 16;
        text += " " + std::to_string(column + 1) + ":" + std::to_string(values[row * columns + column]);
        largest = std::max(largest, static_cast<Index>(column) + 1);
      }
      text += random() % 5 == 0 ? " # as 99:1 says\r\n" : "\n";
      if (random() % 9 == 0) text += "  # 88:1\n";
      if (random() % 9 == 0) text += " \n";
    }
    if (largest == 0) continue;
    auto options = options_for(write("random.svm", text));
    EXPECT_EQ(read_rows(context, options).rows.columns(), largest);
    options.num_features = static_cast<Index>(columns);
    const auto read = read_rows(context, options).rows;
    ASSERT_EQ(all_values(read), values) << text;
    ASSERT_EQ(all_numbers(read.labels), labels);
    std::vector<std::size_t> order(columns);
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::shuffle(order.begin(), order.end(), random);
    order.resize(1 + random() % columns);
    Numbers chosen;
    for (std::size_t row = 0; row < rows; ++row)
      for (const std::size_t column : order) chosen.push_back(values[row * columns + column]);
    for (const std::size_t column : order) options.features.push_back(std::to_string(column));
    ASSERT_EQ(all_values(read_rows(context, options).rows), chosen) << text;
  }
}

}  // namespace
}  // namespace firesteel
