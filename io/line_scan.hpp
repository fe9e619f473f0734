// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "firesteel/core/index.hpp"

namespace firesteel {

/// How a text is cut into records and fields.
struct TextDialect {
  char delimiter = ',';
  bool blank_runs = false;  ///< fields are separated by runs of blanks (delimiter is then ' ')
  bool quotes = true;       ///< "…" may hold delimiters, doubled quotes and line breaks
  bool comments = false;    ///< from # to the end of the line

  /// Blanks that do not separate fields.
  bool is_blank(char c) const { return !blank_runs && (c == ' ' || (c == '\t' && delimiter != '\t')); }
  /// Around a field, not of it; a carriage return may stand before a line break, and so anywhere.
  bool is_padding(char c) const { return c == '\r' || is_blank(c); }
  bool is_delimiter(char c) const { return c == delimiter || (blank_runs && c == '\t'); }
  /// Nothing that makes a line a record: a line of these alone is blank.
  bool is_space(char c) const { return c == '\r' || c == ' ' || (c == '\t' && delimiter != '\t'); }
};

/// Where a reader stands in a text. With comments, `quoted` means inside a comment.
enum class LineState : std::uint8_t {
  line_start,
  line_blank,
  field_start,
  in_field,
  quoted,
  quote_in_quoted
};
inline constexpr int kLineStates = 6;

/// What a piece of text holds if it is entered in a certain state. A record is a line that is not blank (nor
/// a comment); a line ends at a line break outside quotes.
struct PieceScan {
  LineState end = LineState::line_start;
  bool record_before = false;  ///< a record's first byte lies on the line that the piece was entered in
  Index line_start = -1;       ///< the first line that starts in the piece, −1: none
  Index records = 0;           ///< from line_start on
};

/// Scans a piece for each state it may be entered in, as its true state is known only when all pieces before
/// it are. The ways soon meet on a common line start, so this costs little more than one scan; memchr does
/// the work. Source: Chang et al. 2019 (speculative distributed CSV parsing), doi:10.1145/3299869.3319898.
std::array<PieceScan, kLineStates> scan_piece(std::span<const char> text, const TextDialect& dialect);

/// Skips `records` records from the line start `begin`; returns the start of the line after them.
const char* skip_records(const char* begin, const char* end, Index records, const TextDialect& dialect);

/// True if the line at `begin` holds a record.
bool is_record(const char* begin, const char* end, const TextDialect& dialect);

}  // namespace firesteel
