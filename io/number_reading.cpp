// SPDX-License-Identifier: Apache-2.0
#include "firesteel/io/number_reading.hpp"

#include <fast_float/fast_float.h>

namespace firesteel::detail {

const char* read_any_number(const char* text, const char* limit, double& value) {
  const char* first = text;
  if (first < limit && *first == '+') {
    ++first;
    if (first < limit && *first == '-') return nullptr;
  }
  const auto result = fast_float::from_chars(first, limit, value);
  // Out of range still gives strtod's value: infinity, zero or a subnormal number.
  if (result.ec != std::errc() && result.ec != std::errc::result_out_of_range) return nullptr;
  return result.ptr == first ? nullptr : result.ptr;
}

}  // namespace firesteel::detail
