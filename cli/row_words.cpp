// SPDX-License-Identifier: Apache-2.0
#include "firesteel/cli/row_words.hpp"

#include <algorithm>
#include <charconv>
#include <filesystem>

#include "firesteel/core/error.hpp"
#include "firesteel/core/parameters.hpp"
#include "firesteel/io/parts_output.hpp"
#include "firesteel/io/write_data.hpp"

namespace firesteel::cli {

namespace {

std::string in_quotes(std::string_view text) { return "'" + std::string(text) + "'"; }

[[noreturn]] void needs(const Command& command, const std::string& what) {
  throw bad_parameter(in_quotes(command.name) + " needs " + what +
                      "; example: " + std::string(command.example));
}

Index count_of(const Arguments& arguments, const std::string& name, Index high) {
  const std::string value = arguments.text(name);
  const auto number = parse_integer(value);
  if (!number || *number < 1 || *number > high)
    throw bad_parameter("--" + name + ": expected a whole number in 1 ... " + std::to_string(high) +
                        ", got " + in_quotes(value));
  return *number;
}

void check_output(const std::string& path, bool may_be_stdout) {
  const auto& extensions = output_extensions();
  std::string list;
  const std::string name = without_slash(path);
  if (is_parts(path) && name.ends_with(".fsp"))
    throw bad_parameter("--output: a packed file is one file, without a slash at its end, got " +
                        in_quotes(path));
  for (const auto& extension : extensions) {
    if (name.size() > extension.size() && name.ends_with(extension)) return;
    list += (list.empty() ? "" : ", ") + extension;
  }
  if (path == "-" && may_be_stdout) return;
  throw bad_parameter("--output: the format is named by the extension (" + list + "), got " +
                      in_quotes(path));
}

void set_sample(const Command& command, const Arguments& arguments, RowWords& words) {
  const bool by_share = arguments.given("fraction");
  if (by_share == arguments.given("rows")) {
    if (by_share) throw bad_parameter("--fraction and --rows exclude each other: give one");
    needs(command, "--fraction F or --rows N");
  }
  if (!by_share) {
    words.share.rows = count_of(arguments, "rows", Index{1} << 60);
    return;
  }
  const std::string value = arguments.text("fraction");
  const auto fraction = parse_number(value);
  if (!fraction || !(*fraction > 0 && *fraction <= 1))
    throw bad_parameter("--fraction: expected a number above 0 and up to 1, got " + in_quotes(value));
  words.share.fraction = *fraction;
}

void set_split(const Command& command, const Arguments& arguments, RowWords& words) {
  if (!arguments.given("train")) needs(command, "--train SHARE");
  const std::string value = arguments.text("train");
  const auto share = parse_number(value);
  if (!share || !(*share > 0 && *share < 1))
    throw bad_parameter("--train: expected a share between 0 and 1, such as 0.8, got " + in_quotes(value));
  words.share.fraction = *share;
  words.stratify = arguments.text("stratify");
}

/// TRAIN,TEST, or the two names that one makes.
std::vector<std::string> split_outputs(const Arguments& arguments) {
  std::vector<std::string> names = arguments.comma_list("output");
  if (names.size() > 2)
    throw bad_parameter("--output: expected one name or two, TRAIN,TEST, got " +
                        std::to_string(names.size()));
  for (const auto& name : names) check_output(name, false);
  if (names.size() == 2 && names[0] == names[1])
    throw bad_parameter("--output: both parts would be " + in_quotes(names[0]) + ": give two names");
  if (names.size() == 2) return names;
  const std::filesystem::path path(without_slash(names.front()));
  const std::string stem = (path.parent_path() / path.stem()).string();
  const std::string end = path.extension().string() + (is_parts(names.front()) ? "/" : "");
  return {stem + "-train" + end, stem + "-test" + end};
}

std::vector<SortColumn> sort_columns(const Arguments& arguments) {
  std::vector<SortColumn> by;
  for (std::string name : arguments.comma_list("by")) {
    SortColumn column;
    const auto colon = name.rfind(':');
    const std::string order = colon == std::string::npos ? "" : name.substr(colon + 1);
    if (order == "desc" || order == "asc") {
      column.descending = order == "desc";
      name.resize(colon);
    }
    if (name.empty()) throw bad_parameter("--by: expected COLUMN or COLUMN:desc, got ':" + order + "'");
    column.name = std::move(name);
    by.push_back(std::move(column));
  }
  return by;
}

std::vector<JoinColumn> join_columns(const Arguments& arguments) {
  std::vector<JoinColumn> on;
  for (const std::string& each : arguments.comma_list("on")) {
    const auto equals = each.find('=');
    if (equals == std::string::npos) {
      on.push_back({each, each});
      continue;
    }
    on.push_back({each.substr(0, equals), each.substr(equals + 1)});
    if (on.back().left.empty() || on.back().right.empty())
      throw bad_parameter("--on: expected KEY or LEFT=RIGHT, got " + in_quotes(each));
  }
  return on;
}

JoinKind join_kind(const Arguments& arguments) {
  static const std::vector<std::string> words{"inner", "left", "right", "full"};
  const std::string value = arguments.text("how", "inner");
  const auto found = std::find(words.begin(), words.end(), value);
  if (found == words.end())
    throw bad_parameter("--how: expected one of inner, left, right, full, got " + in_quotes(value) +
                        suggestion(value, words));
  return static_cast<JoinKind>(found - words.begin());
}

}  // namespace

RowWords row_words(const Command& command, const Arguments& arguments, ReadOptions& read) {
  RowWords words;
  const Verb verb = command.verb;
  const std::size_t inputs = read.inputs.size();
  if (verb == Verb::join && inputs != 2)
    throw bad_parameter("'join' takes two data sets, LEFT RIGHT, got " + std::to_string(inputs) +
                        "; example: " + std::string(command.example));
  if (inputs == 0) needs(command, "DATA");
  if (verb == Verb::describe && arguments.given("top")) words.top = count_of(arguments, "top", 65'536);
  if (verb == Verb::sample) set_sample(command, arguments, words);
  if (verb == Verb::split) set_split(command, arguments, words);
  if (verb == Verb::sort) {
    if (!arguments.given("by")) needs(command, "--by COLUMN");
    words.by = sort_columns(arguments);
  }
  if (verb == Verb::join) {
    if (!arguments.given("on")) needs(command, "--on KEY");
    words.on = join_columns(arguments);
    words.how = join_kind(arguments);
  }
  if (arguments.given("seed")) {
    const std::string value = arguments.text("seed");
    std::from_chars(value.data(), value.data() + value.size(), words.seed);
  }
  if (read.missing == "mean")
    throw bad_parameter(
        "--missing: expected error or drop, got 'mean': means are put in where a model is trained");
  // Rows are copied as they are, unless features are asked for.
  if (!arguments.given("missing")) read.missing = "keep";
  read.label_use = arguments.given("label") ? ReadOptions::Label::required : ReadOptions::Label::optional;
  if (verb == Verb::describe) return words;
  if (!arguments.given("output")) needs(command, "--output FILE");
  if (verb == Verb::split) {
    words.outputs = split_outputs(arguments);
  } else {
    words.outputs = {arguments.text("output")};
    check_output(words.outputs.front(), true);
  }
  return words;
}

}  // namespace firesteel::cli
