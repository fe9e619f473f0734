// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <random>

#include "text_fixture.hpp"

namespace firesteel {
namespace {

using Csv = testing::TextTest;
using Label = ReadOptions::Label;
using Numbers = std::vector<double>;
using Texts = std::vector<std::string>;

ReadOptions options_for(const std::string& path, Label label = Label::optional) {
  ReadOptions options;
  options.inputs = {path};
  options.label_use = label;
  return options;
}

TEST_F(Csv, reads_features_and_labels_in_file_order) {
  const auto path = write("a.csv", "x,label,y\n1,0,2.5\n-3,1,4e2\n.5,0,5.\n");
  const auto input = read_rows(context, options_for(path, Label::required));
  EXPECT_EQ(input.rows.schema.names, (Texts{"x", "y"}));
  EXPECT_EQ(all_values(input.rows), (Numbers{1, 2.5, -3, 400, .5, 5}));
  EXPECT_EQ(all_numbers(input.rows.labels), (Numbers{0, 1, 0}));
  EXPECT_TRUE(input.rows.has_labels);
  EXPECT_EQ(input.rows.rows_used, 3);
  EXPECT_TRUE(input.rows.weights.empty());
}

TEST_F(Csv, accepts_byte_order_mark_crlf_blanks_and_blank_last_lines) {
  const auto path = write("a.csv", "\xEF\xBB\xBFx, label ,y\r\n1,  0,2.5 \r\n-3,1\t,4\r\n\r\n  \r\n\n");
  const auto input = read_rows(context, options_for(path, Label::required));
  EXPECT_EQ(input.rows.schema.names, (Texts{"x", "y"}));
  EXPECT_EQ(all_values(input.rows), (Numbers{1, 2.5, -3, 4}));
}

TEST_F(Csv, the_last_line_needs_no_line_break) {
  const auto path = write("a.csv", "x,y\n1,2\n3,4");
  EXPECT_EQ(all_values(read_rows(context, options_for(path)).rows), (Numbers{1, 2, 3, 4}));
}

TEST_F(Csv, quoted_fields_hold_delimiters_quotes_and_line_breaks) {
  const auto path =
      write("a.csv", "\"x\",\"a \"\"name\"\"\"\n\"1.5\",\"p,q\"\n2,\"say \"\"hi\"\"\nthere\"\n3, \"\"\n");
  auto options = options_for(path);
  options.keep = {"a \"name\""};
  const auto input = read_rows(context, options);
  EXPECT_EQ(all_values(input.rows), (Numbers{1.5, 2, 3}));
  EXPECT_EQ(input.kept.columns.at(0).name, "a \"name\"");
  EXPECT_EQ(all_texts(input.kept.columns.at(0).values), (Texts{"p,q", "say \"hi\"\nthere", ""}));
}

TEST_F(Csv, other_delimiters) {
  auto options = options_for(write("a.csv", "x\ty\n1\t2\n"));
  options.delimiter = "tab";
  EXPECT_EQ(all_values(read_rows(context, options).rows), (Numbers{1, 2}));
  options = options_for(write("b.csv", "  x   y \n 1  2\n3 4  \r\n   \n"));
  options.delimiter = "space";
  EXPECT_EQ(all_values(read_rows(context, options).rows), (Numbers{1, 2, 3, 4}));
  options = options_for(write("c.csv", "x;y\n1;2\n"));
  options.delimiter = ";";
  EXPECT_EQ(all_values(read_rows(context, options).rows), (Numbers{1, 2}));
  options.delimiter = "ab";
  EXPECT_EQ(error_of(options), "--delimiter: expected one character, tab or space, got 'ab'");
  EXPECT_EQ(last_code, ErrorCode::bad_parameter);
}

TEST_F(Csv, a_header_of_numbers_is_refused_unless_it_counts) {
  EXPECT_EQ(error_of(options_for(write("a.csv", "5.1,3.5\n1,2\n"))),
            "a.csv:1: expected a header, got numbers only: if there is none, say --no-header");
  EXPECT_EQ(last_code, ErrorCode::bad_input);
  EXPECT_EQ(read_rows(context, options_for(write("b.csv", "0,1\n1,2\n"))).rows.schema.names,
            (Texts{"0", "1"}));
  auto options = options_for(write("c.csv", "5.1,3.5\n1,2\n"));
  options.header = false;
  const auto input = read_rows(context, options);
  EXPECT_TRUE(input.rows.schema.names.empty());
  EXPECT_EQ(all_values(input.rows), (Numbers{5.1, 3.5, 1, 2}));
}

TEST_F(Csv, says_what_is_wrong_with_a_file) {
  EXPECT_EQ(error_of(options_for(write("a.csv", ""))), "a.csv is empty");
  EXPECT_EQ(error_of(options_for(write("b.csv", "\n \n"))), "b.csv is empty");
  EXPECT_EQ(error_of(options_for(write("c.csv", "x,y\n"))), "c.csv has a header and no data rows");
  EXPECT_EQ(error_of(options_for(write("d.csv", "x,x\n1,2\n"))),
            "d.csv:1: two columns are called 'x': names must differ");
  EXPECT_EQ(error_of(options_for(write("e.csv", "x,y\n1,2\n3\n4,5\n"))),
            "e.csv:3: expected 2 columns, got 1");
  EXPECT_EQ(error_of(options_for(write("f.csv", "x,y\n1,2\n3,4,5,6\n"))),
            "f.csv:3: expected 2 columns, got 4");
  EXPECT_EQ(error_of(options_for(write("g.csv", "x,y\n1,2\n\"a\nb\",3\n"))),
            "g.csv:3:1: expected a number, got 'a\\nb' (column 'x')");
  EXPECT_EQ(error_of(options_for(write("h.csv", "t,y\n\"a\nb\",3\nc,abc\n"))),
            "h.csv:4:2: expected a number, got 'abc' (column 'y')");
  EXPECT_EQ(error_of(options_for(write("i.csv", "x,y\n1,inf\n"))),
            "i.csv:2:2: expected a finite number, got 'inf' (column 'y')");
  EXPECT_EQ(error_of(options_for(write("j.csv", "x,y\n1,1e999\n"))),
            "j.csv:2:2: expected a finite number, got '1e999' (column 'y')");
  EXPECT_EQ(error_of(options_for(write("k.csv", "x,y\n1,2\n3,\"4\n5,6\n"))),
            "k.csv:3:2: the quote that opens here is not closed (column 'y')");
  EXPECT_EQ(error_of(options_for(write("l.csv", "x,y\n1,\"2\"3\n"))),
            "l.csv:2:2: expected a delimiter after the closing quote (column 'y')");
  EXPECT_EQ(error_of(options_for(write("m.csv", "t,u\na,b\n"))),
            "m.csv has no feature columns: every column is text, excluded, or has another part");
  EXPECT_EQ(last_code, ErrorCode::bad_input);
}

TEST_F(Csv, absent_input_is_66) {
  EXPECT_EQ(error_of(options_for(directory + "/nothing.csv")),
            "cannot read 'nothing.csv': No such file or directory");
  EXPECT_EQ(last_code, ErrorCode::no_input);
  EXPECT_EQ(error_of(options_for(directory + "/*.nothing")),
            "cannot read '*.nothing': no file matches this pattern");
  EXPECT_EQ(last_code, ErrorCode::no_input);
}

TEST_F(Csv, several_files_are_one_sequence_of_rows) {
  write("p2.csv", "x,y\n3,4\n");
  write("p1.csv", "x,y\n1,2\n\n");
  write("p10.csv", "x,y\n5,6");
  auto options = options_for(directory + "/p*.csv");
  EXPECT_EQ(all_values(read_rows(context, options).rows), (Numbers{1, 2, 5, 6, 3, 4}));  // byte order
  options.inputs = {directory + "/p2.csv", directory + "/p1.csv"};
  EXPECT_EQ(all_values(read_rows(context, options).rows), (Numbers{3, 4, 1, 2}));
  options.inputs = {directory};
  EXPECT_EQ(all_values(read_rows(context, options).rows), (Numbers{1, 2, 5, 6, 3, 4}));
  options.inputs = {directory + "/p1.csv", write("q.csv", "x,z\n1,2\n")};
  EXPECT_EQ(error_of(options),
            "q.csv:1: expected the header of p1.csv, got column 2 called 'z', not 'y': all files must have "
            "the same "
            "columns");
  options.inputs = {directory + "/p1.csv", write("r.csv", "")};
  EXPECT_EQ(error_of(options), "r.csv is empty");
}

TEST_F(Csv, text_columns_are_left_out_with_one_warning) {
  const auto path = write("a.csv", "city,x,name,y\nParis,1,,2\nRome,3,bob,4\n");
  EXPECT_EQ(all_values(read_rows(context, options_for(path)).rows), (Numbers{1, 2, 3, 4}));
  EXPECT_EQ(monitor->warnings, (Texts{"text columns are left out: 'city', 'name'"}));
  auto options = options_for(path);
  options.features = {"x", "city"};
  EXPECT_EQ(error_of(options), "--features: column 'city' of a.csv holds text; features must be numbers");
}

TEST_F(Csv, the_kind_of_a_column_is_that_of_its_first_value_on_any_rank) {
  std::string text = "a,b,c\n";
  for (int row = 0; row < 300; ++row)
    text += std::string(row < 250 ? "NA" : "word") + "," + std::to_string(row) + "," +
            (row < 270 ? "" : "7") + "\n";
  auto options = options_for(write("a.csv", text));
  options.missing = "drop";
  const auto input = read_rows(context, options);
  EXPECT_EQ(input.rows.schema.names, (Texts{"b", "c"}));
  EXPECT_EQ(input.rows.rows_used, 30);
}

TEST_F(Csv, features_and_exclude_take_names_numbers_and_ranges) {
  const auto path = write("a.csv", "a,b,c,d,label\n1,2,3,4,0\n");
  const auto names = [&](const Texts& features, const Texts& exclude) {
    auto options = options_for(path);
    options.features = features;
    options.exclude = exclude;
    return read_rows(context, options).rows.schema.names;
  };
  EXPECT_EQ(names({}, {}), (Texts{"a", "b", "c", "d"}));
  EXPECT_EQ(names({"d", "a"}, {}), (Texts{"d", "a"}));
  EXPECT_EQ(names({"0-2", "3"}, {}), (Texts{"a", "b", "c", "d"}));
  EXPECT_EQ(names({"0-3"}, {"b"}), (Texts{"a", "c", "d"}));
  EXPECT_EQ(names({}, {"-2", "0"}), (Texts{"b", "c"}));
  auto options = options_for(path);
  options.features = {"a", "0"};
  EXPECT_EQ(error_of(options), "--features: column 'a' is given twice");
  options.features = {"label"};
  EXPECT_EQ(error_of(options),
            "--features: column 'label' of a.csv is the label, and cannot be a feature too");
  options.features = {"7"};
  EXPECT_EQ(error_of(options), "--features: no column '7' in a.csv, which has 'a', 'b', 'c', 'd', 'label'");
}

TEST_F(Csv, labels_are_numbers_or_texts_and_named_or_numbered) {
  const auto path = write("a.csv", "x,Species\n1,setosa\n2,virginica\n");
  auto options = options_for(path, Label::required);
  EXPECT_EQ(error_of(options), "--label: no column 'label' in a.csv, which has 'x', 'Species'");
  options.label = "species";
  EXPECT_EQ(error_of(options),
            "--label: no column 'species' in a.csv, which has 'x', 'Species'; did you mean 'Species'?");
  for (const auto* label : {"Species", "1", "-1"}) {
    options.label = label;
    EXPECT_EQ(all_texts(read_rows(context, options).rows.labels), (Texts{"setosa", "virginica"}));
  }
  EXPECT_TRUE(monitor->warnings.empty());
  options = options_for(write("b.csv", "x,label\n1,\n"), Label::required);
  EXPECT_EQ(error_of(options), "b.csv:2:2: the label is missing (column 'label')");
  options = options_for(write("c.csv", "x,label\n1,1\n2,b\n"), Label::required);
  EXPECT_EQ(all_texts(read_rows(context, options).rows.labels), (Texts{"1", "b"}));
  options.label_use = Label::ignored;
  const auto input = read_rows(context, options);
  EXPECT_FALSE(input.rows.has_labels);
  EXPECT_EQ(all_values(input.rows), (Numbers{1, 2}));
  options = options_for(write("f.csv", "x,label\n1,1\n2,0.5\n"), Label::required);
  EXPECT_EQ(error_of(options), "no error");
  options.class_labels = true;
  EXPECT_EQ(
      error_of(options),
      "f.csv:3:2: label 0.5 is not a whole number: classes are whole numbers or texts (column 'label')");
  options = options_for(write("d.csv", "1,2\n"), Label::required);
  options.header = false;
  EXPECT_EQ(error_of(options),
            "--label: no column 'label' in d.csv, whose 2 columns have no names: give a number, 0 … 1 or -1 "
            "for the "
            "last");
}

TEST_F(Csv, weights_are_checked) {
  auto options = options_for(write("a.csv", "x,w\n1,2\n3,0\n"));
  options.weight = "w";
  const auto input = read_rows(context, options);
  EXPECT_EQ(input.rows.schema.names, (Texts{"x"}));
  EXPECT_EQ(input.rows.weights.size(), static_cast<std::size_t>((input.rows.local_rows() + 31) / 32 * 32));
  if (input.rows.local_rows() > 0) {
    EXPECT_EQ(input.rows.weights[0], 2);
    EXPECT_EQ(input.rows.weights[1], 0);
  }
  options.inputs = {write("b.csv", "x,w\n1,2\n3,-1\n")};
  EXPECT_EQ(error_of(options), "b.csv:3:2: expected a weight >= 0, got '-1' (column 'w')");
  options.inputs = {write("c.csv", "x,w\n1,inf\n")};
  EXPECT_EQ(error_of(options), "c.csv:2:2: expected a finite number, got 'inf' (column 'w')");
  options.inputs = {write("d.csv", "x,w\n1,0\n3,0\n")};
  EXPECT_EQ(error_of(options), "d.csv: all weights are zero");
  options.weight = "v";
  EXPECT_EQ(error_of(options), "--weight: no column 'v' in d.csv, which has 'x', 'w'");
}

TEST_F(Csv, missing_values_by_choice) {
  const std::string text = "x,y\n1,2\nNA,4\n3,?\n5,6\n";
  auto options = options_for(write("a.csv", text));
  EXPECT_EQ(error_of(options),
            "a.csv:3:1: the value is missing ('NA'); say --missing drop or --missing mean (column 'x')");
  options.missing = "drop";
  auto rows = read_rows(context, options).rows;
  EXPECT_EQ(rows.rows_used, 2);
  EXPECT_EQ(rows.partition.rows(), 4);
  EXPECT_EQ(all_values(rows), (Numbers{1, 2, 0, 0, 0, 0, 5, 6}));
  if (rows.local_rows() > 0) {
    EXPECT_EQ(rows.dropped, (std::vector<std::uint8_t>{0, 1, 1, 0}));
    EXPECT_EQ(rows.weights[1], 0);
    EXPECT_EQ(rows.weights[3], 1);
  }
  options.missing = "mean";
  rows = read_rows(context, options).rows;
  EXPECT_EQ(rows.schema.missing_means, (Numbers{3, 4}));
  EXPECT_EQ(all_values(rows), (Numbers{1, 2, 3, 4, 3, 4, 5, 6}));
  EXPECT_EQ(rows.rows_used, 4);

  FeatureSchema model{.names = {"x", "y"}, .missing = "mean", .missing_means = {10, 20}};
  options.expected = &model;
  options.expected_features = 2;
  EXPECT_EQ(all_values(read_rows(context, options).rows), (Numbers{1, 2, 10, 4, 3, 20, 5, 6}));

  options = options_for(write("b.csv", "x,y\n,1\n,2\n"));
  options.missing = "mean";
  EXPECT_EQ(error_of(options),
            "b.csv: column 'x' has no values at all: --missing mean has nothing to average; exclude it by "
            "--exclude");
  options.missing = "drop";
  EXPECT_EQ(error_of(options), "b.csv: every row has a missing value, so that --missing drop leaves none");
}

TEST_F(Csv, scoring_matches_by_name_or_by_position) {
  FeatureSchema model{.names = {"b", "a"}};
  auto options = options_for(write("a.csv", "a,z,b\n1,9,2\n"));
  options.expected = &model;
  options.expected_features = 2;
  EXPECT_EQ(all_values(read_rows(context, options).rows), (Numbers{2, 1}));
  options.inputs = {write("b.csv", "a,z\n1,9\n")};
  EXPECT_EQ(error_of(options), "b.csv lacks 'b', which the model was trained on; it has 'a', 'z'");
  options.inputs = {write("c.csv", "a,b\n1,x\n")};
  EXPECT_EQ(error_of(options), "c.csv:2:2: expected a number, got 'x' (column 'b')");
  FeatureSchema unnamed;
  options.expected = &unnamed;
  options.inputs = {write("d.csv", "1,2,3\n")};
  options.header = false;
  EXPECT_EQ(error_of(options), "d.csv has 3 feature columns, the model was trained on 2");
  options.label = "-1";
  EXPECT_EQ(all_values(read_rows(context, options).rows), (Numbers{1, 2}));
}

TEST_F(Csv, single_precision_rounds_and_refuses_what_it_cannot_hold) {
  auto options = options_for(write("a.csv", "x\n0.1\n"));
  options.single_precision = true;
  EXPECT_EQ(all_values(read_rows(context, options).rows), (Numbers{0.1F}));
  options.inputs = {write("b.csv", "x\n1e300\n")};
  EXPECT_EQ(error_of(options), "b.csv:2:1: '1e300' is beyond single precision (column 'x')");
}

/// A table with random quoting, blanks and line ends, and what a plain reader makes of it.
struct RandomTable {
  std::string text;
  Numbers values;
  Texts words;

