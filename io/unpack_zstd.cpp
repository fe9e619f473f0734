// SPDX-License-Identifier: Apache-2.0
// Zstandard (RFC 8878): frames one after another, each of blocks that say their length.
#include <zstd.h>

#include <algorithm>
#include <new>

#include "firesteel/core/error.hpp"
#include "firesteel/io/unpack.hpp"

namespace firesteel {

namespace {

constexpr Index kMostBlockText = Index{128} << 10;

class ZstdUnpacker final : public Unpacker {
 public:
  explicit ZstdUnpacker(const CompressedFile& file)
      : file_(file), input_(file), stream_(::ZSTD_createDStream(), ::ZSTD_freeDStream) {
    if (!stream_) throw std::bad_alloc();
  }

  void start(const CompressedUnit& unit) override {
    input_.seek(unit.begin, unit.end);
    ::ZSTD_initDStream(stream_.get());
    at_end_ = true;
  }

  std::size_t produce(std::span<char> out) override {
    ZSTD_outBuffer text{out.data(), out.size(), 0};
    while (text.pos < text.size) {
      const bool more = input_.refill();
      if (!more && at_end_) break;
      ZSTD_inBuffer packed{input_.data(), input_.left(), 0};
      const std::size_t before = text.pos;
      const std::size_t code = ::ZSTD_decompressStream(stream_.get(), &text, &packed);
      if (::ZSTD_isError(code) != 0)
        file_.fail(input_.offset(), "the zstd data are damaged");  // its reason varies with the pieces
      input_.consume(packed.pos);
      at_end_ = code == 0;
      if (!more && text.pos == before && !at_end_) input_.cut_short();
    }
    return text.pos;
  }

 private:
  const CompressedFile& file_;
  PackedInput input_;
  std::unique_ptr<ZSTD_DStream, std::size_t (*)(ZSTD_DStream*)> stream_;
  bool at_end_ = true;
};

Index little_endian(PackedInput& input, int bytes) {
  std::uint64_t value = 0;
  for (int i = 0; i < bytes; ++i) value |= std::uint64_t{input.take()} << (8 * i);
  return static_cast<Index>(value);
}

/// What a frame's header says of its text; −1: nothing.
struct FrameHeader {
  Index text_bytes = -1;
  bool checksum = false;
};

FrameHeader read_frame_header(PackedInput& input) {
  const unsigned descriptor = input.take();
  const bool single_segment = (descriptor & 0x20) != 0;
  if (!single_segment) input.skip(1);
  constexpr int kDictionaryBytes[] = {0, 1, 2, 4};
  input.skip(kDictionaryBytes[descriptor & 3]);
  const int size_bytes = (descriptor >> 6) == 0 ? (single_segment ? 1 : 0) : 1 << (descriptor >> 6);
  FrameHeader header{.checksum = (descriptor & 4) != 0};
  if (size_bytes > 0) header.text_bytes = little_endian(input, size_bytes) + (size_bytes == 2 ? 256 : 0);
  return header;
}

/// Steps over a frame's blocks; returns their number.
Index skip_blocks(const CompressedFile& file, PackedInput& input) {
  for (Index blocks = 1;; ++blocks) {
    const Index place = input.offset();
    const Index header = little_endian(input, 3);
    const Index type = (header >> 1) & 3;
    const Index bytes = header >> 3;
    if (type == 3) file.fail(place, "the zstd data are damaged (a block of no known type)");
    input.skip(type == 1 ? 1 : bytes);
    if ((header & 1) != 0) return blocks;
  }
}

}  // namespace

std::unique_ptr<Unpacker> make_zstd_unpacker(const CompressedFile& file) {
  return std::make_unique<ZstdUnpacker>(file);
}

void index_zstd(CompressedFile& file) {
  std::vector<CompressedUnit> units;
  PackedInput input(file);
  input.seek(0, file.bytes());
  Index text = 0;
  while (input.refill()) {
    const Index begin = input.offset();
    const auto magic = static_cast<std::uint32_t>(little_endian(input, 4));
    if ((magic & 0xfffffff0U) == 0x184d2a50U) {  // to be skipped
      input.skip(little_endian(input, 4));
      continue;
    }
    if (magic != 0xfd2fb528U)
      file.fail(begin, "expected the file's end or another zstd frame, got something else");
    const FrameHeader header = read_frame_header(input);
    const Index blocks = skip_blocks(file, input);
    input.skip(header.checksum ? 4 : 0);
    CompressedUnit unit{.begin = begin, .end = input.offset(), .text_begin = text};
    unit.text_bytes = header.text_bytes;
    if (header.text_bytes < 0)
      unit.text_bytes = measure_unit(file, unit);
    else if (header.text_bytes / kMostBlockText > blocks)
      file.fail(begin, "the frame claims " + std::to_string(header.text_bytes) + " bytes of text in " +
                           std::to_string(blocks) + " blocks of at most 131072");
    text += unit.text_bytes;
    append_unit(units, unit);
  }
  file.units = std::move(units);
}

}  // namespace firesteel
