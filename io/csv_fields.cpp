// SPDX-License-Identifier: Apache-2.0
#include "firesteel/io/csv_fields.hpp"

#include <fast_float/fast_float.h>

#include <algorithm>
#include <cstring>

#include "firesteel/core/error.hpp"
#include "firesteel/core/parameters.hpp"

namespace firesteel {

namespace {

CsvField read_quoted(const char* p, const char* text_end, const TextDialect& dialect, std::string& scratch) {
  const char* const begin = p + 1;
  const char* part = begin;
  bool doubled = false;
  for (;;) {
    const auto* quote =
        static_cast<const char*>(std::memchr(part, '"', static_cast<std::size_t>(text_end - part)));
    if (quote == nullptr) return {{}, text_end, "the quote that opens here is not closed"};
    const bool again = quote + 1 < text_end && quote[1] == '"';
    if (again && !doubled) scratch.assign(begin, quote + 1);
    if (doubled) scratch.append(part, again ? quote + 1 : quote);
    if (again) {
      doubled = true;
      part = quote + 2;
      continue;
    }
    CsvField field{doubled ? std::string_view(scratch)
                           : std::string_view(begin, static_cast<std::size_t>(quote - begin)),
                   quote + 1, nullptr};
    while (dialect.is_blank(*field.end) || (*field.end == '\r' && field.end < text_end)) ++field.end;
    if (!dialect.is_delimiter(*field.end) && *field.end != '\n')
      field.fault = "expected a delimiter after the closing quote";
    return field;
  }
}

/// `text` in any case is `lower`, a word of small letters.
bool equals_lower(std::string_view text, std::string_view lower) {
  return std::equal(text.begin(), text.end(), lower.begin(), lower.end(),
                    [](char a, char b) { return (a | 0x20) == b; });
}

}  // namespace

CsvField read_csv_field(const char* p, const char* text_end, const TextDialect& dialect,
                        std::string& scratch) {
  while (dialect.is_padding(*p)) ++p;
  if (*p == '"' && dialect.quotes && p < text_end) return read_quoted(p, text_end, dialect, scratch);
  const char* end = p;
  while (!dialect.is_delimiter(*end) && *end != '\n') ++end;
  const char* last = end;
  while (last > p && dialect.is_padding(last[-1])) --last;
  return {{p, static_cast<std::size_t>(last - p)}, end, nullptr};
}

const char* next_record(const char* p, const char* text_end, const TextDialect& dialect) {
  while (p < text_end && !is_record(p, text_end, dialect)) {
    const auto* line_end =
        static_cast<const char*>(std::memchr(p, '\n', static_cast<std::size_t>(text_end - p)));
    if (line_end == nullptr) return text_end;
    p = line_end + 1;
  }
  return p;
}

std::vector<std::string> split_record(const char*& p, const char* text_end, const TextDialect& dialect) {
  std::vector<std::string> fields;
  std::string scratch;
  if (dialect.blank_runs) p += std::strspn(p, " \t");
  do {
    const CsvField field = read_csv_field(p, text_end, dialect, scratch);
    if (field.fault != nullptr) throw bad_input(field.fault);
    fields.emplace_back(field.text);
    p = field.end;
  } while (next_csv_field(p, dialect));
  return fields;
}

bool is_missing(std::string_view text) {
  return text.empty() || text == "?" || equals_lower(text, "na") || equals_lower(text, "nan") ||
         equals_lower(text, "null");
}

bool field_to_number(std::string_view text, double& value) {
  if (text.starts_with('+') && !text.starts_with("+-")) text.remove_prefix(1);
  const auto result = fast_float::from_chars(text.data(), text.data() + text.size(), value);
  return !text.empty() && result.ptr == text.data() + text.size() &&
         (result.ec == std::errc() || result.ec == std::errc::result_out_of_range);
}

std::optional<std::int64_t> field_to_whole(std::string_view text) {
  const std::string_view digits = text.starts_with('-') ? text.substr(1) : text;
  if (text != "0" && (digits.empty() || digits.front() < '1' || digits.front() > '9')) return std::nullopt;
  return parse_integer(text);
}

}  // namespace firesteel
