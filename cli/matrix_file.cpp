// SPDX-License-Identifier: Apache-2.0
#include "firesteel/cli/matrix_file.hpp"

#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string_view>

#include "firesteel/core/error.hpp"
#include "firesteel/io/store.hpp"

namespace firesteel::cli {

namespace {

std::string_view trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(" \t\r");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r") - first + 1);
}

/// Appends the numbers of one line; returns how many.
Index parse_line(std::string_view line, const std::string& place, std::vector<double>& values) {
  Index fields = 0;
  while (true) {
    const auto comma = line.find(',');
    const std::string_view field = trimmed(line.substr(0, comma));
    ++fields;
    const auto number = parse_number(field);
    if (!number)
      throw bad_input(place + ":" + std::to_string(fields) + ": expected a finite number, got '" +
                      std::string(field) + "'");
    values.push_back(*number);
    if (comma == std::string_view::npos) return fields;
    line.remove_prefix(comma + 1);
  }
}

Matrix parse_matrix(std::istream& file, const std::string& path) {
  constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
  Matrix matrix;
  std::string line;
  Index blank_line = 0;
  for (Index number = 1; std::getline(file, line); ++number) {
    std::string_view text = line;
    if (number == 1 && text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
    if (trimmed(text).empty()) {
      if (blank_line == 0) blank_line = number;
      continue;
    }
    const std::string place = path + ":" + std::to_string(number);
    if (blank_line != 0)
      throw bad_input(path + ":" + std::to_string(blank_line) + ": expected numbers, got a blank line");
    const Index fields = parse_line(text, place, matrix.values);
    if (matrix.rows > 0 && fields != matrix.columns)
      throw bad_input(place + ": expected " + std::to_string(matrix.columns) + " numbers, got " +
                      std::to_string(fields));
    matrix.columns = fields;
    ++matrix.rows;
  }
  if (file.bad()) throw Error(ErrorCode::io_failed, path + ": reading failed");
  if (matrix.rows == 0) throw bad_input(path + ": expected one row of numbers a line, got an empty file");
  return matrix;
}

/// A file of a store.
std::string read_whole(const std::string& path) {
  const auto file = open_input(path);
  std::string text(static_cast<std::size_t>(file->bytes()), '\0');
  text.resize(file->read_at(0, text));
  return text;
}

}  // namespace

Matrix read_matrix_file(const Context& context, const std::string& path) {
  Communicator& comm = context.comm();
  Matrix matrix = comm.collectively([&] {
    if (context.rank() != 0) return Matrix{};
    if (is_url(path)) {
      std::istringstream text(read_whole(path));
      return parse_matrix(text, path);
    }
    std::ifstream file(path);
    if (!file) throw Error(ErrorCode::no_input, path + ": cannot open: " + std::strerror(errno));
    return parse_matrix(file, path);
  });
  std::array<Index, 2> shape{matrix.rows, matrix.columns};
  comm.broadcast(std::span<Index>(shape), 0);
  matrix.rows = shape[0];
  matrix.columns = shape[1];
  comm.collectively([&] { matrix.values.resize(static_cast<std::size_t>(matrix.rows * matrix.columns)); });
  comm.broadcast(std::span<double>(matrix.values), 0);
  return matrix;
}

}  // namespace firesteel::cli