  explicit RandomTable(std::mt19937_64& random) {
    const auto draw = [&](std::size_t below) { return static_cast<std::size_t>(random() % below); };
    const std::string line_end = draw(2) == 0 ? "\r\n" : "\n";
    text = draw(2) == 0 ? "\xEF\xBB\xBF" : "";
    text += "x,word,y" + line_end;
    const std::size_t rows = 1 + draw(300);
    static const Texts kPieces{"a", ",", "\"\"", "\n", "\r\n", " ", "long piece of text ", "5,6\n7,8,9\n",
                               "'"};
    for (std::size_t row = 0; row < rows; ++row) {
      const double x = static_cast<double>(static_cast<std::int64_t>(random())) * 1e-15;
      const double y = static_cast<double>(draw(1000)) / 8;
      std::string word = "w";
      for (std::size_t pieces = draw(draw(10) == 0 ? 40 : 5); pieces > 0; --pieces)
        word += kPieces[draw(kPieces.size())];
      const bool quoted = word.find_first_of(",\"\n ") != std::string::npos || draw(2) == 0;
      std::string plain;
      for (std::size_t i = 0; i < word.size(); ++i) {
        plain += word[i];
        if (word[i] == '"') ++i;
      }
      char number[40];
      std::snprintf(number, sizeof number, "%.17g", x);
      text += draw(4) == 0 ? " \"" + std::string(number) + "\"" : number;
      text += "," + (quoted ? "\"" + word + "\"" : word) + (draw(4) == 0 ? " ," : ",");
      text += std::to_string(y) + (row + 1 < rows || draw(2) == 0 ? line_end : "");
      if (draw(20) == 0) text += line_end + " " + line_end;
      values.push_back(x);
      values.push_back(y);
      words.push_back(quoted ? plain : word);
    }
  }
};

TEST_F(Csv, any_quoting_reads_the_same_on_any_number_of_ranks) {
  std::mt19937_64 random(42);
  for (int round = 0; round < 40; ++round) {
    const RandomTable table(random);
    auto options = options_for(write("random.csv", table.text));
    options.keep = {"word"};
    const auto input = read_rows(context, options);
    ASSERT_EQ(all_values(input.rows), table.values) << table.text;
    ASSERT_EQ(all_texts(input.kept.columns.at(0).values), table.words);
  }
}

TEST_F(Csv, any_cut_gives_the_same_rows_or_the_same_error_and_the_same_warnings) {
  // A column whose first value comes after a fault of quotes is of no kind: nobody reads on from there.
  const Texts texts = {"x,y\n1,\n2,\"a\"b\n3,word\n4,word\n5,6\n",
                       "x,y\n1,2\n3,4,\"5\n6,7\n",
                       "x,y\n1,2,3\"\n4,\"5\"6,7\n",
                       "x,y\n\r\"1\ry\n2\n\"3,4\n",
                       "x,y\n1,\r\"2\n\"\n",
                       "x y\n4 4 \"\"\r\"\n\"\"z\n5 6\n"};
  for (const auto& text : texts) {
    auto options = options_for(write("a.csv", text));
    if (text.starts_with("x y")) options.delimiter = "space";
    const auto read = [&](const char* piece_bytes) {
      ::setenv("FIRESTEEL_PIECE_BYTES", piece_bytes, 1);
      monitor->warnings.clear();
      std::string outcome = error_of(options);
      ::unsetenv("FIRESTEEL_PIECE_BYTES");
      for (const auto& warning : monitor->warnings) outcome += "\n" + warning;
      return outcome;
    };
    const std::string whole = read("1048576");
    for (const char* piece_bytes : {"4", "5", "7", "11", "16", "23"})
      EXPECT_EQ(read(piece_bytes), whole) << text << " in pieces of " << piece_bytes;
  }
  EXPECT_EQ(error_of(options_for(write("b.csv", "x,y\n1,2,\"3\"4\n"))).substr(0, 8), "b.csv:2:");
}

TEST_F(Csv, a_piece_size_that_cannot_be_is_refused) {
  const auto options = options_for(write("a.csv", "x\n1\n"));
  ::setenv("FIRESTEEL_PIECE_BYTES", "3", 1);
  EXPECT_EQ(error_of(options), "FIRESTEEL_PIECE_BYTES must be in 4 … 1048576, got '3'");
  ::unsetenv("FIRESTEEL_PIECE_BYTES");
}

TEST_F(Csv, tiles_are_padded_with_zeros) {
  std::string text = "x,y\n";
  for (int row = 0; row < 70; ++row) text += std::to_string(row + 1) + "," + std::to_string(-row - 1) + "\n";
  const auto rows = read_rows(context, options_for(write("a.csv", text))).rows;
  const auto& tiles = std::get<DenseTiles<double>>(rows.features);
  for (Index t = 0; t < tiles.tiles(); ++t)
    for (Index lane = 0; lane < kTileRows; ++lane) {
      const Index row = t * kTileRows + lane;
      const Index global = rows.partition.first_row(context.rank()) + row;
      EXPECT_EQ(tiles.tile(t)[lane], row < rows.local_rows() ? static_cast<double>(global + 1) : 0);
    }
}

TEST_F(Csv, the_first_fault_is_shown_whoever_meets_it) {
  std::string text = "x,y\n";
  for (int row = 0; row < 500; ++row)
    text += std::to_string(row) + "," + (row == 130 || row == 400 ? "bad" : row == 3 ? "1,1" : "2") + "\n";
  EXPECT_EQ(error_of(options_for(write("a.csv", text))), "a.csv:5: expected 2 columns, got 3");
}

}  // namespace
}  // namespace firesteel
