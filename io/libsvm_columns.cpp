// SPDX-License-Identifier: Apache-2.0
#include "firesteel/io/libsvm_columns.hpp"

#include <algorithm>
#include <set>

#include "firesteel/core/error.hpp"
#include "firesteel/core/memory.hpp"
#include "firesteel/io/column_selection.hpp"

namespace firesteel {

namespace {

constexpr const char* kLabelName = "label";
/// A table of columns may have this many places for each feature, and this many in any case.
constexpr Index kPlacesOfFeature = 16;
constexpr Index kPlaces = 1 << 20;

/// The columns that a model's feature names mean; nullopt where one is no f0, f1, …
std::optional<std::vector<Index>> columns_of_names(const std::vector<std::string>& names) {
  std::vector<Index> columns;
  for (const auto& name : names) {
    const auto column = parse_numbered_name(name);
    if (!column || *column >= kMostLibsvmColumns) return std::nullopt;
    columns.push_back(*column);
  }
  return columns;
}

bool counts_up(const std::vector<Index>& columns) {
  for (std::size_t i = 0; i < columns.size(); ++i)
    if (columns[i] != static_cast<Index>(i)) return false;
  return true;
}

bool selects(const ReadOptions& options) {
  return !options.features.empty() || !options.exclude.empty() || !options.weight.empty();
}

void check_width(const LibsvmWidth& width, const ReadOptions& options) {
  if (options.num_features && *options.num_features > kMostLibsvmColumns)
    throw bad_input("--num-features: expected at most " + std::to_string(kMostLibsvmColumns) + ", got " +
                    std::to_string(*options.num_features));
  if (options.expected == nullptr && options.num_features.value_or(width.columns) < 1)
    throw bad_input(width.source + " has no feature columns: no line holds an index:value pair");
}

/// The label's word names no column here.
void check_references(const LibsvmWidth& width, const ReadOptions& options) {
  const auto refuse = [&](const std::string& option) {
    throw bad_input(option + " " + kLabelName + ": in " + width.source +
                    ", LIBSVM text, the label is no column: give a number from 0, or f0, f1, …");
  };
  if (options.weight == kLabelName) refuse("--weight");
  if (std::count(options.features.begin(), options.features.end(), kLabelName) > 0) refuse("--features");
  if (std::count(options.exclude.begin(), options.exclude.end(), kLabelName) > 0) refuse("--exclude");
}

void set_features(LibsvmColumns& plan, const std::vector<Index>& features) {
  plan.all = false;
  plan.features = static_cast<Index>(features.size());
  plan.ascending = std::is_sorted(features.begin(), features.end());
  for (std::size_t j = 0; j < features.size(); ++j) {
    plan.few.emplace_back(features[j], static_cast<std::int32_t>(j));
    plan.names.push_back(numbered_name(features[j]));
  }
  std::sort(plan.few.begin(), plan.few.end());
  const auto same = [](const auto& a, const auto& b) { return a.first == b.first; };
  if (const auto twice = std::adjacent_find(plan.few.begin(), plan.few.end(), same); twice != plan.few.end())
    throw bad_input("the model has two features named '" + numbered_name(twice->first) + "'");
  // A place for every column where that costs little, else a search among the few.
  const Index reach = plan.few.back().first + 1;
  if (reach > kPlacesOfFeature * plan.features + kPlaces) return;
  plan.feature_of.assign(static_cast<std::size_t>(reach), LibsvmColumns::kNoFeature);
  for (const auto& [column, feature] : plan.few) plan.feature_of[static_cast<std::size_t>(column)] = feature;
  plan.few.clear();
}

void set_keep(LibsvmColumns& plan, const InputColumns& columns, const LibsvmWidth& width,
              const ReadOptions& options) {
  std::set<Index> known;
  for (const auto& reference : options.keep) {
    std::vector<Index> meant{LibsvmColumns::kLabel};
    if (reference != kLabelName)
      meant = expand_columns(columns, {reference}, "--keep");
    else if (!width.has_labels)
      throw bad_input("--keep label: " + width.source +
                      " has no labels: its first line begins with an index:value pair");
    for (const Index column : meant) {
      plan.keep.push_back(column);
      if (!known.insert(column).second)
        throw bad_input("--keep: column '" + plan.keep_name(plan.keep.size() - 1) + "' is given twice");
      if (column != LibsvmColumns::kLabel) plan.kept.emplace_back(column, plan.keep.size() - 1);
    }
  }
  std::sort(plan.kept.begin(), plan.kept.end());
}

/// A list of chosen columns, the feature of each column, and their names.
constexpr double kBytesOfChosenColumn = sizeof(Index) + sizeof(std::int32_t) + sizeof(std::string);
/// Where all but a few are chosen; a short list costs two marks for each column.
void check_memory(const LibsvmWidth& width, const ReadOptions& options, Index columns) {
  const double each = options.features.empty() ? kBytesOfChosenColumn : 2.0 / 8;
  require_memory(width.ranks_of_host, each * static_cast<double>(columns), available_memory(),
                 "choices among " + std::to_string(columns) + " columns of " + width.source);
}

/// The options as plan_columns takes them: the label is no column, and no column has the name of an id.
ReadOptions for_selection(const ReadOptions& options) {
  ReadOptions selection = options;
  selection.label.clear();
  selection.label_use = ReadOptions::Label::ignored;
  selection.keep.clear();
  selection.user.clear();
  selection.item.clear();
  selection.rating.clear();
  return selection;
}

}  // namespace

std::string LibsvmColumns::keep_name(std::size_t place) const {
  return keep[place] == kLabel ? kLabelName : numbered_name(keep[place]);
}

LibsvmColumns plan_libsvm_columns(const LibsvmWidth& width, const ReadOptions& options) {
  check_width(width, options);
  check_references(width, options);
  const bool scoring = options.expected != nullptr;
  std::optional<std::vector<Index>> named;
  if (scoring && options.features.empty() && !options.expected->names.empty())
    named = columns_of_names(options.expected->names);
  if (named && counts_up(*named) && !selects(options)) named.reset();  // by position: beyond them is an error

  LibsvmColumns plan;
  plan.count = options.num_features.value_or(width.columns);
  plan.end_index = options.num_features.value_or(kMostLibsvmColumns);
  // Columns that a file at scoring does not reach are zeros.
  if (named && !named->empty())
    plan.count = std::max(plan.count, 1 + *std::max_element(named->begin(), named->end()));
  else if (scoring && options.features.empty())
    plan.count = std::max(plan.count, options.expected_features + (options.weight.empty() ? 0 : 1));
  InputColumns columns{.source = width.source, .names = {}, .count = plan.count, .numbered = true};
  if (named) {
    set_features(plan, *named);
    if (!options.weight.empty()) plan.weight = require_column(columns, options.weight, "--weight");
  } else if (selects(options)) {
    check_memory(width, options, plan.count);
    const auto chosen = plan_columns(
        columns, std::vector<bool>(static_cast<std::size_t>(columns.count), false), for_selection(options));
    plan.weight = chosen.weight;
    set_features(plan, chosen.features);
  } else {
    plan.features = scoring ? options.expected_features : plan.count;
    if (scoring) plan.end_index = plan.features;
  }
  set_keep(plan, columns, width, options);
  return plan;
}

}  // namespace firesteel
