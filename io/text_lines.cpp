// SPDX-License-Identifier: Apache-2.0
#include "firesteel/io/text_lines.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>

#include "firesteel/io/store.hpp"

namespace firesteel {

namespace {

constexpr Index kBufferBytes = Index{1} << 20;

/// A file open for reading.
class File {
 public:
  explicit File(const std::string& path) : path_(path) {
    if (is_url(path)) {
      path_ = shown_name(path);
    } else {
      struct stat status {};
      if (::stat(path.c_str(), &status) != 0)
        throw Error(ErrorCode::no_input, path + ": " + std::strerror(errno));
      if (!S_ISREG(status.st_mode)) throw Error(ErrorCode::no_input, path + ": expected a regular file");
    }
    input_ = open_input(path_);
  }

  const std::string& path() const { return path_; }
  Index bytes() const { return input_->bytes(); }
  void expect(Index begin, Index end) const { input_->expect(begin, end); }

  /// Fills `buffer` from `offset`.
  void read(Index offset, std::span<char> buffer) const {
    if (input_->read_at(offset, buffer) < buffer.size())
      throw Error(ErrorCode::io_failed, path_ + ": the file became shorter while it was read");
  }

  /// Calls body(offset) for each line that starts in [begin, end).
  template <class Body>
  void for_each_line_start(Index begin, Index end, Body&& body) const {
    if (begin == 0 && end > 0) body(Index{0});
    std::vector<char> buffer(
        static_cast<std::size_t>(std::min(kBufferBytes, std::max<Index>(0, end - begin))));
    // A line starts after each newline, so look one byte back; nothing starts after the last byte.
    Index offset = std::max<Index>(0, begin - 1);
    while (offset < end - 1) {
      const auto length = static_cast<std::size_t>(std::min(kBufferBytes, end - 1 - offset));
      read(offset, std::span(buffer).first(length));
      const char* const first = buffer.data();
      for (const char* at = first; (at = find_newline(at, first + length)) != nullptr; ++at)
        body(offset + (at - first) + 1);
      offset += static_cast<Index>(length);
    }
  }

 private:
  static const char* find_newline(const char* from, const char* end) {
    return from == end
               ? nullptr
               : static_cast<const char*>(std::memchr(from, '\n', static_cast<std::size_t>(end - from)));
  }

  std::string path_;
  std::shared_ptr<const InputFile> input_;
};

/// Reads a block of lines when it is asked for.
class LineSource final : public BlockSource<std::string> {
 public:
  /// Block first_block + i starts at byte starts[i] and ends at starts[i + 1].
  LineSource(std::shared_ptr<const File> file, std::vector<Index> starts, Index first_block, Index block_rows,
             Index rows)
      : file_(std::move(file)),
        starts_(std::move(starts)),
        first_block_(first_block),
        block_rows_(block_rows),
        rows_(rows) {}

  void read(Index block, RowCursor&, BlockRows<std::string>& rows) const override {
    const auto i = static_cast<std::size_t>(block - first_block_);
    std::vector<char> text(static_cast<std::size_t>(starts_[i + 1] - starts_[i]));
    file_->read(starts_[i], text);
    rows.file = &file_->path();
    for (std::string_view rest(text.data(), text.size()); !rest.empty();) {
      const auto end = rest.find('\n');
      std::string_view line = rest.substr(0, end);
      if (line.ends_with('\r')) line.remove_suffix(1);
      rows.values.emplace_back(line);
      rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    }
    const Index expected = std::min(block_rows_, rows_ - rows.first_row);
    if (static_cast<Index>(rows.values.size()) != expected)
      throw Error(ErrorCode::io_failed, file_->path() + ": the file changed while it was read: expected " +
                                            std::to_string(expected) + " lines from line " +
                                            std::to_string(rows.first_row + 1) + ", got " +
                                            std::to_string(rows.values.size()));
  }

 private:
  std::shared_ptr<const File> file_;
  std::vector<Index> starts_;
  Index first_block_;
  Index block_rows_;
  Index rows_;
};

}  // namespace

Dataset<std::string> read_lines(const Context& context, const std::string& path) {
  Communicator& comm = context.comm();
  set_store_scratch(context.scratch());
  const auto file = comm.collectively([&] { return std::make_shared<const File>(path); });
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
    Index lines = 0;
    file->for_each_line_start(begin, end, [&](Index) { ++lines; });
    return lines;
  });
  const Index first_line = comm.exclusive_scan(own_lines);
  const Index lines = comm.sum(own_lines);
  const Index block_rows = partition_rows(context, lines)->block_rows();

  // A block belongs to the rank whose range holds its first byte.
  auto starts = comm.collectively([&] {
    std::vector<Index> own;
    Index line = first_line;
    file->for_each_line_start(begin, end, [&](Index offset) {
      if (line++ % block_rows == 0) own.push_back(offset);
    });
    if (line != first_line + own_lines)
      throw Error(ErrorCode::io_failed, path + ": the file changed while it was read");
    return own;
  });
  const auto counts = comm.allgather(static_cast<Index>(starts.size()));
  const auto firsts = comm.allgather(starts.empty() ? bytes : starts.front());
  return comm.collectively([&]() -> Dataset<std::string> {
    std::vector<Index> cuts{0};
    for (const Index count : counts) cuts.push_back(cuts.back() + count);
    // The last own block ends where the next rank's first begins.
    Index next_start = bytes;
    for (std::size_t rank = firsts.size(); rank-- > static_cast<std::size_t>(comm.rank()) + 1;)
      if (counts[rank] > 0) next_start = firsts[rank];
    starts.push_back(next_start);
    const Index first_block = cuts[static_cast<std::size_t>(comm.rank())];
    auto partition = std::make_shared<const BlockPartition>(lines, block_rows, std::move(cuts));
    auto source = std::make_shared<const LineSource>(file, std::move(starts), first_block, block_rows, lines);
    return {context, std::move(partition), ErasedPipeline<std::string>{std::move(source)}};
  });
}

}  // namespace firesteel
