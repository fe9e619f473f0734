// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "firesteel/io/line_scan.hpp"

namespace firesteel {

/// One field of a CSV record.
struct CsvField {
  std::string_view text;        ///< without quotes and the blanks around it
  const char* end = nullptr;    ///< at the delimiter or line break that ends it, or the end of the text
  const char* fault = nullptr;  ///< what is wrong with its quotes; nullptr: nothing
};

/// Reads the field at `p`. `text_end` must be readable and '\n'. The text points into the input, or into
/// `scratch` where quotes are doubled.
CsvField read_csv_field(const char* p, const char* text_end, const TextDialect& dialect,
                        std::string& scratch);

/// Steps from a field's end to the next field; false at the record's end, where p is past the line break.
inline bool next_csv_field(const char*& p, const TextDialect& dialect) {
  if (dialect.blank_runs) {
    while (*p == ' ' || *p == '\t') ++p;
    if (*p == '\r' && p[1] == '\n') ++p;
    if (*p != '\n') return true;
    ++p;
    return false;
  }
  if (*p == dialect.delimiter) {
    ++p;
    return true;
  }
  p += *p == '\r' ? 2 : 1;
  return false;
}

/// Steps over blank lines and comments; returns the start of the next record, or text_end.
const char* next_record(const char* p, const char* text_end, const TextDialect& dialect);

/// The fields of the record at `p`; p moves past it. Throws a CsvField::fault as bad_input without a place.
std::vector<std::string> split_record(const char*& p, const char* text_end, const TextDialect& dialect);

/// Empty, NA, NaN, null or ? in any case.
bool is_missing(std::string_view text);

/// Reads a whole field as a number, inf and nan included. `text` may lie anywhere.
bool field_to_number(std::string_view text, double& value);

/// A whole number as numbers are printed. nullopt for anything else, and so for 007, +7 and -0, which as
/// numbers would lose what their writer put there.
std::optional<std::int64_t> field_to_whole(std::string_view text);

}  // namespace firesteel
