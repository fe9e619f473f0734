// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "firesteel/core/context.hpp"
#include "firesteel/core/index.hpp"
#include "firesteel/io/compressed_file.hpp"
#include "firesteel/io/store.hpp"

namespace firesteel {

/// Input files with the sizes they had when reading began; of compressed ones, sizes and places are those of
/// the text in them. Replicated.
struct TextFiles {
  std::vector<std::string> paths;
  std::vector<Index> sizes;
  std::vector<std::shared_ptr<const CompressedFile>> compressed;  ///< nullptr: plain text

  Index count() const { return static_cast<Index>(paths.size()); }
  const std::string& path(Index file) const { return paths[static_cast<std::size_t>(file)]; }
  Index size(Index file) const { return sizes[static_cast<std::size_t>(file)]; }
  Index total_bytes() const;
  /// Says that this rank will read bytes [begin, end) of a file; of a store they are fetched ahead. Local.
  void expect(Index file, Index begin, Index end) const;
};

/// Sizes are taken on rank 0; compressed files (compression_of) are made readable at any place
/// (index_compressed). Collective; throws 66.
TextFiles open_text_files(const Context& context, std::vector<std::string> paths);

/// Reads byte ranges of text files: a file that shrinks meanwhile is an error, not a signal. Keeps one file
/// open; one reader a thread. Compressed ranges are unpacked. Local.
class TextReader {
 public:
  explicit TextReader(const TextFiles& files) : files_(&files) {}
  TextReader(TextReader&& other) noexcept = default;
  TextReader(const TextReader&) = delete;
  TextReader& operator=(const TextReader&) = delete;

  /// Bytes [begin, end) of a file, followed by a line break and padding (see read_number). Valid until the
  /// next call. Throws 66, 74.
  std::span<const char> read(Index file, Index begin, Index end);

 private:
  void read_plain(Index file, Index begin, std::span<char> out);

  const TextFiles* files_;
  Index file_ = -1;
  std::shared_ptr<const InputFile> input_;
  std::vector<char> buffer_;
};

/// Number of line breaks in a text.
Index count_line_breaks(std::span<const char> text);

}  // namespace firesteel
