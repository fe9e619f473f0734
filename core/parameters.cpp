// SPDX-License-Identifier: Apache-2.0
#include "firesteel/core/parameters.hpp"

#include <fast_float/fast_float.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "firesteel/core/error.hpp"
#include "firesteel/core/fit_loop.hpp"

namespace firesteel {

namespace {

std::string join(const std::vector<std::string>& words, std::string_view separator) {
  std::string text;
  for (const auto& word : words) {
    if (!text.empty()) text += separator;
    text += word;
  }
  return text;
}

std::string list_text(const std::vector<double>& values) {
  std::vector<std::string> words;
  words.reserve(values.size());
  for (const double value : values) words.push_back(number_text(value));
  return join(words, ",");
}

std::string bounds(const Range& range) {
  const std::string text = range.describe();
  return text.empty() ? text : " " + text;
}

[[noreturn]] void expected(std::string_view name, const std::string& what, std::string_view got) {
  throw bad_parameter(option_name(name) + ": expected " + what + ", got '" + std::string(got) + "'");
}

[[noreturn]] void out_of_range(std::string_view name, const std::string& value, const std::string& accepts) {
  throw bad_parameter(std::string(name) + " = " + value + ", must be " + accepts);
}

std::vector<std::string_view> split_commas(std::string_view text) {
  std::vector<std::string_view> parts;
  while (true) {
    const auto comma = text.find(',');
    parts.push_back(text.substr(0, comma));
    if (comma == std::string_view::npos) return parts;
    text.remove_prefix(comma + 1);
  }
}

/// One leading plus is dropped, as the parsers below do not know it; "+-1" stays and is refused.
std::string_view without_plus(std::string_view text) {
  if (text.size() > 1 && text[0] == '+' && text[1] != '-') text.remove_prefix(1);
  return text;
}

}  // namespace

bool Range::contains(double value) const {
  const bool above = low_open ? value > low : value >= low;
  const bool below = high_open ? value < high : value <= high;
  return above && below && std::isfinite(value);
}

std::string Range::describe() const {
  if (std::isinf(high)) {
    if (std::isinf(low)) return {};
    return (low_open ? "> " : ">= ") + number_text(low);
  }
  return std::string("in ") + (low_open ? "(" : "[") + number_text(low) + ", " + number_text(high) +
         (high_open ? ")" : "]");
}

std::string option_name(std::string_view parameter_name) {
  std::string option = "--" + std::string(parameter_name);
  std::replace(option.begin(), option.end(), '_', '-');
  return option;
}

std::string number_text(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  std::array<char, 32> text{};
  const auto end = std::to_chars(text.data(), text.data() + text.size(), value).ptr;
  return {text.data(), end};
}

std::optional<double> parse_number(std::string_view text) {
  double value = 0;
  text = without_plus(text);
  const auto result = fast_float::from_chars(text.data(), text.data() + text.size(), value);
  if (result.ec != std::errc() || result.ptr != text.data() + text.size() || !std::isfinite(value))
    return std::nullopt;
  return value;
}

std::optional<std::int64_t> parse_integer(std::string_view text) {
  std::int64_t value = 0;
  text = without_plus(text);
  const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
  if (result.ec != std::errc() || result.ptr != text.data() + text.size()) return std::nullopt;
  return value;
}

void ParameterLister::integer(std::string_view name, Index& value, Range range, std::string_view text) {
  list.push_back({std::string(name),
                  ParameterInfo::Type::integer,
                  std::to_string(value),
                  range.describe(),
                  std::string(text),
                  range,
                  {}});
}
void ParameterLister::real(std::string_view name, double& value, Range range, std::string_view text) {
  list.push_back({std::string(name),
                  ParameterInfo::Type::real,
                  number_text(value),
                  range.describe(),
                  std::string(text),
                  range,
                  {}});
}
void ParameterLister::boolean(std::string_view name, bool& value, std::string_view text) {
  list.push_back({std::string(name),
                  ParameterInfo::Type::boolean,
                  value ? "true" : "false",
                  "true | false",
                  std::string(text),
                  {},
                  {}});
}
void ParameterLister::choice(std::string_view name, std::string& value,
                             const std::vector<std::string>& options, std::string_view text) {
  list.push_back({std::string(name),
                  ParameterInfo::Type::choice,
                  value,
                  join(options, " | "),
                  std::string(text),
                  {},
                  options});
}
void ParameterLister::reals(std::string_view name, std::vector<double>& value, Range range,
                            std::string_view text) {
  list.push_back({std::string(name),
                  ParameterInfo::Type::reals,
                  list_text(value),
                  "numbers" + bounds(range),
                  std::string(text),
                  range,
                  {}});
}
void ParameterLister::seed(std::string_view name, std::uint64_t& value, std::string_view text) {
  list.push_back({std::string(name),
                  ParameterInfo::Type::seed,
                  std::to_string(value),
                  "0 … 2^64 - 1",
                  std::string(text),
                  {},
                  {}});
}
void ParameterLister::matrix(std::string_view name, Matrix& value, std::string_view text) {
  const std::string shape =
      value.empty() ? "" : std::to_string(value.rows) + " x " + std::to_string(value.columns);
  list.push_back({std::string(name),
                  ParameterInfo::Type::matrix,
                  shape,
                  "a CSV file without header",
                  std::string(text),
                  {},
                  {},
                  hash_bytes(0, value.values.data(), value.values.size() * sizeof(double))});
}

void ParameterValidator::integer(std::string_view name, Index& value, Range range, std::string_view) {
  if (!range.contains(static_cast<double>(value)))
    out_of_range(name, std::to_string(value), range.describe());
}
void ParameterValidator::real(std::string_view name, double& value, Range range, std::string_view) {
  if (!range.contains(value)) out_of_range(name, number_text(value), "a finite number" + bounds(range));
}
void ParameterValidator::choice(std::string_view name, std::string& value,
                                const std::vector<std::string>& options, std::string_view) {
  if (std::find(options.begin(), options.end(), value) == options.end())
    out_of_range(name, "'" + value + "'", "one of " + join(options, ", "));
}
void ParameterValidator::reals(std::string_view name, std::vector<double>& value, Range range,
                               std::string_view) {
  for (const double one : value)
    if (!range.contains(one)) out_of_range(name, list_text(value), "numbers" + bounds(range));
}
void ParameterValidator::require(bool holds, std::string_view otherwise) {
  if (!holds) throw bad_parameter(std::string(otherwise));
}

bool ParameterSetter::matches(std::string_view name) {
  if (name != name_) return false;
  found_ = true;
  return true;
}

void ParameterSetter::integer(std::string_view name, Index& value, Range range, std::string_view) {
  if (!matches(name)) return;
  const auto parsed = parse_integer(text_);
  if (!parsed || !range.contains(static_cast<double>(*parsed)))
    expected(name, "a whole number" + bounds(range), text_);
  value = *parsed;
}
void ParameterSetter::optional_integer(std::string_view name, std::optional<Index>& value, Index otherwise,
                                       Range range, std::string_view text) {
  if (name != name_) return;
  value = otherwise;
  integer(name, *value, range, text);
}
void ParameterSetter::real(std::string_view name, double& value, Range range, std::string_view) {
  if (!matches(name)) return;
  const auto parsed = parse_number(text_);
  if (!parsed || !range.contains(*parsed)) expected(name, "a number" + bounds(range), text_);
  value = *parsed;
}
void ParameterSetter::boolean(std::string_view name, bool& value, std::string_view) {
  if (!matches(name)) return;
  if (text_ != "true" && text_ != "false") expected(name, "true or false", text_);
  value = text_ == "true";
}
void ParameterSetter::choice(std::string_view name, std::string& value,
                             const std::vector<std::string>& options, std::string_view) {
  if (!matches(name)) return;
  if (std::find(options.begin(), options.end(), text_) == options.end())
    expected(name, "one of " + join(options, ", "), text_);
  value = text_;
}
void ParameterSetter::reals(std::string_view name, std::vector<double>& value, Range range,
                            std::string_view) {
  if (!matches(name)) return;
  std::vector<double> parsed;
  for (const auto part : split_commas(text_)) {
    const auto number = parse_number(part);
    if (!number || !range.contains(*number))
      expected(name, "numbers" + bounds(range) + ", separated by commas", text_);
    parsed.push_back(*number);
  }
  value = std::move(parsed);
}
void ParameterSetter::seed(std::string_view name, std::uint64_t& value, std::string_view) {
  if (!matches(name)) return;
  std::uint64_t parsed = 0;
  const auto result = std::from_chars(text_.data(), text_.data() + text_.size(), parsed);
  if (text_.empty() || result.ec != std::errc() || result.ptr != text_.data() + text_.size())
    expected(name, "a whole number in 0 … 2^64 - 1", text_);
  value = parsed;
}
void ParameterSetter::matrix(std::string_view name, Matrix&, std::string_view) { matches(name); }

}  // namespace firesteel
