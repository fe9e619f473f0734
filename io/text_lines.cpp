// SPDX-License-Identifier: Apache-2.0
#include "firesteel/io/text_lines.hpp"

#include <algorithm>
#include <array>

#include "firesteel/io/store.hpp"

namespace firesteel {

namespace detail {

namespace {

constexpr Index kBufferBytes = Index{1} << 20;

/// Newlines in a text; 16 at a time where the compiler sees it.
Index newlines_in(std::span<const char> text) {
  Index total = 0;
  constexpr std::size_t kPiece = 128;
  std::size_t i = 0;
  for (; i + kPiece <= text.size(); i += kPiece) {
    unsigned char found = 0;
    for (std::size_t j = 0; j < kPiece; ++j)
      found = static_cast<unsigned char>(found + (text[i + j] == '\n'));
    total += found;
  }
  return total + std::count(text.begin() + static_cast<std::ptrdiff_t>(i), text.end(), '\n');
}

}  // namespace

LineFile::LineFile(const std::string& path) : path_(path) {
  if (is_url(path)) path_ = shown_name(path);
  input_ = open_input(path_);
}

Index LineFile::bytes() const { return input_->bytes(); }

void LineFile::expect(Index begin, Index end) const { input_->expect(begin, end); }

void LineFile::read(Index offset, std::span<char> buffer) const {
  if (input_->read_at(offset, buffer) < buffer.size())
    throw Error(ErrorCode::io_failed, path_ + ": the file became shorter while it was read");
}

void LineFile::changed(Index first_row, Index found) const {
  throw Error(ErrorCode::io_failed, path_ + ": the file changed while it was read: expected " +
                                        std::to_string(std::min(block_rows_, rows_ - first_row)) +
                                        " lines from line " + std::to_string(first_row + 1) + ", got " +
                                        std::to_string(found - first_row));
}

Index LineFile::count_lines(Index begin, Index end) {
  first_starts_ = begin == 0 && end > 0;
  Index lines = first_starts_ ? 1 : 0;
  // A line starts after each newline, so look one byte back; nothing starts after the last byte.
  from_ = std::max<Index>(0, begin - 1);
  until_ = std::max(from_, end - 1);
  std::vector<char> buffer(static_cast<std::size_t>(std::min(kBufferBytes, until_ - from_)));
  for (Index offset = from_; offset < until_;) {
    const auto length = static_cast<std::size_t>(std::min(kBufferBytes, until_ - offset));
    read(offset, std::span(buffer).first(length));
    for (std::size_t i = 0; i < length; i += kStretch) {
      const auto stretch = std::span(buffer).subspan(i, std::min(length - i, std::size_t{kStretch}));
      const Index found = newlines_in(stretch);
      lines_of_stretch_.push_back(static_cast<std::uint16_t>(found));
      lines += found;
    }
    offset += static_cast<Index>(length);
  }
  return lines;
}

std::vector<Index> LineFile::starts_of(Index first_line, Index block_rows) {
  std::vector<Index> starts;
  const auto until_next = [&](Index line) { return (block_rows - line % block_rows) % block_rows; };
  Index line = first_line;  // the number of the next line that starts
  if (first_starts_ && line++ % block_rows == 0) starts.push_back(0);
  std::vector<char> buffer(kStretch);
  for (std::size_t i = 0; i < lines_of_stretch_.size(); ++i) {
    const Index found = lines_of_stretch_[i];
    if (until_next(line) < found) {
      const Index offset = from_ + static_cast<Index>(i) * kStretch;
      const auto text =
          std::span(buffer).first(static_cast<std::size_t>(std::min(kStretch, until_ - offset)));
      read(offset, text);
      if (newlines_in(text) != found)
        throw Error(ErrorCode::io_failed, path_ + ": the file changed while it was read");
      for (std::size_t j = 0; j < text.size(); ++j)
        if (text[j] == '\n' && line++ % block_rows == 0) starts.push_back(offset + static_cast<Index>(j) + 1);
    } else {
      line += found;
    }
  }
  lines_of_stretch_ = {};
  return starts;
}

void LineFile::set_blocks(std::vector<Index> starts, Index first_block, Index block_rows, Index rows) {
  starts_ = std::move(starts);
  first_block_ = first_block;
  block_rows_ = block_rows;
  rows_ = rows;
}

}  // namespace detail

Dataset<std::string_view, LinePipeline> read_line_views(const Context& context, const std::string& path) {
  Communicator& comm = context.comm();
  set_store_scratch(context.scratch());
  const auto file = comm.collectively([&] { return std::make_shared<detail::LineFile>(path); });
  std::array<std::int64_t, 2> sizes{file->bytes(), -file->bytes()};
  comm.allreduce_max(sizes);
  const Index bytes = sizes[0];
  const Index begin = bytes / comm.size() * comm.rank() + bytes % comm.size() * comm.rank() / comm.size();
  const int next = comm.rank() + 1;
  const Index end = bytes / comm.size() * next + bytes % comm.size() * next / comm.size();
  const Index own_lines = comm.collectively([&] {
    if (sizes[0] != -sizes[1])
      throw Error(ErrorCode::io_failed, path + ": ranks see files of different sizes, " +
                                            std::to_string(-sizes[1]) + " to " + std::to_string(sizes[0]) +
                                            " bytes");
    file->expect(begin, end);
    return file->count_lines(begin, end);
  });
  const Index first_line = comm.exclusive_scan(own_lines);
  const Index lines = comm.sum(own_lines);
  const Index block_rows = partition_rows(context, lines)->block_rows();

  // A block belongs to the rank whose range holds its first byte.
  auto starts = comm.collectively([&] { return file->starts_of(first_line, block_rows); });
  const auto counts = comm.allgather(static_cast<Index>(starts.size()));
  const auto firsts = comm.allgather(starts.empty() ? bytes : starts.front());
  return comm.collectively([&]() -> Dataset<std::string_view, LinePipeline> {
    std::vector<Index> cuts{0};
    for (const Index count : counts) cuts.push_back(cuts.back() + count);
    // The last own block ends where the next rank's first begins.
    Index next_start = bytes;
    for (std::size_t rank = firsts.size(); rank-- > static_cast<std::size_t>(comm.rank()) + 1;)
      if (counts[rank] > 0) next_start = firsts[rank];
    starts.push_back(next_start);
    file->set_blocks(std::move(starts), cuts[static_cast<std::size_t>(comm.rank())], block_rows, lines);
    auto partition = std::make_shared<const BlockPartition>(lines, block_rows, std::move(cuts));
    return {context, std::move(partition), LinePipeline{file}};
  });
}

Dataset<std::string> read_lines(const Context& context, const std::string& path) {
  return read_line_views(context, path).map([](std::string_view line) { return std::string(line); });
}

}  // namespace firesteel
