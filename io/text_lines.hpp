// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "firesteel/core/dataset.hpp"

namespace firesteel {

class InputFile;

namespace detail {

/// A text file of which this rank knows where its own blocks of lines start. By any thread.
class LineFile {
 public:
  /// Throws 66 where the file cannot be read.
  explicit LineFile(const std::string& path);

  const std::string& path() const { return path_; }
  Index bytes() const;
  void expect(Index begin, Index end) const;

  /// The number of lines that start in [begin, end). Remembers what starts_of() needs. Throws 74.
  Index count_lines(Index begin, Index end);
  /// Offsets of the lines among those whose number, from first_line on, is a multiple of block_rows; the
  /// bytes that held none of them are not read again. Throws 74.
  std::vector<Index> starts_of(Index first_line, Index block_rows);
  /// Block first_block + i starts at byte starts[i] and ends at starts[i + 1]; of `rows` lines in all.
  void set_blocks(std::vector<Index> starts, Index first_block, Index block_rows, Index rows);

  /// Calls line(std::string_view) for each line of an own block, without its end; `cursor` names it. The text
  /// is gone afterwards.
  template <class Line>
  void for_each_line(Index block, Index first_row, RowCursor& cursor, Line&& line) const {
    const auto i = static_cast<std::size_t>(block - first_block_);
    const auto length = static_cast<std::size_t>(starts_[i + 1] - starts_[i]);
    const auto text = std::make_unique_for_overwrite<char[]>(length);
    read(starts_[i], {text.get(), length});
    cursor = {.file = &path_};
    Index row = first_row;
    const char* const end = text.get() + length;
    for (const char* from = text.get(); from != end; ++row) {
      const auto* const newline =
          static_cast<const char*>(std::memchr(from, '\n', static_cast<std::size_t>(end - from)));
      const char* const to = newline != nullptr ? newline : end;
      cursor.row = row;
      line(std::string_view(from,
                            static_cast<std::size_t>(to - from) - (to > from && to[-1] == '\r' ? 1 : 0)));
      from = newline != nullptr ? newline + 1 : end;
    }
    if (row != std::min(rows_, first_row + block_rows_)) changed(first_row, row);
  }

 private:
  void read(Index offset, std::span<char> buffer) const;
  [[noreturn]] void changed(Index first_row, Index found) const;

  std::string path_;
  std::shared_ptr<const InputFile> input_;
  std::vector<Index> starts_;
  Index first_block_ = 0;
  Index block_rows_ = 0;
  Index rows_ = 0;
  // What count_lines() has seen: starts of lines in each stretch of kStretch bytes from from_ on.
  static constexpr Index kStretch = 4096;
  Index from_ = 0;
  Index until_ = 0;
  bool first_starts_ = false;  ///< the first line of the file is among them
  std::vector<std::uint16_t> lines_of_stretch_;
};

}  // namespace detail

/// The lines of a LineFile.
struct LinePipeline {
  using value_type = std::string_view;
  static constexpr bool kOneToOne = true;

  std::shared_ptr<const detail::LineFile> file;

  template <class Sink>
  void run(Index block, Index first_row, RowCursor& cursor, Sink&& sink) const {
    file->for_each_line(block, first_row, cursor, sink);
  }
};

/// The lines of a text file, or of a URL (store.hpp), in order, without their ends ("\n" or "\r\n"); a last
/// line without an end counts. Every rank reads its own byte range: once now, to number the lines, and block
/// by block whenever an action runs, so that the file need not fit in memory. Errors of functions on lines
/// name file and line
/// ("words.txt:18: …"). Collective; throws 66 where the file cannot be read, 74 where reading fails midway or
/// the file has changed since. Cost: a sweep over the file; memory: 8 bytes a block, one block a thread.
Dataset<std::string> read_lines(const Context& context, const std::string& path);

/// The same without a text of its own for each line: views that are valid while the functions of the chain
/// run on their line. What is kept of them must be a text (map to std::string); the operations by key
/// (count_by_value, reduce_by_key, …) see to it themselves.
Dataset<std::string_view, LinePipeline> read_line_views(const Context& context, const std::string& path);

}  // namespace firesteel
