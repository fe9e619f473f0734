// SPDX-License-Identifier: Apache-2.0
#include "firesteel/io/line_scan.hpp"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

namespace firesteel {
namespace {

/// Counts records byte by byte, with one state.
class ByteScan {
 public:
  explicit ByteScan(const TextDialect& dialect) : dialect_(dialect) {}

  LineState state = LineState::line_start;
  Index records = 0;

  void byte(char c) {
    if (state == LineState::quoted) {
      if (dialect_.comments ? c == '\n' : c == '"')
        state = dialect_.comments ? LineState::line_start : LineState::quote_in_quoted;
      return;
    }
    if (state == LineState::quote_in_quoted) {
      if (c == '"') {
        state = LineState::quoted;
        return;
      }
      state = LineState::in_field;
    }
    if (c == '\n') {
      state = LineState::line_start;
      return;
    }
    const bool begins = state == LineState::line_start || state == LineState::line_blank;
    if (dialect_.comments && c == '#') {
      state = LineState::quoted;
      return;
    }
    if (begins && dialect_.is_space(c)) {
      // In a comma dialect a blank or a carriage return cannot begin a record; it leaves the line blank.
      state = LineState::line_blank;
      return;
    }
    if (begins) ++records;
    if (dialect_.quotes && c == '"' && state != LineState::in_field) {
      state = LineState::quoted;
    } else if (dialect_.is_delimiter(c)) {
      state = LineState::field_start;
    } else if (!dialect_.is_blank(c) || begins) {
      state = LineState::in_field;
    }
  }

 private:
  TextDialect dialect_;
};

std::string random_text(std::mt19937_64& random, const std::string& alphabet) {
  std::string text;
  for (std::size_t length = random() % 60; length > 0; --length) text += alphabet[random() % alphabet.size()];
  return text;
}

/// Cuts a text anywhere, scans the pieces without knowing their states, and joins them.
void expect_pieces_to_join(const TextDialect& dialect, const std::string& alphabet) {
  std::mt19937_64 random(5);
  for (int round = 0; round < 20000; ++round) {
    const std::string text = random_text(random, alphabet);
    ByteScan expected(dialect);
    for (const char c : text) expected.byte(c);
    LineState state = LineState::line_start;
    Index records = 0;
    for (std::size_t begin = 0; begin < text.size();) {
      const std::size_t length = std::min<std::size_t>(text.size() - begin, 1 + random() % 20);
      const auto scan = scan_piece({text.data() + begin, length}, dialect)[static_cast<std::size_t>(state)];
      records += scan.records + (scan.record_before ? 1 : 0);
      state = scan.end;
      begin += length;
    }
    ASSERT_EQ(records, expected.records) << text;
    const bool quoted = state == LineState::quoted;
    ASSERT_EQ(quoted, expected.state == LineState::quoted) << text;
  }
}

TEST(LineScan, pieces_of_csv_join_wherever_they_are_cut) {
  expect_pieces_to_join({}, "a\"\n, \"\n,");
  expect_pieces_to_join({}, "ab\n,\n");
  expect_pieces_to_join({.delimiter = '\t'}, "a\"\n\t \"");
}

TEST(LineScan, pieces_of_commented_lines_join_wherever_they_are_cut) {
  expect_pieces_to_join({.delimiter = ' ', .blank_runs = true, .quotes = false, .comments = true},
                        "a# \nb\n");
}

TEST(LineScan, skips_records_and_blank_lines) {
  const std::string text = "a,\"b\nc\"\n\n \nd,e\nf";
  const char* const end = text.data() + text.size();
  EXPECT_EQ(skip_records(text.data(), end, 0, {}) - text.data(), 0);
  EXPECT_EQ(skip_records(text.data(), end, 1, {}) - text.data(), 8);
  EXPECT_EQ(skip_records(text.data(), end, 2, {}) - text.data(), 15);
  EXPECT_EQ(skip_records(text.data(), end, 3, {}), end);
}

}  // namespace
}  // namespace firesteel
