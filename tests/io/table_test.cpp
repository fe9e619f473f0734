// SPDX-License-Identifier: Apache-2.0
// JSON lines, and Parquet, Arrow and ORC as pyarrow writes them.
#include "firesteel/io/table.hpp"

#include <cmath>

#include "text_fixture.hpp"

namespace firesteel {
namespace {

using Numbers = std::vector<double>;
using Texts = std::vector<std::string>;
using Label = ReadOptions::Label;

ReadOptions options_for(const std::string& path, Label use = Label::optional) {
  ReadOptions options;
  options.inputs = {path};
  options.label_use = use;
  return options;
}

using JsonLines = testing::TextTest;

TEST_F(JsonLines, members_are_columns_in_the_order_in_which_they_come) {
  const auto path = write("a.jsonl",
                          "{\"x\": 1, \"label\": \"no\", \"t\": \"a\\nb\"}\n\n"
                          "{\"label\":\"yes\",\"x\":-2.5e3,\"deep\":{\"x\":[1,{\"x\":2}]},\"y\":true}\r\n"
                          "{\"y\": 0, \"x\": 9007199254740993, \"label\": \"no\", \"t\": 7}");
  auto options = options_for(path, Label::required);
  options.missing = "drop";
  options.keep = {"t"};
  const auto input = read_rows(context, options);
  EXPECT_EQ(input.rows.schema.names, (Texts{"x", "y"}));
  EXPECT_EQ(input.rows.rows_used, 2);
  EXPECT_EQ(all_values(input.rows), (Numbers{0, 0, -2500, 1, 9007199254740992, 0}));
  EXPECT_EQ(all_texts(input.rows.labels), (Texts{"no", "yes", "no"}));
  EXPECT_EQ(all_texts(input.kept.columns.at(0).values), (Texts{"a\nb", "", "7"}));
  EXPECT_EQ(monitor->warnings.at(0), "text columns are left out: 't', 'deep'");
}

TEST_F(JsonLines, are_told_by_their_first_bytes_and_may_be_compressed) {
  const auto path = write("a.txt", "{\"x\":1,\"y\":2}\n{\"x\":3,\"y\":4}\n");
  EXPECT_EQ(all_values(read_rows(context, options_for(path)).rows), (Numbers{1, 2, 3, 4}));
  if (context.rank() == 0) {
    EXPECT_EQ(std::system(("gzip -c " + path + " > " + path + ".gz").c_str()), 0);
  }
  context.comm().barrier();
  EXPECT_EQ(all_values(read_rows(context, options_for(path + ".gz")).rows), (Numbers{1, 2, 3, 4}));
}

TEST_F(JsonLines, faults_are_named_with_their_line) {
  const auto error = [&](const std::string& text) { return error_of(options_for(write("a.jsonl", text))); };
  EXPECT_EQ(error("{\"x\":1}\n\n{\"x\":}\n"),
            "a.jsonl:3: at byte 6 of the line: expected JSON, one object such as {\"x\": 1.5} a line, got "
            "'\"x\":}' "
            "(column 'x')");
  EXPECT_EQ(error("{\"x\":1}\n[1]\n"), "a.jsonl:2: expected an object {...}");
  EXPECT_EQ(error("{\"x\":1}\n2\n"), "a.jsonl:2: expected an object {...}");
  EXPECT_EQ(error("{\"x\":1}\n{\"x\":1} {\"x\":2}\n").substr(0, 11), "a.jsonl:2: ");
  EXPECT_EQ(error("{\"x\":1}\n{\"x\":1,\"x\":2}\n"), "a.jsonl:2: member 'x' is given twice");
  EXPECT_EQ(error("{\"x\":1,\"y\":1}\n{\"x\":null,\"y\":1}\n"),
            "a.jsonl:2: the value is missing; say --missing drop or --missing mean (column 'x')");
  EXPECT_EQ(
      error("{\"x\":1}\n{\"x\":1e999}\n"),
      "a.jsonl:2: at byte 10 of the line: the number '1e999' is beyond double precision: write null where "
      "it is not known (column 'x')");
  for (const char* half : {"\\ud800", "\\ud800x", "\\ud800\\u0041", "\\udc00"}) {
    const std::string message = error(std::string("{\"x\":1,\"t\":\"") + half + "\"}\n");
    EXPECT_EQ(message.substr(0, 19), "a.jsonl:1: at byte ") << message;
    EXPECT_NE(
        message.find("names half of a character: write both halves, or the character itself (column 't')"),
        std::string::npos)
        << message;
  }
  for (const char* line :
       {"{\"t\":\"\xff\"}", "{\"\xff\":1}", "{\"t\":\"a\tb\"}", "{\"t\":\"ab}", "{\"x\":1", "{", "nul",
        "{\"t\":\"\\q\"}", "{\"t\":\"\\u12\"}", "{\"x\":-}", "{\"x\":01}", "{\"x\":nan}", "{x:1}", "{'x':1}",
        "{\"x\":1,}", "{\"x\":1e5e}", "{\"x\":[1}", "{\"x\":-1e400}"}) {
    const std::string message = error(std::string(line) + "\n");
    EXPECT_EQ(message.substr(0, 19), "a.jsonl:1: at byte ") << message;
    for (const char* of_library : {"json.exception", "syntax error", "literal", "last read", "parse"})
      EXPECT_EQ(message.find(of_library), std::string::npos) << message;
  }
  EXPECT_EQ(error("{}\n"), "a.jsonl: its objects have no members");
  EXPECT_EQ(error("\n \n"), "a.jsonl is empty");
  EXPECT_EQ(last_code, ErrorCode::bad_input);
}

TEST_F(JsonLines, many_rows_on_many_ranks) {
  std::string text;
  Numbers expected;
  for (int row = 0; row < 2000; ++row) {
    text += "{\"a\":" + std::to_string(row) + ",\"b\":" + std::to_string(row % 7) + ".5}\n";
    expected.insert(expected.end(), {static_cast<double>(row), row % 7 + 0.5});
  }
  EXPECT_EQ(all_values(read_rows(context, options_for(write("a.jsonl", text))).rows), expected);
}

#if FIRESTEEL_HAS_ARROW

class ArrowTables : public testing::TextTest, public ::testing::WithParamInterface<const char*> {
 protected:
  std::string fixture(const std::string& name) { return write(name, reference("arrow/" + name)); }
};

INSTANTIATE_TEST_SUITE_P(Files, ArrowTables,
                         ::testing::Values("a.parquet", "zstd.parquet", "a.arrow", "lz4.arrow", "a.orc"));

TEST_P(ArrowTables, numbers_of_all_types_texts_and_dictionaries) {
  auto options = options_for(fixture(GetParam()), Label::required);
  options.exclude = {"gaps"};
  options.keep = {"text", "user"};
  const auto input = read_rows(context, options);
  EXPECT_EQ(input.rows.schema.names, (Texts{"whole", "real", "small", "single", "flag", "last"}));
  EXPECT_EQ(all_values(input.rows),
            (Numbers{1, 0.5,  1,   0.25, 1, 6, -2, 1.5, 2, 0.5, 0, 5, 3, -2.25, 3, 1, 1, 4,
                     4, 1e-3, 250, 2,    1, 3, 5,  8,   5, 4,   0, 2, 6, 9,     6, 8, 0, 1}));
  EXPECT_EQ(all_texts(input.rows.labels), (Texts{"no", "yes", "no", "no", "yes", "maybe"}));
  EXPECT_EQ(all_texts(input.kept.columns.at(0).values), (Texts{"a", "b,c", "", "", "\xc3\xa9", "f"}));
  const auto users = std::get<std::vector<std::int64_t>>(input.kept.columns.at(1).values);
  EXPECT_EQ(context.comm().allgatherv(std::span<const std::int64_t>(users)),
            (std::vector<std::int64_t>{10, (std::int64_t{1} << 60) + 1, 10, 4, 5, 6}));
}

TEST_P(ArrowTables, nulls_and_nans_are_missing_values) {
  auto options = options_for(fixture(GetParam()));
  options.features = {"gaps", "last"};
  EXPECT_EQ(error_of(options),
            std::string(GetParam()) +
                ", row 1: the value is missing; say --missing drop or --missing mean (column "
                "'gaps')");
  options.missing = "mean";
  EXPECT_EQ(all_values(read_rows(context, options).rows),
            (Numbers{1, 6, 3.75, 5, 3, 4, 3.75, 3, 5, 2, 6, 1}));
  options.missing = "drop";
  EXPECT_EQ(read_rows(context, options).rows.rows_used, 4);
}

TEST_P(ArrowTables, ratings) {
  auto options = options_for(fixture(GetParam()));
  options.rating = "real";
  const auto input = read_ratings(context, options);
  const auto items = std::get<std::vector<std::int64_t>>(input.ratings.items);
  EXPECT_EQ(context.comm().allgatherv(std::span<const std::int64_t>(items)),
            (std::vector<std::int64_t>{7, 8, 9, 7, 8, 9}));
  EXPECT_EQ(context.comm().allgatherv(std::span<const double>(input.ratings.ratings)),
            (Numbers{0.5, 1.5, -2.25, 1e-3, 8, 9}));
}

TEST_P(ArrowTables, cut_short_or_damaged_is_named) {
  const std::string whole = reference(std::string("arrow/") + GetParam());
  for (const double part : {0.3, 0.8, 0.99}) {
    const std::string name = std::string("cut_") + GetParam();
    const auto path =
        write(name, whole.substr(0, static_cast<std::size_t>(part * static_cast<double>(whole.size()))));
    const std::string error = error_of(options_for(path));
    EXPECT_TRUE(error.starts_with(name + " is damaged, cut short or of another format (")) << error;
    EXPECT_EQ(last_code, ErrorCode::bad_input);
  }
}

using ArrowFolders = ArrowTables;
INSTANTIATE_TEST_SUITE_P(Folders, ArrowFolders, ::testing::Values("a.parquet"));

TEST_P(ArrowFolders, files_in_folders_are_one_table) {
  if (context.rank() == 0)
    for (const char* folder : {"/d/day=1", "/d/day=2"})
      std::filesystem::create_directories(directory + folder);
  context.comm().barrier();
  write("d/day=1/x.parquet", reference("arrow/a.parquet"));
  write("d/day=2/y.parquet", reference("arrow/zstd.parquet"));
  auto options = options_for(directory + "/d");
  options.features = {"last", "day"};
  EXPECT_EQ(all_values(read_rows(context, options).rows),
            (Numbers{6, 1, 5, 1, 4, 1, 3, 1, 2, 1, 1, 1, 6, 2, 5, 2, 4, 2, 3, 2, 2, 2, 1, 2}));
  options.features = {"day"};
  EXPECT_EQ(read_rows(context, options).rows.partition.rows(), 12);
  write("d/day=2/z.parquet", reference("arrow/other.parquet"));
  EXPECT_EQ(error_of(options),
            "d/day=2/z.parquet: expected the columns of d/day=1/x.parquet, got column 1 called 'xwhole', not "
            "'whole': all files must have the same columns");
  EXPECT_EQ(last_code, ErrorCode::bad_input);
}

#else

using NoArrow = testing::TextTest;

TEST_F(NoArrow, parquet_asks_for_a_build_with_arrow) {
  const auto path = write("a.parquet", reference("arrow/a.parquet"));
  EXPECT_TRUE(
      error_of(options_for(path))
          .starts_with("this build of firesteel reads and writes no parquet files: it was made without"));
  EXPECT_EQ(last_code, ErrorCode::unavailable);
}

#endif

}  // namespace
}  // namespace firesteel
