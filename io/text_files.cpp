// SPDX-License-Identifier: Apache-2.0
#include "firesteel/io/text_files.hpp"

#include <algorithm>
#include <array>
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
    for (std::size_t i = 0; comm.rank() == 0 && i < files.paths.size(); ++i)
      files.sizes[i] = open_input(files.paths[i], static_cast<Index>(i))->bytes();
  });
  comm.broadcast(std::span(files.sizes), 0);
  files.compressed = index_compressed(context, files.paths, files.sizes);
  for (std::size_t i = 0; i < files.paths.size(); ++i)
    if (files.compressed[i]) files.sizes[i] = files.compressed[i]->text_bytes();
  return files;
}

void TextFiles::expect(Index file, Index begin, Index end) const {
  if (begin < end && !compressed[static_cast<std::size_t>(file)] && is_url(path(file)))
    open_input(path(file), file)->expect(begin, end);
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
  if (file != file_) {
    input_ = open_input(files_->path(file), file);
    file_ = file;
  }
  const std::size_t done = input_->read_at(begin, out, file);
  if (done < out.size())
    throw Error(ErrorCode::io_failed,
                files_->path(file) + ": ends at byte " + std::to_string(begin + static_cast<Index>(done)) +
                    ", expected " + std::to_string(files_->size(file)) +
                    " bytes: it shrank while it was read",
                {file, begin});
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
