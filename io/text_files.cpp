// SPDX-License-Identifier: Apache-2.0
#include "firesteel/io/text_files.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <numeric>
#include <utility>

#include "firesteel/core/error.hpp"
#include "firesteel/io/number_reading.hpp"

namespace firesteel {

Index TextFiles::total_bytes() const { return std::accumulate(sizes.begin(), sizes.end(), Index{0}); }

TextFiles open_text_files(const Context& context, std::vector<std::string> paths) {
  Communicator& comm = context.comm();
  TextFiles files{std::move(paths), {}, {}};
  files.sizes.resize(files.paths.size());
  comm.collectively([&] {
    for (std::size_t i = 0; comm.rank() == 0 && i < files.paths.size(); ++i) {
      struct stat status {};
      if (::stat(files.paths[i].c_str(), &status) != 0)
        throw Error(ErrorCode::no_input, "cannot read '" + files.paths[i] + "': " + std::strerror(errno),
                    {static_cast<Index>(i), 0});
      files.sizes[i] = status.st_size;
    }
  });
  comm.broadcast(std::span(files.sizes), 0);
  files.compressed = index_compressed(context, files.paths, files.sizes);
  for (std::size_t i = 0; i < files.paths.size(); ++i)
    if (files.compressed[i]) files.sizes[i] = files.compressed[i]->text_bytes();
  return files;
}

TextReader::~TextReader() { close(); }

TextReader::TextReader(TextReader&& other) noexcept
    : files_(other.files_),
      file_(std::exchange(other.file_, -1)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      buffer_(std::move(other.buffer_)) {}

void TextReader::close() {
  if (descriptor_ >= 0) ::close(descriptor_);
  descriptor_ = -1;
  file_ = -1;
}

void TextReader::open(Index file) {
  if (file == file_) return;
  close();
  descriptor_ = ::open(files_->path(file).c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor_ < 0)
    throw Error(ErrorCode::no_input, "cannot read '" + files_->path(file) + "': " + std::strerror(errno),
                {file, 0});
  file_ = file;
}

std::span<const char> TextReader::read(Index file, Index begin, Index end) {
  const auto length = static_cast<std::size_t>(end - begin);
  if (buffer_.size() < length + 1 + kTextPadding) buffer_.resize(length + 1 + kTextPadding);
  if (const auto& compressed = files_->compressed[static_cast<std::size_t>(file)])
    compressed->read_text(begin, {buffer_.data(), length});
  else
    read_plain(file, begin, {buffer_.data(), length});
  std::memset(buffer_.data() + length, '\n', 1 + kTextPadding);
  return {buffer_.data(), length};
}

void TextReader::read_plain(Index file, Index begin, std::span<char> out) {
  open(file);
  const std::size_t length = out.size();
  std::size_t done = 0;
  while (done < length) {
    const ssize_t count =
        ::pread(descriptor_, out.data() + done, length - done, begin + static_cast<Index>(done));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0)
      throw Error(ErrorCode::io_failed, files_->path(file) + ": reading failed: " + std::strerror(errno),
                  {file, begin});
    if (count == 0)
      throw Error(ErrorCode::io_failed,
                  files_->path(file) + ": ends at byte " + std::to_string(begin + static_cast<Index>(done)) +
                      ", expected " + std::to_string(files_->size(file)) +
                      " bytes: it shrank while it was read",
                  {file, begin});
    done += static_cast<std::size_t>(count);
  }
}

Index count_line_breaks(std::span<const char> text) {
  // Byte counters, 32 side by side for at most 255 rounds, so that the loop is one vector comparison a step.
  constexpr std::size_t kLanes = 32;
  Index total = 0;
  std::size_t i = 0;
  while (text.size() - i >= kLanes) {
    std::array<unsigned char, kLanes> lanes{};
    const std::size_t rounds = std::min<std::size_t>(255, (text.size() - i) / kLanes);
    for (std::size_t round = 0; round < rounds; ++round, i += kLanes)
      for (std::size_t lane = 0; lane < kLanes; ++lane)
        lanes[lane] = static_cast<unsigned char>(lanes[lane] + (text[i + lane] == '\n'));
    total = std::accumulate(lanes.begin(), lanes.end(), total);
  }
  return total + std::count(text.begin() + static_cast<std::ptrdiff_t>(i), text.end(), '\n');
}

}  // namespace firesteel
