// SPDX-License-Identifier: Apache-2.0
// The Matrix Market exchange formats: https://math.nist.gov/MatrixMarket/formats.html
#include "firesteel/io/matrix_market.hpp"

#include <algorithm>
#include <limits>
#include <vector>

#include "firesteel/core/error.hpp"
#include "firesteel/core/parameters.hpp"

namespace firesteel {

namespace {

std::vector<std::string> words_of(std::string_view line) {
  std::vector<std::string> words;
  constexpr std::string_view kBlanks = " \t\r";
  for (;;) {
    line.remove_prefix(std::min(line.find_first_not_of(kBlanks), line.size()));
    if (line.empty()) return words;
    const auto length = std::min(line.find_first_of(kBlanks), line.size());
    words.emplace_back(line.substr(0, length));
    line.remove_prefix(length);
  }
}

void lower(std::string& word) {
  for (char& c : word)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
}

std::string_view take_line(std::string_view& text) {
  const auto end = std::min(text.find('\n'), text.size());
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return line;
}

void parse_banner(std::string_view line, MatrixMarketHeader& header) {
  auto words = words_of(line);
  for (auto& word : words) lower(word);
  if (words.size() != 5 || words[0] != "%%matrixmarket" || words[1] != "matrix")
    throw bad_input("expected '%%MatrixMarket matrix FORMAT FIELD SYMMETRY' in the first line");
  const auto refuse = [](const std::string& what, const std::string& expected) {
    throw bad_input("'" + what + "' matrices are not read: expected " + expected);
  };
  if (words[2] != "coordinate" && words[2] != "array") refuse(words[2], "coordinate or array");
  header.coordinate = words[2] == "coordinate";
  header.pattern = words[3] == "pattern";
  const bool number =
      words[3] == "real" || words[3] == "double" || words[3] == "integer" || words[3] == "unsigned-integer";
  if (!number && !(header.pattern && header.coordinate))
    refuse(words[3], header.coordinate ? "real, integer or pattern" : "real or integer");
  using Symmetry = MatrixMarketHeader::Symmetry;
  if (words[4] == "symmetric")
    header.symmetry = Symmetry::symmetric;
  else if (words[4] == "skew-symmetric" && !header.pattern)
    header.symmetry = Symmetry::skew_symmetric;
  else if (words[4] != "general")
    refuse(words[4], "general, symmetric or skew-symmetric");
}

void parse_sizes(std::string_view line, MatrixMarketHeader& header) {
  const auto words = words_of(line);
  const std::size_t expected = header.coordinate ? 3 : 2;
  std::vector<Index> sizes;
  for (const auto& word : words)
    if (const auto number = parse_integer(word); number && *number >= 0) sizes.push_back(*number);
  if (sizes.size() != expected || words.size() != expected)
    throw bad_input("expected the line of sizes, " +
                    std::string(header.coordinate ? "rows, columns and entries" : "rows and columns") +
                    ", got '" + std::string(line.substr(0, 80)) + "'");
  header.rows = sizes[0];
  header.columns = sizes[1];
  const bool square =
      header.symmetry == MatrixMarketHeader::Symmetry::general || header.rows == header.columns;
  if (!square)
    throw bad_input("a symmetric matrix of " + std::to_string(header.rows) + " x " +
                    std::to_string(header.columns) + ": expected as many columns as rows");
  constexpr Index kMost = std::numeric_limits<std::int32_t>::max();
  if (header.columns > kMost || header.rows > (Index{1} << 40))
    throw bad_input("a matrix of " + std::to_string(header.rows) + " x " + std::to_string(header.columns) +
                    ": at most 2^40 rows and 2147483647 columns are possible");
  if (header.coordinate) {
    header.records = sizes[2];
  } else {
    if (header.columns > 0 && header.rows > std::numeric_limits<Index>::max() / header.columns)
      throw bad_input("the matrix has a shape beyond 63 bits");
    using Symmetry = MatrixMarketHeader::Symmetry;
    const Index n = header.rows;
    header.records = header.symmetry == Symmetry::general     ? n * header.columns
                     : header.symmetry == Symmetry::symmetric ? n * (n + 1) / 2
                                                              : n * (n - 1) / 2;
  }
}

}  // namespace

MatrixMarketHeader parse_matrix_market(std::string_view text) {
  MatrixMarketHeader header;
  parse_banner(take_line(text), header);
  header.header_records = 1;
  while (!text.empty()) {
    const std::string_view line = take_line(text);
    if (words_of(line).empty()) continue;
    ++header.header_records;
    if (line.starts_with('%')) continue;
    parse_sizes(line, header);
    return header;
  }
  throw bad_input("expected a line of sizes after the comments, found the end");
}

}  // namespace firesteel
