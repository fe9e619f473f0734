// SPDX-License-Identifier: Apache-2.0
#include "firesteel/io/column_selection.hpp"

#include <algorithm>
#include <numeric>
#include <set>
#include <utility>

#include "firesteel/core/error.hpp"
#include "firesteel/core/parameters.hpp"
#include "firesteel/io/quoted.hpp"

namespace firesteel {

namespace {

std::size_t size(Index i) { return static_cast<std::size_t>(i); }

/// Number of single-character edits between two texts (Levenshtein).
std::size_t edit_distance(const std::string& a, const std::string& b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i + 1);
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t changed = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = std::exchange(row[j + 1], std::min({changed, row[j] + 1, row[j + 1] + 1}));
    }
  }
  return row.back();
}

std::string lower(std::string text) {
  for (char& c : text)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return text;
}

/// ", did you mean 'x'?" where a name is near.
std::string suggestion(const InputColumns& columns, const std::string& reference) {
  // At most a third of the name may differ, and never all of it.
  std::size_t best = std::min(std::max<std::size_t>(reference.size() / 3, 1) + 1, reference.size());
  std::string nearest;
  for (const auto& name : columns.names) {
    const std::size_t distance = edit_distance(lower(name), lower(reference));
    if (distance < best) {
      best = distance;
      nearest = name;
    }
  }
  return nearest.empty() ? "" : "; did you mean " + quoted(nearest) + "?";
}

/// What is wrong with a reference to no column.
std::string absence(const InputColumns& columns, const std::string& reference, const std::string& option) {
  const std::string where = option + ": no column '" + reference + "' in " + columns.source;
  const std::string numbers = "0 … " + std::to_string(columns.count - 1) + " or -1 for the last";
  if (columns.numbered)
    return where + ", whose columns are f0 … " + numbered_name(columns.count - 1) +
           ": give such a name, a number, " + numbers + "; --num-features says how many there are";
  if (!columns.named())
    return where + ", whose " + std::to_string(columns.count) + " columns have no names: give a number, " +
           numbers;
  std::string delimiter;  // that of a header which was not cut
  if (columns.count == 1) {
    const auto place = columns.names.front().find_first_of(";\t|");
    if (place != std::string::npos) {
      const char c = columns.names.front()[place];
      delimiter = std::string("; is it the delimiter? say --delimiter ") +
                  (c == '\t' ? "tab" : "'" + std::string(1, c) + "'");
    }
  }
  return where + ", which has " + list_names(columns.names) + suggestion(columns, reference) + delimiter;
}

[[noreturn]] void absent(const InputColumns& columns, const std::string& reference,
                         const std::string& option) {
  throw bad_input(absence(columns, reference, option));
}

/// "3-7" as first and last; nullopt where the text is no range.
std::optional<std::pair<Index, Index>> parse_range(const std::string& text) {
  const auto dash = text.find('-', 1);
  if (dash == std::string::npos) return std::nullopt;
  const auto first = parse_integer(std::string_view(text).substr(0, dash));
  const auto last = parse_integer(std::string_view(text).substr(dash + 1));
  if (!first || !last || *first < 0 || *last < *first) return std::nullopt;
  return std::pair(*first, *last);
}

std::vector<Index> default_features(const InputColumns& columns, const std::vector<bool>& is_text,
                                    const ReadOptions& options, const std::vector<bool>& taken,
                                    ColumnPlan& plan) {
  std::vector<bool> reserved(taken.size(), false);
  for (const auto* reference : {&options.user, &options.item, &options.rating})
    if (const auto column = find_column(columns, *reference)) reserved[size(*column)] = true;
  std::vector<Index> features;
  for (Index column = 0; column < columns.count; ++column) {
    if (taken[size(column)]) continue;
    if (is_text[size(column)])
      plan.left_out.push_back(columns.name(column));
    else if (reserved[size(column)])
      plan.reserved.push_back(columns.name(column));
    else
      features.push_back(column);
  }
  return features;
}

void check_chosen_features(const InputColumns& columns, const std::vector<bool>& is_text,
                           const ReadOptions& options, const ColumnPlan& plan) {
  for (const Index column : plan.features) {
    const std::string what = "--features: column " + quoted(columns.name(column)) + " of " + columns.source;
    if (is_text[size(column)]) throw bad_input(what + " holds text; features must be numbers");
    if (column == plan.label && options.label_use != ReadOptions::Label::ignored)
      throw bad_input(what + " is the label, and cannot be a feature too");
    if (column == plan.weight) throw bad_input(what + " is the weight, and cannot be a feature too");
  }
}

/// The model's columns, by name.
std::vector<Index> match_by_name(const InputColumns& columns, const FeatureSchema& expected) {
  std::vector<Index> features;
  std::vector<std::string> missing;
  for (const auto& name : expected.names) {
    const auto found = std::find(columns.names.begin(), columns.names.end(), name);
    if (found == columns.names.end()) missing.push_back(name);
    features.push_back(found - columns.names.begin());
  }
  if (!missing.empty())
    throw bad_input(columns.source + " lacks " + list_names(missing) +
                    ", which the model was trained on; it has " + list_names(columns.names));
  return features;
}

