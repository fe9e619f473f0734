// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <arrow/array.h>
#include <arrow/result.h>
#include <arrow/status.h>

#include <new>
#include <stdexcept>
#include <utility>

#include "firesteel/io/table.hpp"

namespace firesteel {

/// Throws bad_alloc, or a runtime_error of what Arrow says.
inline void check_arrow(const arrow::Status& status) {
  if (status.ok()) return;
  if (status.IsOutOfMemory()) throw std::bad_alloc();
  // The detail is what the system says: no space left, no such file.
  throw std::runtime_error(status.message() +
                           (status.detail() ? " (" + status.detail()->ToString() + ")" : std::string()));
}

template <class T>
T value_of(arrow::Result<T> result) {
  check_arrow(result.status());
  return std::move(result).ValueUnsafe();
}

/// What a column of the type holds.
TableKind kind_of(const arrow::DataType& type);

/// An array's values as `want` says, in the form that goes with a column's kind; `out` lends its memory.
void arrow_values(const arrow::Array& array, TableKind kind, TableWant want, TableValues& out);

}  // namespace firesteel
