// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "firesteel/core/class_values.hpp"
#include "firesteel/core/record.hpp"
#include "firesteel/core/row_blocks.hpp"

namespace firesteel {

/// The classes of a classifier, by their original labels: whole numbers in numeric order, or texts in byte
/// order. Replicated.
class ClassLabels {
 public:
  using Values = ClassValues;

  ClassLabels() = default;
  explicit ClassLabels(Values values) : values_(std::move(values)) {}
  /// The distinct labels of rows that count (not dropped, positive weight). Throws bad_input where there are
  /// no labels, a number is not whole, or classes are more than 10,000. Collective.
  static ClassLabels gather(const RowBlocks& data);
  static ClassLabels from_record(const Record& record);
  void to_record(Record& record) const;

  Index count() const;
  const Values& values() const { return values_; }
  std::string name(Index index) const;
  /// Class number of each local row. A label that is not among the classes throws bad_input naming it; rows
  /// of weight 0 and dropped rows then count as class 0. Collective.
  std::vector<Index> of_rows(const RowBlocks& data) const;
  /// out[row] ← value_of_class[class of the local row], by the same rules. Collective.
  void fill_rows(const RowBlocks& data, std::span<const double> value_of_class, std::span<double> out) const;
  /// The original labels of class numbers.
  ColumnValues labels_of(std::span<const Index> classes) const;

 private:
  template <class Take>
  void for_each_row(const RowBlocks& data, Take&& take) const;

  Values values_;
};

}  // namespace firesteel
