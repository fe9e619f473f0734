// SPDX-License-Identifier: Apache-2.0
#include "firesteel/io/array_source.hpp"

#include "firesteel/core/error.hpp"
#include "firesteel/io/store.hpp"

namespace firesteel {

void ArraySource::fail(const std::string& what, Index row) const {
  rethrow_failed_read();
  throw bad_input(path_ + ": " + what, {file_number_, row});
}

std::string shape_text(const std::vector<Index>& shape) {
  if (shape.empty()) return "a single value";
  std::string text;
  for (const Index extent : shape) text += (text.empty() ? "" : " x ") + std::to_string(extent);
  return text;
}

}  // namespace firesteel
