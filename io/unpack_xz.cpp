// SPDX-License-Identifier: Apache-2.0
// xz: streams of blocks, whose places and sizes stand in an index at the end of each stream.
#include <lzma.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <limits>
#include <new>
#include <string>

#include "firesteel/core/error.hpp"
#include "firesteel/io/unpack.hpp"

namespace firesteel {

namespace {

constexpr std::uint64_t kMostMemory = std::uint64_t{512} << 20;
/// LZMA2 makes at most 2 MiB of text of a chunk of no fewer than 6 bytes.
constexpr Index kMostExpansion = Index{1} << 19;

[[noreturn]] void damaged(const CompressedFile& file, Index offset, lzma_ret code) {
  if (code == LZMA_MEM_ERROR) throw std::bad_alloc();
  if (code == LZMA_MEMLIMIT_ERROR) file.fail(offset, "unpacking would take more than 512 MiB of memory");
  if (code == LZMA_OPTIONS_ERROR) file.fail(offset, "the xz data want a filter that is not known");
  file.fail(offset, offset >= file.bytes() - LZMA_STREAM_HEADER_SIZE
                        ? "the xz data have no proper end: the file is damaged or cut short"
                        : "the xz data are damaged");
}

class Filters {
 public:
  Filters() { list[0].id = LZMA_VLI_UNKNOWN; }
  Filters(const Filters&) = delete;
  Filters& operator=(const Filters&) = delete;
  ~Filters() { clear(); }
  void clear() {
    for (std::size_t i = 0; i < LZMA_FILTERS_MAX && list[i].id != LZMA_VLI_UNKNOWN; ++i)
      std::free(list[i].options);
    list[0].id = LZMA_VLI_UNKNOWN;
  }
  std::array<lzma_filter, LZMA_FILTERS_MAX + 1> list{};
};

class XzUnpacker final : public Unpacker {
 public:
  explicit XzUnpacker(const CompressedFile& file) : file_(file), input_(file) {}
  ~XzUnpacker() override { ::lzma_end(&stream_); }
  XzUnpacker(const XzUnpacker&) = delete;
  XzUnpacker& operator=(const XzUnpacker&) = delete;

  void start(const CompressedUnit& unit) override {
    begin_ = unit.begin;
    ended_ = false;
    input_.seek(unit.begin, unit.end);
    filters_.clear();
    block_ = {};
    block_.version = 1;
    block_.check = static_cast<lzma_check>(unit.end_bit);
    block_.filters = filters_.list.data();
    std::array<std::uint8_t, LZMA_BLOCK_HEADER_SIZE_MAX> header{};
    header[0] = input_.take();
    block_.header_size = lzma_block_header_size_decode(header[0]);
    for (std::uint32_t i = 1; i < block_.header_size; ++i) header[i] = input_.take();
    lzma_ret code = ::lzma_block_header_decode(&block_, nullptr, header.data());
    if (code != LZMA_OK) damaged(file_, begin_, code);
    if (::lzma_raw_decoder_memusage(filters_.list.data()) > kMostMemory)
      damaged(file_, begin_, LZMA_MEMLIMIT_ERROR);
    code = ::lzma_block_decoder(&stream_, &block_);
    if (code != LZMA_OK) damaged(file_, begin_, code);
  }

  std::size_t produce(std::span<char> out) override {
    std::size_t done = 0;
    while (done < out.size() && !ended_) {
      const bool more = input_.refill();
      stream_.next_in = input_.data();
      stream_.avail_in = input_.left();
      stream_.next_out = reinterpret_cast<std::uint8_t*>(out.data() + done);
      stream_.avail_out = out.size() - done;
      const lzma_ret code = ::lzma_code(&stream_, more ? LZMA_RUN : LZMA_FINISH);
      done = out.size() - stream_.avail_out;
      input_.consume(input_.left() - stream_.avail_in);
      if (code == LZMA_STREAM_END)
        ended_ = true;
      else if (code != LZMA_OK)
        // How far the decoder got depends on how much text was wanted at once, but for the end.
        damaged(file_, code == LZMA_BUF_ERROR ? input_.offset() : begin_, code);
    }
    return done;
  }

 private:
  const CompressedFile& file_;
  PackedInput input_;
  Filters filters_;
  lzma_block block_{};
  lzma_stream stream_ = LZMA_STREAM_INIT;
  Index begin_ = 0;
  bool ended_ = false;
};

/// The indexes of all streams of a file.
class XzIndex {
 public:
  explicit XzIndex(const CompressedFile& file) {
    lzma_stream stream = LZMA_STREAM_INIT;
    struct End {
      lzma_stream* stream;
      ~End() { ::lzma_end(stream); }
    } end{&stream};
    if (::lzma_file_info_decoder(&stream, &index, kMostMemory, static_cast<std::uint64_t>(file.bytes())) !=
        LZMA_OK)
      throw std::bad_alloc();
    PackedInput input(file);
    input.seek(0, file.bytes());
    for (;;) {
      const bool more = input.refill();
      stream.next_in = input.data();
      stream.avail_in = input.left();
      const lzma_ret code = ::lzma_code(&stream, more ? LZMA_RUN : LZMA_FINISH);
      input.consume(input.left() - stream.avail_in);
      if (code == LZMA_STREAM_END) return;
      if (code == LZMA_SEEK_NEEDED)
        input.seek(static_cast<Index>(stream.seek_pos), file.bytes());
      else if (code != LZMA_OK)
        damaged(file, file.bytes(), code);
    }
  }
  XzIndex(const XzIndex&) = delete;
  XzIndex& operator=(const XzIndex&) = delete;
  ~XzIndex() { ::lzma_index_end(index, nullptr); }

  lzma_index* index = nullptr;
};

}  // namespace

std::unique_ptr<Unpacker> make_xz_unpacker(const CompressedFile& file) {
  return std::make_unique<XzUnpacker>(file);
}

void index_xz(CompressedFile& file) {
  const XzIndex index(file);
  lzma_index_iter block;
  ::lzma_index_iter_init(&block, index.index);
  while (!::lzma_index_iter_next(&block, LZMA_INDEX_ITER_NONEMPTY_BLOCK)) {
    const auto begin = static_cast<Index>(block.block.compressed_file_offset);
    const auto bytes = static_cast<Index>(block.block.total_size);
    const auto text_bytes = static_cast<Index>(block.block.uncompressed_size);
    if (text_bytes / kMostExpansion > bytes)
      file.fail(begin, "the index claims " + std::to_string(text_bytes) + " bytes of text, more than " +
                           std::to_string(bytes) + " bytes can hold");
    file.units.push_back({.begin = begin,
                          .end = begin + bytes,
                          .text_begin = static_cast<Index>(block.block.uncompressed_file_offset),
                          .text_bytes = text_bytes,
                          .end_bit = static_cast<std::int32_t>(block.stream.flags->check)});
  }
}

}  // namespace firesteel
