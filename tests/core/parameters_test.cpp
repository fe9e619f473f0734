// SPDX-License-Identifier: Apache-2.0
#include "firesteel/core/parameters.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "firesteel/core/error.hpp"
#include "firesteel/core/record.hpp"

namespace firesteel {
namespace {

struct Knobs {
  Index count = 3;
  double ratio = 0.5;
  double open = 1.0;
  bool flag = true;
  std::string mode = "fast";
  std::vector<double> cuts = {};
  std::uint64_t seed = 1;
  Matrix start = {};

  void describe(ParameterVisitor& visitor) {
    visitor.integer("max_count", count, at_least(1), "how many");
    visitor.real("ratio", ratio, between(0, 1), "which part");
    visitor.real("open", open, greater_than(0), "a positive number");
    visitor.boolean("flag", flag, "whether");
    visitor.choice("mode", mode, {"fast", "exact"}, "how");
    visitor.reals("cuts", cuts, between(0, 1), "where");
    visitor.seed("seed", seed, "of random draws");
    visitor.matrix("start", start, "where to begin");
  }
};

std::string message_of(Knobs knobs, std::string_view name, std::string_view text) {
  try {
    set_parameter(knobs, name, text);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::bad_parameter);
    return error.what();
  }
  return "accepted";
}

TEST(Parameters, are_listed_with_defaults_and_ranges) {
  Knobs knobs;
  const auto list = parameters_of(knobs);
  ASSERT_EQ(list.size(), 8u);
  EXPECT_EQ(list[0].name, "max_count");
  EXPECT_EQ(list[0].value, "3");
  EXPECT_EQ(list[0].accepts, ">= 1");
  EXPECT_EQ(list[1].accepts, "in [0, 1]");
  EXPECT_EQ(list[2].accepts, "> 0");
  EXPECT_EQ(list[3].value, "true");
  EXPECT_EQ(list[4].accepts, "fast | exact");
  EXPECT_EQ(option_name(list[0].name), "--max-count");
}

TEST(Parameters, are_set_from_text) {
  Knobs knobs;
  EXPECT_TRUE(set_parameter(knobs, "max_count", "12"));
  EXPECT_TRUE(set_parameter(knobs, "ratio", "+2.5e-1"));
  EXPECT_TRUE(set_parameter(knobs, "flag", "false"));
  EXPECT_TRUE(set_parameter(knobs, "mode", "exact"));
  EXPECT_TRUE(set_parameter(knobs, "cuts", "0.25,1"));
  EXPECT_TRUE(set_parameter(knobs, "seed", "18446744073709551615"));
  EXPECT_FALSE(set_parameter(knobs, "colour", "red"));
  EXPECT_EQ(knobs.count, 12);
  EXPECT_EQ(knobs.ratio, 0.25);
  EXPECT_FALSE(knobs.flag);
  EXPECT_EQ(knobs.mode, "exact");
  EXPECT_EQ(knobs.cuts, (std::vector<double>{0.25, 1}));
  EXPECT_EQ(knobs.seed, std::numeric_limits<std::uint64_t>::max());
}

TEST(Parameters, text_that_does_not_fit_is_named_with_what_does) {
  const Knobs knobs;
  EXPECT_EQ(message_of(knobs, "max_count", "2.5"), "--max-count: expected a whole number >= 1, got '2.5'");
  EXPECT_EQ(message_of(knobs, "max_count", "0"), "--max-count: expected a whole number >= 1, got '0'");
  EXPECT_EQ(message_of(knobs, "ratio", "1.01"), "--ratio: expected a number in [0, 1], got '1.01'");
  EXPECT_EQ(message_of(knobs, "open", "0"), "--open: expected a number > 0, got '0'");
  EXPECT_EQ(message_of(knobs, "mode", "slow"), "--mode: expected one of fast, exact, got 'slow'");
  EXPECT_EQ(message_of(knobs, "flag", "yes"), "--flag: expected true or false, got 'yes'");
  for (const char* text : {"", "nan", "inf", "1e999", "0x1", "1 ", " 1", "+-1", "++1", "-", "+", "1,5"})
    EXPECT_NE(message_of(knobs, "ratio", text), "accepted") << text;
  for (const char* text : {"", "+-3", "9223372036854775808", "3.0", "1e3"})
    EXPECT_NE(message_of(knobs, "max_count", text), "accepted") << text;
  for (const char* text : {"", "-1", "18446744073709551616", "0x10"})
    EXPECT_NE(message_of(knobs, "seed", text), "accepted") << text;
  for (const char* text : {"", "0.5,", "0.5,2", "a"})
    EXPECT_NE(message_of(knobs, "cuts", text), "accepted") << text;
}

TEST(Parameters, members_out_of_range_are_found_before_a_fit) {
  const auto message = [](Knobs knobs) {
    try {
      validate_parameters(knobs);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("valid");
  };
  EXPECT_EQ(message({}), "valid");
  EXPECT_EQ(message({.count = 0}), "max_count = 0, must be >= 1");
  EXPECT_EQ(message({.ratio = std::nan("")}), "ratio = nan, must be a finite number in [0, 1]");
  EXPECT_EQ(message({.mode = "slow"}), "mode = 'slow', must be one of fast, exact");
  EXPECT_EQ(message({.cuts = {0.5, 3}}), "cuts = 0.5,3, must be numbers in [0, 1]");
}

TEST(Parameters, numbers_survive_as_text) {
  for (const double value : {0.1, -0.0, 1e300, 5e-324, 1.0 / 3, 123456789012345678.0})
    EXPECT_EQ(std::signbit(*parse_number(number_text(value))), std::signbit(value));
  EXPECT_EQ(*parse_number(number_text(1.0 / 3)), 1.0 / 3);
  EXPECT_EQ(number_text(std::nan("")), "nan");
  EXPECT_EQ(number_text(-std::numeric_limits<double>::infinity()), "-inf");
  EXPECT_EQ(parse_integer("-42"), -42);
  EXPECT_EQ(parse_integer("+7"), 7);
  EXPECT_EQ(parse_integer("7.0"), std::nullopt);
}

TEST(Record, keeps_parameters) {
  Knobs knobs;
  knobs.ratio = 0.125;
  knobs.cuts = {0.5};
  knobs.start = {1, 2, {3, 4}};
  Record record;
  parameters_to_record(knobs, record);
  Knobs read;
  parameters_from_record(read, record);
  EXPECT_EQ(read.ratio, 0.125);
  EXPECT_EQ(read.cuts, knobs.cuts);
  EXPECT_EQ(read.start.values, knobs.start.values);
  EXPECT_THROW(parameters_from_record(read, Record()), Error);
}

TEST(Record, digest_is_of_names_types_shapes_and_values_not_of_their_order) {
  const auto digest = [](auto... entries) {
    Record record;
    (record.set(entries.first, entries.second), ...);
    return record.sha256();
  };
  using Entry = std::pair<std::string, RecordValue>;
  const Entry one{"one", std::int64_t{1}};
  const Entry half{"half", 0.5};
  EXPECT_EQ(digest(one, half), digest(half, one));
  EXPECT_EQ(digest(one).size(), 64u);
  EXPECT_NE(digest(one), digest(half));
  EXPECT_NE(digest(Entry{"x", std::int64_t{1}}), digest(Entry{"x", std::uint64_t{1}}));
  EXPECT_NE(digest(Entry{"x", true}), digest(Entry{"x", std::int64_t{1}}));
  const auto array = [](std::vector<Index> shape) {
    return Entry{"x", RecordArray<double>{std::move(shape), {1, 2, 3, 4}}};
  };
  EXPECT_NE(digest(array({2, 2})), digest(array({4, 1})));
  EXPECT_NE(digest(array({2, 2})), digest(array({4})));
  // Names and texts cannot run into each other.
  EXPECT_NE(digest(Entry{"ab", std::string("c")}), digest(Entry{"a", std::string("bc")}));
}

TEST(Record, says_what_is_absent_or_of_another_kind_or_shape) {
  Record record;
  record.set("name", std::string("x"));
  record.set_matrix("centers", 2, 3, {1, 2, 3, 4, 5, 6});
  record.set_vector("weights", {1, 2});
  const auto message = [](auto&& action) {
    try {
      action();
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("no error");
  };
  EXPECT_EQ(record.matrix("centers", 2, -1).values.size(), 6u);
  EXPECT_EQ(record.get<std::string>("name"), "x");
  EXPECT_NE(message([&] { record.get<double>("absent"); }).find("'absent'"), std::string::npos);
  EXPECT_NE(message([&] { record.get<double>("name"); }).find("another type"), std::string::npos);
  EXPECT_EQ(message([&] { record.matrix("centers", 3, -1); }),
            "the model's 'centers' is 2 x 3, expected 3 x any");
  EXPECT_EQ(message([&] { record.vector("weights", 5); }), "the model's 'weights' has shape 2, expected 5");
  EXPECT_NE(message([&] { record.set("name", 1.0); }), "no error");
  EXPECT_NE(message([&] { record.set_matrix("m", 2, 2, {1}); }), "no error");
}

}  // namespace
}  // namespace firesteel
