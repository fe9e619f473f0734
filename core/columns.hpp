// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <type_traits>
#include <variant>
#include <vector>

#include "firesteel/core/index.hpp"

namespace firesteel {

/// Values of one column on this rank: numbers, whole numbers, or texts.
using ColumnValues = std::variant<std::vector<double>, std::vector<std::int64_t>, std::vector<std::string>>;

inline Index column_size(const ColumnValues& values) {
  return std::visit([](const auto& v) { return static_cast<Index>(v.size()); }, values);
}

struct Column {
  std::string name;
  ColumnValues values;
};

/// Columns of equal length whose rows are partitioned over ranks in rank order: predictions, copied input
/// columns.
struct ColumnTable {
  std::vector<Column> columns;

  Index local_rows() const { return columns.empty() ? 0 : column_size(columns.front().values); }
};

}  // namespace firesteel
