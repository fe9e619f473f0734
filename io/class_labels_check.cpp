// SPDX-License-Identifier: Apache-2.0
#include "firesteel/io/class_labels_check.hpp"

#include <algorithm>
#include <cmath>

#include "firesteel/core/parameters.hpp"
#include "firesteel/io/csv_fields.hpp"
#include "firesteel/io/quoted.hpp"

namespace firesteel {

namespace {

using Numbers = std::vector<std::int64_t>;
using Texts = std::vector<std::string>;

constexpr double kWholeNumbersEnd = 0x1p53;  ///< from here on doubles do not tell whole numbers apart
constexpr std::size_t kShown = 20;

bool counts(const RowBlocks& rows, std::size_t row) {
  return (rows.dropped.empty() || rows.dropped[row] == 0) && (rows.weights.empty() || rows.weights[row] > 0);
}

bool is_class_number(double label) {
  return label == std::floor(label) && std::abs(label) < kWholeNumbersEnd;
}

template <class Value>
bool holds(const std::vector<Value>& classes, const Value& label) {
  return std::binary_search(classes.begin(), classes.end(), label);
}

// Whether a label, as it was read, is a class.
bool is_class(double label, const Numbers& classes) {
  return is_class_number(label) && holds(classes, static_cast<std::int64_t>(label));
}
bool is_class(double label, const Texts& classes) { return holds(classes, number_text(label)); }
bool is_class(std::int64_t label, const Numbers& classes) { return holds(classes, label); }
bool is_class(std::int64_t label, const Texts& classes) { return holds(classes, std::to_string(label)); }
bool is_class(const std::string& label, const Numbers& classes) {
  double number = 0;
  return field_to_number(label, number) && is_class(number, classes);
}
bool is_class(const std::string& label, const Texts& classes) { return holds(classes, label); }

std::string text_of(double label) { return number_text(label); }
std::string text_of(std::int64_t label) { return std::to_string(label); }
std::string text_of(const std::string& label) { return label; }

std::string class_text(std::int64_t label) { return std::to_string(label); }
std::string class_text(const std::string& label) { return quoted(label); }

template <class Classes>
std::string known_classes(const Classes& classes) {
  std::string list;
  for (std::size_t i = 0; i < std::min(kShown, classes.size()); ++i)
    list += (i == 0 ? "" : ", ") + class_text(classes[i]);
  if (classes.size() > kShown) list += ", … (" + std::to_string(classes.size()) + " in all)";
  return list;
}

/// The first row that counts and is not good; nullopt where there is none.
template <class Labels, class Good>
std::optional<std::size_t> first_bad(const RowBlocks& rows, const Labels& labels, Good&& good) {
  for (std::size_t row = 0; row < labels.size(); ++row)
    if (counts(rows, row) && !good(labels[row])) return row;
  return std::nullopt;
}

/// Without a model: numbers must be whole, and few enough digits long.
std::optional<BadLabel> find_no_class(const RowBlocks& rows) {
  const auto* numbers = std::get_if<std::vector<double>>(&rows.labels);
  if (numbers == nullptr) return std::nullopt;
  const auto row = first_bad(rows, *numbers, is_class_number);
  if (!row) return std::nullopt;
  const double label = (*numbers)[*row];
  const bool whole = label == std::floor(label);
  return BadLabel{static_cast<Index>(*row), number_text(label),
                  whole ? "is beyond 2^53, where whole numbers are no longer told apart: use smaller ones or "
                          "texts"
                        : "is not a whole number: classes are whole numbers or texts"};
}

template <class Classes>
std::optional<BadLabel> find_unknown(const RowBlocks& rows, const Classes& classes) {
  return std::visit(
      [&](const auto& labels) -> std::optional<BadLabel> {
        const auto row = first_bad(rows, labels, [&](const auto& label) { return is_class(label, classes); });
        if (!row) return std::nullopt;
        return BadLabel{static_cast<Index>(*row), text_of(labels[*row]),
                        "is unknown to the model; the model knows " + known_classes(classes),
                        std::is_same_v<Classes, Texts>};
      },
      rows.labels);
}

/// Rows that do not count get 0.
std::vector<double> to_numbers(const Texts& labels) {
  std::vector<double> numbers(labels.size(), 0.0);
  for (std::size_t row = 0; row < labels.size(); ++row)
    if (double number = 0; field_to_number(labels[row], number)) numbers[row] = number;
  return numbers;
}

}  // namespace

std::string BadLabel::message(std::string_view written) const {
  double number = 0;
  const bool bare = !of_texts && field_to_number(written, number);
  return "label " + (bare ? std::string(written) : quoted(written)) + " " + fault;
}

bool expects_texts(const ReadOptions& options) {
  return options.expected_classes != nullptr && std::holds_alternative<Texts>(*options.expected_classes);
}

std::optional<BadLabel> find_bad_label(RowBlocks& rows, const ReadOptions& options) {
  if (!options.class_labels || !rows.has_labels) return std::nullopt;
  if (options.expected_classes == nullptr) return find_no_class(rows);
  auto bad =
      std::visit([&](const auto& classes) { return find_unknown(rows, classes); }, *options.expected_classes);
  const auto* texts = std::get_if<Texts>(&rows.labels);
  if (!bad && texts != nullptr && !expects_texts(options)) rows.labels = to_numbers(*texts);
  return bad;
}

}  // namespace firesteel
