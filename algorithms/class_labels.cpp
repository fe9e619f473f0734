// SPDX-License-Identifier: Apache-2.0
#include "firesteel/algorithms/class_labels.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <type_traits>

namespace firesteel {

namespace {

constexpr std::size_t kMaxClasses = 10000;
constexpr double kLargestWhole = 0x1p53;

std::size_t size_of(Index i) { return static_cast<std::size_t>(i); }

bool counts(const RowBlocks& data, std::size_t row) {
  return (data.dropped.empty() || data.dropped[row] == 0) && (data.weights.empty() || data.weights[row] > 0);
}

void require_labels(const RowBlocks& data) {
  if (!data.has_labels)
    throw Error(ErrorCode::bad_input, "the data have no labels: name the label column with --label", {},
                true);
}

/// A number as a class label.
std::int64_t whole_label(double label, Index global_row) {
  if (std::abs(label) < kLargestWhole && label == std::floor(label)) return static_cast<std::int64_t>(label);
  if (label == std::floor(label))
    throw bad_input(
        "row " + std::to_string(global_row) + ": label " + number_text(label) +
            " is beyond 2^53, where whole numbers are no longer told apart: use smaller ones or texts",
        {.file = 0, .offset = global_row});
  throw bad_input("row " + std::to_string(global_row) + ": label " + number_text(label) +
                      " is not a whole number: classes are whole numbers or texts",
                  {.file = 0, .offset = global_row});
}
std::int64_t whole_label(std::int64_t label, Index) { return label; }

/// Labels of this rank's rows as the one type that classes have: Value.
template <class Value, class Raw>
std::vector<Value> typed_labels(const RowBlocks& data, const std::vector<Raw>& raw) {
  const Index first_row = data.partition.first_row(data.context.rank());
  std::vector<Value> labels(raw.size());
  for (std::size_t row = 0; row < raw.size(); ++row) {
    if (!counts(data, row)) continue;
    if constexpr (std::is_same_v<Value, std::string> && std::is_same_v<Raw, std::string>)
      labels[row] = raw[row];
    else if constexpr (std::is_same_v<Value, std::string>)
      labels[row] = number_text(static_cast<double>(raw[row]));
    else if constexpr (!std::is_same_v<Raw, std::string>)
      labels[row] = whole_label(raw[row], first_row + static_cast<Index>(row));
  }
  return labels;
}

template <class Value>
std::vector<Value> typed_labels(const RowBlocks& data) {
  return std::visit([&](const auto& raw) { return typed_labels<Value>(data, raw); }, data.labels);
}

template <class Value>
std::vector<Value> distinct(std::vector<Value> values) {
  std::sort(values.begin(), values.end());
  values.erase(std::unique(values.begin(), values.end()), values.end());
  return values;
}

/// More than enough for the message; nobody gathers a column of a million distinct numbers.
template <class Value>
std::vector<Value> first_classes(std::vector<Value> values) {
  values = distinct(std::move(values));
  if (values.size() > kMaxClasses + 1) values.resize(kMaxClasses + 1);
  return values;
}

std::vector<std::string> distinct_texts(const RowBlocks& data) {
  const auto labels = typed_labels<std::string>(data);
  std::vector<std::string> used;
  for (std::size_t row = 0; row < labels.size(); ++row)
    if (counts(data, row) && (used.empty() || used.back() != labels[row])) used.push_back(labels[row]);
  return first_classes(std::move(used));
}

/// Small whole numbers, which classes mostly are, are looked up in a table instead of being sorted.
constexpr std::size_t kSmallLabels = 256;

/// The label where it is one of those, else kSmallLabels.
template <class Raw>
std::size_t small_label(Raw label) {
  if (!(label >= 0 && label < static_cast<Raw>(kSmallLabels))) return kSmallLabels;
  const auto whole = static_cast<std::int32_t>(label);
  return static_cast<Raw>(whole) == label ? static_cast<std::size_t>(whole) : kSmallLabels;
}

template <class Raw>
std::vector<std::int64_t> distinct_numbers(const RowBlocks& data, const std::vector<Raw>& raw) {
  constexpr std::size_t kMostBetweenSorts = std::size_t{1} << 20;
  const bool all_count = data.dropped.empty() && data.weights.empty();
  const Index first_row = data.partition.first_row(data.context.rank());
  std::array<bool, kSmallLabels> seen{};
  std::vector<std::int64_t> used;
  for (std::size_t row = 0; row < raw.size(); ++row) {
    if (!all_count && !counts(data, row)) continue;
    if (const std::size_t small = small_label(raw[row]); small < kSmallLabels) {
      seen[small] = true;
      continue;
    }
    const std::int64_t label = whole_label(raw[row], first_row + static_cast<Index>(row));
    if (!used.empty() && used.back() == label) continue;
    used.push_back(label);
    if (used.size() == kMostBetweenSorts) used = first_classes(std::move(used));
  }
  for (std::size_t label = 0; label < kSmallLabels; ++label)
    if (seen[label]) used.push_back(static_cast<std::int64_t>(label));
  return first_classes(std::move(used));
}

std::vector<std::int64_t> distinct_numbers(const RowBlocks& data) {
  return std::visit(
      [&](const auto& raw) -> std::vector<std::int64_t> {
        if constexpr (std::is_same_v<std::decay_t<decltype(raw)>, std::vector<std::string>>)
          return {};  // a rank without rows: texts go another way
        else
          return distinct_numbers(data, raw);
      },
      data.labels);
}

void check_count(std::size_t classes) {
  if (classes > kMaxClasses)
    throw Error(ErrorCode::bad_input,
                "the label column has more than " + std::to_string(kMaxClasses) +
                    " distinct values: this is a regression target, not a class",
                {}, true);
}

bool any_texts(const RowBlocks& data) {
  return data.context.comm().any(std::holds_alternative<std::vector<std::string>>(data.labels) &&
                                 column_size(data.labels) > 0);
}

template <class Value>
std::string label_text(const Value& label) {
  if constexpr (std::is_same_v<Value, std::string>)
    return "'" + label + "'";
  else
    return std::to_string(label);
}

template <class Value>
std::size_t class_of(const RowBlocks& data, const std::vector<Value>& classes, const Value& label,
                     std::size_t row) {
  const auto found = std::lower_bound(classes.begin(), classes.end(), label);
  if (found != classes.end() && *found == label) return static_cast<std::size_t>(found - classes.begin());
  const Index global_row = data.partition.first_row(data.context.rank()) + static_cast<Index>(row);
  throw bad_input("row " + std::to_string(global_row) + ": label " + label_text(label) +
                      " is unknown to the model, whose classes begin with " + label_text(classes.front()) +
                      " and end with " + label_text(classes.back()),
                  {.file = 0, .offset = global_row});
}

/// Calls take(row, class) for each local row; rows that do not count are of class 0.
template <class Value, class Take>
void for_each_class(const RowBlocks& data, const std::vector<Value>& classes, Take&& take) {
  const auto labels = typed_labels<Value>(data);
  const std::size_t rows = std::min(labels.size(), size_of(data.local_rows()));
  for (std::size_t row = 0; row < rows; ++row)
    take(row, counts(data, row) ? class_of(data, classes, labels[row], row) : 0);
}

template <class Raw, class Take>
void for_each_class_of_numbers(const RowBlocks& data, const std::vector<std::int64_t>& classes,
                               const std::vector<Raw>& raw, Take&& take) {
  constexpr std::uint8_t kNone = 255;
  std::array<std::uint8_t, kSmallLabels + 1> small_classes;  // of labels that are not small: none
  small_classes.fill(kNone);
  for (std::size_t i = 0; i < std::min<std::size_t>(classes.size(), kNone); ++i)
    if (const std::size_t small = small_label(classes[i]); small < kSmallLabels)
      small_classes[small] = static_cast<std::uint8_t>(i);
  const bool all_count = data.dropped.empty() && data.weights.empty();
  const Index first_row = data.partition.first_row(data.context.rank());
  const std::size_t rows = std::min(raw.size(), size_of(data.local_rows()));
  for (std::size_t row = 0; row < rows; ++row) {
    if (!all_count && !counts(data, row)) {
      take(row, 0);
    } else if (const auto known = small_classes[small_label(raw[row])]; known != kNone) {
      take(row, known);
    } else {
      const std::int64_t label = whole_label(raw[row], first_row + static_cast<Index>(row));
      take(row, class_of(data, classes, label, row));
    }
  }
}

template <class Take>
void for_each_class(const RowBlocks& data, const std::vector<std::int64_t>& classes, Take&& take) {
  std::visit(
      [&](const auto& raw) {
        if constexpr (!std::is_same_v<std::decay_t<decltype(raw)>, std::vector<std::string>>)
          for_each_class_of_numbers(data, classes, raw, take);
      },
      data.labels);
}

}  // namespace

ClassLabels ClassLabels::gather(const RowBlocks& data) {
  require_labels(data);
  Communicator& comm = data.context.comm();
  if (any_texts(data)) {
    const auto own = comm.collectively([&] { return distinct_texts(data); });
    auto all = distinct(comm.allgather_texts(own));
    check_count(all.size());
    return ClassLabels(std::move(all));
  }
  const auto own = comm.collectively([&] { return distinct_numbers(data); });
  auto all = distinct(comm.allgatherv(std::span<const std::int64_t>(own)));
  check_count(all.size());
  return ClassLabels(std::move(all));
}

ClassLabels ClassLabels::from_record(const Record& record) {
  for (const auto& [name, value] : record.entries()) {
    if (name != "classes") continue;
    if (const auto* numbers = std::get_if<RecordArray<std::int64_t>>(&value))
      return ClassLabels(numbers->values);
  }
  return ClassLabels(record.get<RecordArray<std::string>>("classes").values);
}

void ClassLabels::to_record(Record& record) const {
  std::visit(
      [&](const auto& values) {
        using Value = typename std::decay_t<decltype(values)>::value_type;
        record.set("classes", RecordArray<Value>{{count()}, values});
      },
      values_);
}

Index ClassLabels::count() const {
  return std::visit([](const auto& values) { return static_cast<Index>(values.size()); }, values_);
}

std::string ClassLabels::name(Index index) const {
  return std::visit([&](const auto& values) { return label_text(values[size_of(index)]); }, values_);
}

template <class Take>
void ClassLabels::for_each_row(const RowBlocks& data, Take&& take) const {
  require_labels(data);
  const bool texts = any_texts(data);
  data.context.comm().collectively([&] {
    if (texts && std::holds_alternative<std::vector<std::int64_t>>(values_))
      throw bad_input("the labels are texts, those of the model whole numbers from " + name(0) + " to " +
                      name(count() - 1));
    std::visit([&](const auto& values) { for_each_class(data, values, take); }, values_);
  });
}

std::vector<Index> ClassLabels::of_rows(const RowBlocks& data) const {
  std::vector<Index> result(size_of(data.local_rows()), 0);
  for_each_row(data, [&](std::size_t row, std::size_t number) { result[row] = static_cast<Index>(number); });
  return result;
}

void ClassLabels::fill_rows(const RowBlocks& data, std::span<const double> value_of_class,
                            std::span<double> out) const {
  for_each_row(data, [&](std::size_t row, std::size_t number) { out[row] = value_of_class[number]; });
}

ColumnValues ClassLabels::labels_of(std::span<const Index> classes) const {
  return std::visit(
      [&](const auto& values) -> ColumnValues {
        std::decay_t<decltype(values)> labels;
        labels.reserve(classes.size());
        for (const Index index : classes) labels.push_back(values[size_of(index)]);
        return labels;
      },
      values_);
}

}  // namespace firesteel
