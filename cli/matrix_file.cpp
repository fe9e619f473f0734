// SPDX-License-Identifier: Apache-2.0
#include "firesteel/cli/matrix_file.hpp"

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <string_view>

#include "firesteel/core/error.hpp"
#include "firesteel/core/memory.hpp"
#include "firesteel/io/quoted.hpp"
#include "firesteel/io/store.hpp"

namespace firesteel::cli {

namespace {

std::string_view trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(" \t\r");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r") - first + 1);
}

/// The lines of a file, one at a time. What is held is one line and a piece of the file, whatever its size.
class Lines {
 public:
  explicit Lines(const std::string& path) : path_(path), file_(open_input(path)) {}

  /// The next line, without its end, until the next call; nullopt behind the last one.
  std::optional<std::string_view> next() {
    line_.clear();
    while (true) {
      if (next_ == piece_.size() && !fill()) {
        if (line_.empty()) return std::nullopt;
        break;
      }
      const std::string_view rest = std::string_view(piece_).substr(next_);
      const auto end = rest.find('\n');
      const std::string_view more = rest.substr(0, end);
      if (line_.size() + more.size() > kLongestLine)
        throw bad_input(path_ + ":" + std::to_string(number_ + 1) +
                        ": a line from here on is longer than 256 MiB: expected one row of numbers a line");
      line_ += more;
      next_ += end == std::string_view::npos ? rest.size() : end + 1;
      if (end != std::string_view::npos) break;
    }
    ++number_;
    return line_;
  }

  /// Of the line that next() gave last, from 1.
  Index number() const { return number_; }

 private:
  static constexpr Index kPieceBytes = Index{1} << 20;
  static constexpr std::size_t kLongestLine = std::size_t{256} << 20;  // as a record of --input

  bool fill() {
    piece_.resize(static_cast<std::size_t>(std::clamp<Index>(file_->bytes() - offset_, 0, kPieceBytes)));
    piece_.resize(file_->read_at(offset_, piece_));
    offset_ += static_cast<Index>(piece_.size());
    next_ = 0;
    return !piece_.empty();
  }

  const std::string& path_;
  std::shared_ptr<const InputFile> file_;
  std::string piece_;
  std::string line_;
  std::size_t next_ = 0;  ///< of piece_
  Index offset_ = 0;
  Index number_ = 0;
};

/// A matrix that grows by lines of numbers, as far as every rank of the host can have it.
class MatrixReader {
 public:
  MatrixReader(const Communicator& comm, const std::string& path) : comm_(comm), path_(path) {}

  Matrix read() {
    constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
    Lines lines(path_);
    Index blank_line = 0;
    while (const auto line = lines.next()) {
      std::string_view text = *line;
      if (lines.number() == 1 && text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
      if (trimmed(text).empty()) {
        if (blank_line == 0) blank_line = lines.number();
        continue;
      }
      if (blank_line != 0)
        throw bad_input(path_ + ":" + std::to_string(blank_line) + ": expected numbers, got a blank line");
      add_row(text, path_ + ":" + std::to_string(lines.number()));
    }
    if (matrix_.rows == 0) throw bad_input(path_ + ": expected one row of numbers a line, got an empty file");
    return std::move(matrix_);
  }

 private:
  void add_row(std::string_view line, const std::string& place) {
    const Index fields = 1 + std::count(line.begin(), line.end(), ',');
    if (matrix_.rows > 0 && fields != matrix_.columns)
      throw bad_input(place + ": expected " + std::to_string(matrix_.columns) + " numbers, got " +
                      std::to_string(fields));
    make_room(static_cast<std::size_t>(fields));
    for (Index field = 1; field <= fields; ++field) {
      const auto comma = line.find(',');
      const std::string_view text = trimmed(line.substr(0, comma));
      const auto number = parse_number(text);
      if (!number)
        throw bad_input(place + ":" + std::to_string(field) + ": expected a finite number, got " +
                        quoted(text));
      matrix_.values.push_back(*number);
      if (field < fields) line.remove_prefix(comma + 1);
    }
    matrix_.columns = fields;
    ++matrix_.rows;
  }

  void make_room(std::size_t more) {
    auto& values = matrix_.values;
    if (values.size() + more <= values.capacity()) return;
    const std::size_t wanted = std::max(2 * values.capacity(), values.size() + more);
    require_memory(comm_, static_cast<double>(sizeof(double) * wanted), "the numbers of " + path_);
    values.reserve(wanted);
  }

  const Communicator& comm_;
  const std::string& path_;
  Matrix matrix_;
};

}  // namespace

Matrix read_matrix_file(const Context& context, const std::string& path) {
  Communicator& comm = context.comm();
  Matrix matrix =
      comm.collectively([&] { return context.rank() == 0 ? MatrixReader(comm, path).read() : Matrix{}; });
  std::array<Index, 2> shape{matrix.rows, matrix.columns};
  comm.broadcast(std::span<Index>(shape), 0);
  matrix.rows = shape[0];
  matrix.columns = shape[1];
  comm.collectively([&] { matrix.values.resize(static_cast<std::size_t>(matrix.rows * matrix.columns)); });
  comm.broadcast(std::span<double>(matrix.values), 0);
  return matrix;
}

}  // namespace firesteel::cli
