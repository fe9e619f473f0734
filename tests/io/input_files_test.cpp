// SPDX-License-Identifier: Apache-2.0
// Several inputs as one data set.
#include "firesteel/io/input_files.hpp"

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>

#include "text_fixture.hpp"

namespace firesteel {
namespace {

using Numbers = std::vector<double>;
using Texts = std::vector<std::string>;

class InputFilesTest : public testing::TextTest {
 protected:
  ReadOptions options_for(const std::vector<std::string>& names) const {
    ReadOptions options;
    for (const auto& name : names) options.inputs.push_back(directory + "/" + name);
    options.label_use = ReadOptions::Label::optional;
    return options;
  }
  void put(const std::string& name, const std::string& text) {
    context.comm().barrier();
    if (context.rank() == 0)
      std::filesystem::create_directories(std::filesystem::path(directory + "/" + name).parent_path());
    write(name, text);
  }
  Texts found(const std::vector<std::string>& names) {
    Texts paths = find_inputs(context.comm(), options_for(names).inputs).paths;
    for (auto& path : paths) path.erase(0, directory.size() + 1);
    return paths;
  }
};

TEST_F(InputFilesTest, directories_and_globs_are_read_in_byte_order) {
  for (const char* name :
       {"d/part-10.csv", "d/part-2.csv", "d/B.csv", "d/_SUCCESS", "d/.hidden", "d/sub/x.csv"})
    put(name, "x\n1\n");
  EXPECT_EQ(found({"d"}), (Texts{"d/B.csv", "d/part-10.csv", "d/part-2.csv"}));
  EXPECT_EQ(found({"d/part-*.csv"}), (Texts{"d/part-10.csv", "d/part-2.csv"}));
  EXPECT_EQ(found({"d/part-2.csv", "d/B.csv"}), (Texts{"d/part-2.csv", "d/B.csv"}));
}

TEST_F(InputFilesTest, nothing_found_is_no_input) {
  put("d/sub/x.csv", "x\n1\n");
  EXPECT_EQ(error_of(options_for({"d/*.txt"})), "cannot read 'd/*.txt': no file matches this pattern");
  EXPECT_EQ(last_code, ErrorCode::no_input);
  EXPECT_EQ(error_of(options_for({"d"})).substr(0, 11), "cannot read");
  EXPECT_EQ(last_code, ErrorCode::no_input);
}

TEST_F(InputFilesTest, files_of_no_bytes_are_passed_over_unless_they_are_named) {
  put("d/a.csv", "x,y\n1,2\n");
  put("d/b.csv", "");
  put("d/c.csv", "x,y\n3,4\n");
  EXPECT_EQ(all_values(read_rows(context, options_for({"d"})).rows), (Numbers{1, 2, 3, 4}));
  ASSERT_EQ(monitor->warnings.size(), 1U);
  EXPECT_EQ(monitor->warnings[0], "files of 0 bytes are passed over: '" + directory + "/d/b.csv'");
  EXPECT_EQ(all_values(read_rows(context, options_for({"d/*.csv"})).rows), (Numbers{1, 2, 3, 4}));
  EXPECT_EQ(error_of(options_for({"d/a.csv", "d/b.csv"})), "d/b.csv is empty");
  EXPECT_EQ(last_code, ErrorCode::bad_input);
  put("e/b.csv", "");
  EXPECT_EQ(error_of(options_for({"e/"})), "e/b.csv is empty");
}

TEST_F(InputFilesTest, folders_of_key_and_value_become_columns) {
  put("d/year=2020/city=New%20York/a.csv", "x\n1\n2\n");
  put("d/year=2021/city=__HIVE_DEFAULT_PARTITION__/b.csv", "x\n3\n");
  auto options = options_for({"d"});
  options.keep = {"city", "year"};
  const auto input = read_rows(context, options);
  EXPECT_EQ(input.rows.schema.names, (Texts{"x", "year"}));
  EXPECT_EQ(all_values(input.rows), (Numbers{1, 2020, 2, 2020, 3, 2021}));
  EXPECT_EQ(all_texts(input.kept.columns.at(0).values), (Texts{"New York", "New York", ""}));

  auto labelled = options_for({"d"});
  labelled.label = "year";
  EXPECT_EQ(all_numbers(read_rows(context, labelled).rows.labels), (Numbers{2020, 2020, 2021}));
}

TEST_F(InputFilesTest, folders_count_from_the_first_wildcard_on) {
  put("k=1/v=2/a.csv", "x\n1\n");
  put("k=1/v=3/a.csv", "x\n2\n");
  EXPECT_EQ(read_rows(context, options_for({"k=1/v=*/a.csv"})).rows.schema.names, (Texts{"x", "v"}));
  EXPECT_EQ(read_rows(context, options_for({"k=1/v=*"})).rows.schema.names, (Texts{"x", "v"}));
  EXPECT_EQ(read_rows(context, options_for({"k=1/v=2/a.csv"})).rows.schema.names, (Texts{"x"}));
  EXPECT_EQ(read_rows(context, options_for({"k=1"})).rows.schema.names, (Texts{"x", "v"}));
}

TEST_F(InputFilesTest, ratings_take_columns_from_folders) {
  put("d/item=7/a.csv", "user,rating\nann,3\n");
  put("d/item=8/a.csv", "user,rating\nbob,4\n");
  const auto input = read_ratings(context, options_for({"d"}));
  const auto items = std::get<std::vector<std::int64_t>>(input.ratings.items);
  EXPECT_EQ(context.comm().allgatherv(std::span<const std::int64_t>(items)),
            (std::vector<std::int64_t>{7, 8}));
}

TEST_F(InputFilesTest, folders_that_differ_or_name_a_column_twice_are_refused) {
  put("d/k=1/a.csv", "x\n1\n");
  put("d/l=1/a.csv", "x\n1\n");
  EXPECT_EQ(error_of(options_for({"d"})),
            "d/l=1/a.csv lies in folders 'l', but d/k=1/a.csv in folders 'k': all files must have the same "
            "columns");
  EXPECT_EQ(last_code, ErrorCode::bad_input);
  put("e/x=1/a.csv", "x\n1\n");
  EXPECT_EQ(error_of(options_for({"e"})),
            "e/x=1/a.csv has a column 'x', and lies in a folder 'x=...' too: names must differ");
}

TEST_F(InputFilesTest, schemas_that_differ_are_named) {
  put("d/a.csv", "x,y\n1,2\n");
  put("d/b.csv", "x,z\n1,2\n");
  EXPECT_EQ(error_of(options_for({"d"})),
            "d/b.csv:1: expected the header of "
            "d/a.csv, got column 2 called 'z', not 'y': all files must have the same columns");
  EXPECT_EQ(last_code, ErrorCode::bad_input);
  put("d/b.svm", "1 1:2\n");
  EXPECT_EQ(error_of(options_for({"d"})),
            "d/a.csv is csv, but d/b.svm is libsvm: all inputs must have one "
            "format; --format says which");
}

/// Does something to the files as soon as reading has begun.
class Meddler : public Monitor {
 public:
  explicit Meddler(std::function<void()> act) : act_(std::move(act)) {}
  void progress(std::string_view, std::int64_t, std::int64_t) override {
    if (act_) std::exchange(act_, nullptr)();
  }

