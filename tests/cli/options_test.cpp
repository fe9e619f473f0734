// SPDX-License-Identifier: Apache-2.0
#include "firesteel/cli/options.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "firesteel/core/error.hpp"

namespace firesteel::cli {
namespace {

const std::vector<Option>& known() {
  static const std::vector<Option> options{{"input", Option::Kind::list, "PATH...", "", ""},
                                           {"label", Option::Kind::value, "NAME", "", ""},
                                           {"header", Option::Kind::boolean, "", "", ""},
                                           {"names", Option::Kind::value, "A,B", "", ""}};
  return options;
}

Arguments parse(std::vector<std::string> words) { return parse_arguments(words, known()); }

std::string message_of(const std::vector<std::string>& words) {
  try {
    parse(words);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::bad_parameter);
    return error.what();
  }
  return "no error";
}

TEST(ParseArguments, takes_values_after_blank_and_equals) {
  EXPECT_EQ(parse({"--label", "y"}).text("label"), "y");
  EXPECT_EQ(parse({"--label=y"}).text("label"), "y");
  EXPECT_EQ(parse({"--label=a=b"}).text("label"), "a=b");
  EXPECT_EQ(parse({"--label=--y"}).text("label"), "--y");
}

TEST(ParseArguments, takes_negative_numbers_as_values) {
  EXPECT_EQ(parse({"--label", "-1"}).text("label"), "-1");
  EXPECT_EQ(parse({"--input", "-", "--label", "x"}).list("input"), std::vector<std::string>{"-"});
}

TEST(ParseArguments, lists_take_several_values_and_repeat) {
  const Arguments arguments = parse({"model", "--input", "a", "b", "--label", "y", "--input=c"});
  EXPECT_EQ(arguments.list("input"), (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_EQ(arguments.positionals(), std::vector<std::string>{"model"});
}

TEST(ParseArguments, booleans_in_every_spelling) {
  EXPECT_TRUE(parse({"--header"}).boolean("header", false));
  EXPECT_TRUE(parse({"--header=true"}).boolean("header", false));
  EXPECT_FALSE(parse({"--no-header"}).boolean("header", true));
  EXPECT_FALSE(parse({"--header=false"}).boolean("header", true));
  EXPECT_FALSE(parse({"--header", "false"}).boolean("header", true));
  EXPECT_TRUE(parse({}).boolean("header", true));
  EXPECT_EQ(parse({"--header", "model"}).positionals(), std::vector<std::string>{"model"});
}

TEST(ParseArguments, refuses_what_is_missing_twice_or_too_much) {
  EXPECT_NE(message_of({"--label"}).find("--label"), std::string::npos);
  EXPECT_NE(message_of({"--label", "--header"}).find("'--header'"), std::string::npos);
  EXPECT_NE(message_of({"--label="}).find("expected a value"), std::string::npos);
  EXPECT_NE(message_of({"--label", "a", "--label", "a"}).find("twice"), std::string::npos);
  EXPECT_NE(message_of({"--header", "--no-header"}).find("twice"), std::string::npos);
  EXPECT_NE(message_of({"--header", "--header"}).find("twice"), std::string::npos);
  EXPECT_NE(message_of({"--no-header", "--header"}).find("twice"), std::string::npos);
  EXPECT_NE(message_of({"--header=1"}).find("true or false"), std::string::npos);
  EXPECT_NE(message_of({"--no-header=true"}).find("no value"), std::string::npos);
  EXPECT_NE(message_of({"-l", "a"}).find("'-l'"), std::string::npos);
}

TEST(ParseArguments, collects_unknown_options_without_their_values) {
  const Arguments arguments = parse({"model", "--lable", "y", "--no-label", "--lab=3"});
  EXPECT_EQ(arguments.unknown(), (std::vector<std::string>{"lable", "no-label", "lab"}));
  EXPECT_EQ(arguments.positionals(), std::vector<std::string>{"model"});
  EXPECT_EQ(parse({"--lable="}).unknown(), std::vector<std::string>{"lable"});
  EXPECT_EQ(parse({"--lab", "y"}).unknown(), std::vector<std::string>{"lab"});
}

TEST(ParseArguments, takes_no_word_from_what_follows) {
  EXPECT_EQ(parse({"--input", "a", "--header", "b"}).list("input"), std::vector<std::string>{"a"});
  EXPECT_EQ(parse({"--label", "y", "model"}).positionals(), std::vector<std::string>{"model"});
  EXPECT_NE(message_of({"--label", "--unknown"}).find("'--unknown'"), std::string::npos);
  EXPECT_NE(message_of({"--input", "--label", "y"}).find("'--label'"), std::string::npos);
  EXPECT_NE(message_of({"--input", "a", ""}).find("expected a value"), std::string::npos);
}

TEST(ParseArguments, splits_at_commas) {
  EXPECT_EQ(parse({"--names", "a,b"}).comma_list("names"), (std::vector<std::string>{"a", "b"}));
  EXPECT_TRUE(parse({}).comma_list("names").empty());
  EXPECT_THROW(parse({"--names", "a,,b"}).comma_list("names"), Error);
}

TEST(Nearest, counts_swaps_as_one_and_understands_beginnings) {
  const std::vector<std::string> names{"reg-param", "max-iter", "tol", "threshold"};
  EXPECT_EQ(nearest("reg-parma", names), "reg-param");
  EXPECT_EQ(nearest("max_iter", names), "max-iter");
  EXPECT_EQ(nearest("max", names), "max-iter");
  EXPECT_EQ(nearest("tole", names), "tol");
  EXPECT_EQ(nearest("checkpoint", names), "");
  EXPECT_EQ(nearest("k", names), "");
}

}  // namespace
}  // namespace firesteel::cli
