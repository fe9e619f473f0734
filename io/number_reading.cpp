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

const char* finish_long_number(const char* end, std::uint64_t mantissa, int digits, bool negative,
                               double& value) {
  // Exact for every mantissa of 64 bits where the power lies in -27 … 55 (Lemire 2021, doi:10.1002/spe.2984).
  // The digits have been read: fast_float's own reader would look at each of them again.
  using Binary = fast_float::binary_format<double>;
  fast_float::to_float(negative, fast_float::compute_float<Binary>(-digits, mantissa), value);
  return end;
}

}  // namespace firesteel::detail