 private:
  std::function<void()> act_;
};

/// Long enough for every rank to read some of it.
const std::string kText = [] {
  std::string text = "x,y\n";
  for (int row = 0; row < 500; ++row) text += "1,2\n";
  return text;
}();

class ChangingFile : public InputFilesTest {
 protected:
  /// The error of reading a file to which rank 0 does something meanwhile.
  std::string error_while(const std::function<void(const std::string&)>& act) {
    const std::string path = write("a.csv", kText);
    const bool first = context.rank() == 0;
    const Context meddled({.threads = 1, .monitor = std::make_shared<Meddler>([&act, path, first] {
                                           if (first) act(path);
                                         })});
    try {
      read_rows(meddled, options_for({"a.csv"}));
    } catch (const Error& error) {
      last_code = error.code();
      return std::string(error.what()).substr(directory.size() + 1);
    }
    return "no error";
  }
};

TEST_F(ChangingFile, that_grows_is_noticed) {
  EXPECT_EQ(error_while([](const std::string& path) { std::ofstream(path, std::ios::app) << "7,8\n"; }),
            "a.csv changed while it was read: it had 2004 bytes and has 2008");
  EXPECT_EQ(last_code, ErrorCode::io_failed);
}

TEST_F(ChangingFile, that_is_rewritten_with_as_many_bytes_is_noticed) {
  EXPECT_EQ(error_while([](const std::string& path) {
              ::usleep(20000);  // file times go on in steps of a few milliseconds
              std::ofstream(path) << kText;
            }),
            "a.csv changed while it was read: it was written to");
  EXPECT_EQ(last_code, ErrorCode::io_failed);
}

TEST_F(ChangingFile, that_is_replaced_or_removed_is_noticed) {
  EXPECT_EQ(error_while([](const std::string& path) {
              std::ofstream(path + ".new") << kText;
              std::filesystem::rename(path + ".new", path);
            }),
            "a.csv changed while it was read: another file took its place");
  EXPECT_EQ(error_while([](const std::string& path) { std::filesystem::remove(path); }).substr(0, 33),
            "a.csv went away while it was read");
  EXPECT_EQ(last_code, ErrorCode::io_failed);
}

}  // namespace
}  // namespace firesteel