/// Options that change nothing: at scoring a choice of columns that the model's names overrule, else a name
/// that is no column's and need not be one.
std::vector<std::string> idle_options(const InputColumns& columns, const ReadOptions& options,
                                      const ColumnPlan& plan, const std::vector<Index>& excluded) {
  std::vector<std::string> warnings;
  if (options.expected != nullptr) {
    const std::set<Index> used(plan.features.begin(), plan.features.end());
    const std::string overruled = " is not used: columns are those whose names the model has";
    if (!options.features.empty()) {
      const auto chosen = expand_columns(columns, options.features, "--features");
      if (used != std::set<Index>(chosen.begin(), chosen.end())) warnings.push_back("--features" + overruled);
    }
    if (std::any_of(excluded.begin(), excluded.end(), [&](Index column) { return used.contains(column); }))
      warnings.push_back("--exclude" + overruled);
    return warnings;
  }
  const ReadOptions unset;
  const auto look = [&](const std::string& name, const std::string& other, const std::string& option) {
    if (!name.empty() && name != other && !find_column(columns, name))
      warnings.push_back(absence(columns, name, option));
  };
  look(options.label, unset.label, "--label");
  look(options.user, unset.user, "--user");
  look(options.item, unset.item, "--item");
  look(options.rating, unset.rating, "--rating");
  return warnings;
}

}  // namespace

std::string InputColumns::name(Index column) const {
  if (named()) return names[size(column)];
  return numbered ? numbered_name(column) : std::to_string(column);
}

std::string numbered_name(Index column) { return std::string("f").append(std::to_string(column)); }

std::optional<Index> parse_numbered_name(std::string_view text) {
  if (!text.starts_with('f')) return std::nullopt;
  const auto number = parse_integer(text.substr(1));
  // Only as it is printed: f07 and f+7 are other names.
  if (!number || *number < 0 || numbered_name(*number) != text) return std::nullopt;
  return *number;
}

std::string list_names(const std::vector<std::string>& names) {
  constexpr std::size_t kShown = 20;
  std::string text;
  for (std::size_t i = 0; i < names.size() && i < kShown; ++i)
    text += (i == 0 ? "" : ", ") + quoted(names[i]);
  if (names.size() > kShown) text += ", … (" + std::to_string(names.size()) + " in all)";
  return text;
}

std::optional<Index> find_column(const InputColumns& columns, const std::string& reference) {
  const auto found = std::find(columns.names.begin(), columns.names.end(), reference);
  if (found != columns.names.end()) return found - columns.names.begin();
  auto number = columns.numbered ? parse_numbered_name(reference) : std::nullopt;
  if (!number) number = parse_integer(reference);
  if (!number || *number >= columns.count || *number < -columns.count) return std::nullopt;
  return *number < 0 ? *number + columns.count : *number;
}

std::optional<std::vector<Index>> find_columns(const InputColumns& columns, const std::string& reference) {
  if (const auto column = find_column(columns, reference)) return std::vector<Index>{*column};
  const auto range = parse_range(reference);
  if (!range || range->second >= columns.count) return std::nullopt;
  std::vector<Index> found(size(range->second - range->first + 1));
  std::iota(found.begin(), found.end(), range->first);
  return found;
}

Index require_column(const InputColumns& columns, const std::string& reference, const std::string& option) {
  const auto column = find_column(columns, reference);
  if (!column) absent(columns, reference, option);
  return *column;
}

std::vector<Index> expand_columns(const InputColumns& columns, const std::vector<std::string>& references,
                                  const std::string& option) {
  std::vector<Index> expanded;
  std::set<Index> known;
  const auto add = [&](Index column) {
    if (!known.insert(column).second)
      throw bad_input(option + ": column " + quoted(columns.name(column)) + " is given twice");
    expanded.push_back(column);
  };
  for (const auto& reference : references) {
    const auto found = find_columns(columns, reference);
    if (!found) absent(columns, reference, option);
    for (const Index column : *found) add(column);
  }
  return expanded;
}

ColumnPlan plan_columns(const InputColumns& columns, const std::vector<bool>& is_text,
                        const ReadOptions& options, bool may_have_none) {
  ColumnPlan plan;
  plan.label = find_column(columns, options.label);
  if (!plan.label && options.label_use == ReadOptions::Label::required)
    absent(columns, options.label, "--label");
  if (!options.weight.empty()) plan.weight = require_column(columns, options.weight, "--weight");
  if (plan.weight && plan.weight == plan.label && options.label_use != ReadOptions::Label::ignored)
    throw bad_input("--weight: column " + quoted(columns.name(*plan.weight)) + " of " + columns.source +
                    " is the label, and cannot be the weight too");
  plan.keep = expand_columns(columns, options.keep, "--keep");

  std::vector<bool> taken(size(columns.count), false);
  if (plan.label) taken[size(*plan.label)] = true;
  if (plan.weight) taken[size(*plan.weight)] = true;
  const auto excluded = expand_columns(columns, options.exclude, "--exclude");
  for (const Index column : excluded) taken[size(column)] = true;

  const bool scoring = options.expected != nullptr;
  if (scoring && columns.named() && !options.expected->names.empty()) {
    plan.features = match_by_name(columns, *options.expected);
  } else if (!options.features.empty()) {
    plan.features = expand_columns(columns, options.features, "--features");
    const std::set<Index> left_out(excluded.begin(), excluded.end());
    std::erase_if(plan.features, [&](Index column) { return left_out.contains(column); });
    check_chosen_features(columns, is_text, options, plan);
  } else {
    plan.features = default_features(columns, is_text, options, taken, plan);
  }
  const auto count = static_cast<Index>(plan.features.size());
  if (scoring && count != options.expected_features)
    throw bad_input(columns.source + " has " + std::to_string(count) +
                    " feature columns, the model was trained on " +
                    std::to_string(options.expected_features));
  if (count == 0 && !may_have_none)
    throw bad_input(columns.source +
                    " has no feature columns: every column is text, excluded, or has another part");
  plan.warnings = idle_options(columns, options, plan, excluded);
  if (options.label_use == ReadOptions::Label::ignored) plan.label.reset();
  if (columns.named())
    for (const Index column : plan.features) plan.feature_names.push_back(columns.name(column));
  return plan;
}

}  // namespace firesteel
