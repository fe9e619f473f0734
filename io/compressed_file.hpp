// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "firesteel/core/context.hpp"
#include "firesteel/core/index.hpp"
#include "firesteel/io/store.hpp"

namespace firesteel {

enum class Compression : std::int32_t { none, gzip, bzip2, xz, zstd };

/// What the first bytes of a file say; names play no part.
Compression compression_of(std::string_view first_bytes);
/// Throws 66 for a file whose few bytes are the begin of a compressed one's. Local.
void refuse_cut_short(const std::string& path, std::string_view whole_file, Index file);

/// The first bytes of the text in a compressed file, at most 4096; of a damaged file what can be had. Local.
std::string begin_of_text(const std::string& path, Index bytes, Compression compression);

/// The path without an ending that compressors add (.gz .bgz .bz2 .xz .zst, in any case).
std::string without_compression(const std::string& path);

/// A part of a compressed file that can be unpacked by itself: bgzip and zstd frames, xz and bzip2 blocks,
/// and of gzip what lies between two places where the state of the decoder was kept.
struct CompressedUnit {
  Index begin = 0;  ///< byte of the file
  Index end = 0;    ///< byte past it; of gzip where to stop reading at the latest
  Index text_begin = 0;
  Index text_bytes = 0;
  Index window = -1;           ///< gzip: number of the text that came before it; −1: a member begins here
  std::int32_t begin_bit = 0;  ///< bzip2: first bit within `begin`; gzip: bits of byte begin − 1 that belong
  std::int32_t end_bit = 0;    ///< bzip2: bits of byte `end` that belong; xz: kind of check
};

class Unpacker;

/// A compressed text that can be read at any place: from the begin of the unit that holds it, or from where a
/// decoder stands that came by before. Replicated but for the decoders, which are each rank's own. Threads
/// may read at the same time.
class CompressedFile {
 public:
  CompressedFile(std::string path, Index file, Index bytes, Compression compression);
  ~CompressedFile();

  const std::string& path() const { return path_; }
  Index file() const { return file_; }
  Index bytes() const { return bytes_; }
  Compression compression() const { return compression_; }
  Index text_bytes() const { return units.empty() ? 0 : units.back().text_begin + units.back().text_bytes; }

  /// Bytes [begin, begin + out.size()) of the text, which must be there. Throws 66 where the file is damaged
  /// or cut short, 74. Local.
  void read_text(Index begin, std::span<char> out) const;
  /// Bytes of the file itself. Throws 66 where they are not there, 74.
  void read_bytes(Index offset, std::span<unsigned char> out) const;
  /// Throws 66: the path, the byte, then `what`.
  [[noreturn]] void fail(Index offset, const std::string& what) const;

  /// A gzip window: up to 32 KiB of text.
  std::string_view window(Index number) const;

  std::vector<CompressedUnit> units;  ///< in the order of the text, which they cover
  std::vector<char> windows;
  std::vector<Index> window_ends;

 private:
  struct Decoder;
  std::unique_ptr<Decoder> take_decoder(std::size_t unit, Index place) const;
  void give_back(std::unique_ptr<Decoder> decoder) const;

  std::string path_;
  Index file_;
  Index bytes_;
  Compression compression_;
  mutable std::mutex mutex_;
  mutable std::shared_ptr<const InputFile> input_;
  mutable std::vector<std::unique_ptr<Decoder>> idle_;  // the longest unused first
};

/// Finds the units of the compressed ones among `paths` and the bytes of their text; nullptr for a plain
/// file. Sizes that a file claims are believed only as far as the format can reach with its bytes, and
/// checked when they are read. bzip2: all ranks search and measure blocks of each file; other files are dealt
/// to ranks, which unpack them whole where sizes are not written down (gzip, zstd from a pipe). Collective;
/// throws 66 with file and byte, 74.
std::vector<std::shared_ptr<const CompressedFile>> index_compressed(const Context& context,
                                                                    const std::vector<std::string>& paths,
                                                                    const std::vector<Index>& sizes);

}  // namespace firesteel
