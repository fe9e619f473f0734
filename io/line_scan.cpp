// SPDX-License-Identifier: Apache-2.0
#include "firesteel/io/line_scan.hpp"

#include <algorithm>
#include <cstring>

namespace firesteel {

namespace {

const char* find(const char* begin, const char* end, char wanted) {
  const void* hit = begin < end ? std::memchr(begin, wanted, static_cast<std::size_t>(end - begin)) : nullptr;
  return hit == nullptr ? end : static_cast<const char*>(hit);
}

/// Walks lines of [begin, end).
class LineWalker {
 public:
  LineWalker(const char* begin, const char* end, const TextDialect& dialect)
      : end_(end), dialect_(dialect), next_quote_(dialect.quotes ? find(begin, end, '"') : end) {}

  struct Line {
    const char* next;     ///< past the line break; the end if there is none
    LineState state;      ///< line_start after a line break, else the state at the end
    bool record = false;  ///< a record's first byte was met
    bool broken = false;  ///< ended by a line break
  };

  Line to_line_end(const char* p, LineState state) {
    return dialect_.comments ? commented_line(p, state) : quoted_line(p, state);
  }

 private:
  const char* content(const char* p, const char* end) const {
    while (p < end && dialect_.is_space(*p)) ++p;
    return p;
  }
  static bool record_begins(LineState state) {
    return state == LineState::line_start || state == LineState::line_blank;
  }
  const char* quote_from(const char* p) {
    if (next_quote_ < p) next_quote_ = find(p, end_, '"');
    return next_quote_;
  }

  /// True if the quote at `quote` opens a field; the text from p on was entered in `state`.
  bool opens_field(const char* quote, const char* p, LineState state) const {
    while (quote > p && dialect_.is_padding(quote[-1])) --quote;
    return quote == p ? state != LineState::in_field : dialect_.is_delimiter(quote[-1]);
  }

  /// The state at the end of [p, end_), which has no line break and no quote.
  LineState state_at_end(const char* p, LineState state) const {
    if (record_begins(state) && content(p, end_) == end_) return p == end_ ? state : LineState::line_blank;
    const char* last = end_;
    while (last > p && dialect_.is_padding(last[-1])) --last;
    if (last == p) return state;
    return dialect_.is_delimiter(last[-1]) ? LineState::field_start : LineState::in_field;
  }

  Line quoted_line(const char* p, LineState state) {
    bool record = false;
    for (;;) {
      if (state == LineState::quoted) {
        const char* quote = quote_from(p);
        if (quote == end_) return {end_, state, record};
        p = quote + 1;
        state = LineState::quote_in_quoted;
      }
      if (state == LineState::quote_in_quoted) {
        if (p == end_) return {end_, state, record};
        const bool doubled = *p == '"';
        state = doubled ? LineState::quoted : LineState::in_field;
        p += doubled ? 1 : 0;
        continue;
      }
      const char* line_end = find(p, end_, '\n');
      const char* quote = quote_from(p);
      if (quote < line_end) {
        record = record || record_begins(state);
        state = opens_field(quote, p, state) ? LineState::quoted : LineState::in_field;
        p = quote + 1;
        continue;
      }
      record = record || (record_begins(state) && content(p, line_end) < line_end);
      if (line_end == end_) return {end_, state_at_end(p, state), record};
      return {line_end + 1, LineState::line_start, record, true};
    }
  }

  Line commented_line(const char* p, LineState state) {
    const char* line_end = find(p, end_, '\n');
    const char* first = content(p, line_end);
    const bool record = record_begins(state) && first < line_end && *first != '#';
    if (line_end < end_) return {line_end + 1, LineState::line_start, record, true};
    if (state == LineState::quoted || find(p, end_, '#') < end_) return {end_, LineState::quoted, record};
    if (first < end_) return {end_, LineState::in_field, record};
    return {end_, p == end_ || !record_begins(state) ? state : LineState::line_blank, record};
  }

  const char* end_;
  const TextDialect& dialect_;
  const char* next_quote_;
};

using Starts = std::array<const char*, kLineStates>;

/// Walks from the first of `starts` that is not null to the end, and settles the scans whose start it meets;
/// their starts become null. False where all were null.
bool settle_first_start(Starts& starts, const char* end, const LineWalker& fresh,
                        std::array<PieceScan, kLineStates>& scans) {
  const char* first = nullptr;
  const char* last = nullptr;
  for (const char* start : starts) {
    if (start == nullptr) continue;
    if (first == nullptr || start < first) first = start;
    if (last == nullptr || start > last) last = start;
  }
  if (first == nullptr) return false;
  LineWalker walker = fresh;
  std::array<bool, kLineStates> met{};
  Index records = 0;
  LineWalker::Line line{first, LineState::line_start};
  while (line.next < end) {
    for (std::size_t i = 0; line.next <= last && i < starts.size(); ++i) {
      if (starts[i] != line.next) continue;
      met[i] = true;
      scans[i].records = -records;
    }
    line = walker.to_line_end(line.next, LineState::line_start);
    records += line.record ? 1 : 0;
  }
  for (std::size_t i = 0; i < starts.size(); ++i) {
    if (!met[i]) continue;
    scans[i].end = line.state;
    scans[i].records += records;
    starts[i] = nullptr;
  }
  return true;
}

}  // namespace

std::array<PieceScan, kLineStates> scan_piece(std::span<const char> text, const TextDialect& dialect) {
  const char* const begin = text.data();
  const char* const end = begin + text.size();
  const LineWalker fresh(begin, end, dialect);
  std::array<PieceScan, kLineStates> scans;
  Starts starts{};
  for (std::size_t i = 0; i < starts.size(); ++i) {
    const auto state = static_cast<LineState>(i);
    LineWalker walker = fresh;
    const auto line = state == LineState::line_start ? LineWalker::Line{begin, state, false, true}
                                                     : walker.to_line_end(begin, state);
    scans[i] = {line.state, line.record};
    if (!line.broken || line.next == end) continue;
    starts[i] = line.next;
    scans[i].line_start = line.next - begin;
  }
  while (settle_first_start(starts, end, fresh, scans)) {
  }
  return scans;
}

const char* skip_records(const char* begin, const char* end, Index records, const TextDialect& dialect) {
  LineWalker walker(begin, end, dialect);
  while (begin < end && records > 0) {
    const auto line = walker.to_line_end(begin, LineState::line_start);
    records -= line.record ? 1 : 0;
    begin = line.next;
  }
  return begin;
}

bool is_record(const char* begin, const char* end, const TextDialect& dialect) {
  while (begin < end && dialect.is_space(*begin)) ++begin;
  return begin < end && *begin != '\n' && !(dialect.comments && *begin == '#');
}

}  // namespace firesteel
