// SPDX-License-Identifier: Apache-2.0
#include "firesteel/algorithms/class_labels.hpp"

#include <algorithm>
#include <cmath>

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

template <class Value>
std::vector<Value> distinct_labels(const RowBlocks& data) {
  const auto labels = typed_labels<Value>(data);
  std::vector<Value> used;
  for (std::size_t row = 0; row < labels.size(); ++row)
    if (counts(data, row) && (used.empty() || used.back() != labels[row])) used.push_back(labels[row]);
  used = distinct(std::move(used));
  // More than enough for the message; nobody gathers a column of a million distinct numbers.
  if (used.size() > kMaxClasses + 1) used.resize(kMaxClasses + 1);
  return used;
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
std::vector<Index> classes_of_rows(const RowBlocks& data, const std::vector<Value>& classes) {
  const auto labels = typed_labels<Value>(data);
  const Index first_row = data.partition.first_row(data.context.rank());
  std::vector<Index> result(size_of(data.local_rows()), 0);
  for (std::size_t row = 0; row < labels.size() && row < result.size(); ++row) {
    if (!counts(data, row)) continue;
    const auto found = std::lower_bound(classes.begin(), classes.end(), labels[row]);
    if (found == classes.end() || *found != labels[row]) {
      const Index global_row = first_row + static_cast<Index>(row);
      throw bad_input("row " + std::to_string(global_row) + ": label " + label_text(labels[row]) +
                          " is unknown to the model, whose classes begin with " +
                          label_text(classes.front()) + " and end with " + label_text(classes.back()),
                      {.file = 0, .offset = global_row});
    }
    result[row] = static_cast<Index>(found - classes.begin());
  }
  return result;
}

}  // namespace

ClassLabels ClassLabels::gather(const RowBlocks& data) {
  require_labels(data);
  Communicator& comm = data.context.comm();
  if (any_texts(data)) {
    const auto own = comm.collectively([&] { return distinct_labels<std::string>(data); });
    auto all = distinct(comm.allgather_texts(own));
    check_count(all.size());
    return ClassLabels(std::move(all));
  }
  const auto own = comm.collectively([&] { return distinct_labels<std::int64_t>(data); });
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

std::vector<Index> ClassLabels::of_rows(const RowBlocks& data) const {
  require_labels(data);
  const bool texts = any_texts(data);
  return data.context.comm().collectively([&] {
    if (texts && std::holds_alternative<std::vector<std::int64_t>>(values_))
      throw bad_input("the labels are texts, those of the model whole numbers from " + name(0) + " to " +
                      name(count() - 1));
    return std::visit([&](const auto& values) { return classes_of_rows(data, values); }, values_);
  });
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
