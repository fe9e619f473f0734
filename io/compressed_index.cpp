// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <limits>

#include "firesteel/core/error.hpp"
#include "firesteel/core/parallel.hpp"
#include "firesteel/io/unpack.hpp"

namespace firesteel {

namespace {

constexpr Index kMostGzipUnits = 2048;  // of all files: 64 MiB of windows
constexpr std::size_t kMagicBytes = 10;

std::size_t size(Index i) { return static_cast<std::size_t>(i); }

Compression look_at(const std::string& path, Index file, Index bytes) {
  const CompressedFile plain(path, file, bytes, Compression::none);
  std::string first(std::min(kMagicBytes, size(bytes)), '\0');
  plain.read_bytes(0, {reinterpret_cast<unsigned char*>(first.data()), first.size()});
  if (size(bytes) < kMagicBytes) refuse_cut_short(path, first, file);
  return compression_of(first);
}

/// Blocks of one file: ranks look for them in even shares of the bytes, then measure even shares of them.
void index_bzip2(const Context& context, CompressedFile& file) {
  Communicator& comm = context.comm();
  const auto share = [&](Index all, int rank) {
    return all / comm.size() * rank + all % comm.size() * rank / comm.size();
  };
  const Index begin = share(file.bytes(), comm.rank());
  const Index end = share(file.bytes(), comm.rank() + 1);
  const auto own_markers = comm.collectively([&] {
    constexpr Index kPieceBytes = Index{1} << 20;
    const Index pieces = (end - begin + kPieceBytes - 1) / kPieceBytes;
    std::vector<std::vector<Bzip2Marker>> found(size(pieces));
    parallel_for(context.threads(), pieces, [&](Index i, int) {
      const Index first = begin + i * kPieceBytes;
      found[size(i)] = find_bzip2_markers(file, first, std::min(end, first + kPieceBytes));
    });
    std::vector<Bzip2Marker> all;
    for (const auto& some : found) all.insert(all.end(), some.begin(), some.end());
    return all;
  });
  const auto markers = comm.allgatherv(std::span<const Bzip2Marker>(own_markers));
  const auto texts = comm.collectively([&] {
    file.units = bzip2_units(file, markers);
    const auto count = static_cast<Index>(file.units.size());
    const Index first = share(count, comm.rank());
    std::vector<Index> own(size(share(count, comm.rank() + 1) - first));
    parallel_for(context.threads(), static_cast<Index>(own.size()),
                 [&](Index i, int) { own[size(i)] = measure_unit(file, file.units[size(first + i)]); });
    return own;
  });
  const auto all_texts = comm.allgatherv(std::span<const Index>(texts));
  Index text = 0;
  for (std::size_t i = 0; i < file.units.size(); ++i) {
    file.units[i].text_begin = text;
    file.units[i].text_bytes = all_texts[i];
    text += all_texts[i];
  }
}

/// A unit at the file's begin, its end and size not known.
CompressedUnit first_unit(const CompressedFile& file, Index text_bytes) {
  CompressedUnit unit{.begin = 0, .end = file.bytes(), .text_begin = 0, .text_bytes = text_bytes};
  if (file.compression() == Compression::xz) {
    constexpr Index kHeaderBytes = 12;
    unsigned char kind_of_check = 0;
    file.read_bytes(7, std::span(&kind_of_check, 1));
    unit.begin = kHeaderBytes;
    unit.end_bit = kind_of_check & 0xf;
  } else if (file.compression() == Compression::bzip2) {
    constexpr Index kMostBlockBytes = Index{2} << 20;
    const auto markers = find_bzip2_markers(file, 0, std::min(file.bytes(), kMostBlockBytes));
    unit.begin = markers.at(0).bit / 8;
    unit.end = markers.at(1).bit / 8;
    unit.end_bit = static_cast<std::int32_t>(markers.at(1).bit % 8);
  }
  return unit;
}

template <class T>
void share_list(Communicator& comm, std::vector<T>& list, int owner) {
  const Index count = comm.broadcast_value(static_cast<Index>(list.size()), owner);
  comm.collectively([&] { list.resize(size(count)); });
  comm.broadcast(std::span(list), owner);
}

}  // namespace

std::string begin_of_text(const std::string& path, Index bytes, Compression compression) {
  constexpr std::size_t kBytes = 4096;
  const CompressedFile file(path, 0, bytes, compression);
  std::string text;
  try {
    const auto unpacker = make_unpacker(file);
    unpacker->start(first_unit(file, kBytes));
    // One at a time, as what comes before a fault is of use.
    for (char next = 0; text.size() < kBytes && unpacker->produce(std::span(&next, 1)) == 1;) text += next;
  } catch (const std::exception&) {
    // What is at fault is said when the file is read.
  }
  return text;
}

std::vector<std::shared_ptr<const CompressedFile>> index_compressed(const Context& context,
                                                                    const std::vector<std::string>& paths,
                                                                    const std::vector<Index>& sizes) {
  Communicator& comm = context.comm();
  std::vector<std::int64_t> kinds(paths.size(), 0);
  comm.collectively([&] {
    for (std::size_t i = size(comm.rank()); i < paths.size(); i += size(comm.size()))
      kinds[i] = static_cast<std::int64_t>(look_at(paths[i], static_cast<Index>(i), sizes[i]));
  });
  comm.allreduce_max(std::span(kinds));
  const auto gzips = std::count(kinds.begin(), kinds.end(), static_cast<std::int64_t>(Compression::gzip));
  const auto owner_of = [&](std::size_t i) { return static_cast<int>(i % size(comm.size())); };

  std::vector<std::shared_ptr<CompressedFile>> files(paths.size());
  comm.collectively([&] {
    for (std::size_t i = 0; i < paths.size(); ++i)
      if (kinds[i] != 0)
        files[i] = std::make_shared<CompressedFile>(paths[i], static_cast<Index>(i), sizes[i],
                                                    static_cast<Compression>(kinds[i]));
    std::vector<std::size_t> own;
    for (std::size_t i = 0; i < paths.size(); ++i)
      if (files[i] && owner_of(i) == comm.rank()) own.push_back(i);
    parallel_for(context.threads(), static_cast<Index>(own.size()), [&](Index i, int) {
      CompressedFile& file = *files[own[size(i)]];
      if (file.compression() == Compression::gzip)
        index_gzip(file, std::max<Index>(1, kMostGzipUnits / gzips));
      else if (file.compression() == Compression::xz)
        index_xz(file);
      else if (file.compression() == Compression::zstd)
        index_zstd(file);
    });
  });
  for (std::size_t i = 0; i < paths.size(); ++i) {
    if (!files[i]) continue;
    if (files[i]->compression() == Compression::bzip2) {
      index_bzip2(context, *files[i]);
      continue;
    }
    share_list(comm, files[i]->units, owner_of(i));
    share_list(comm, files[i]->windows, owner_of(i));
    share_list(comm, files[i]->window_ends, owner_of(i));
  }
  return {files.begin(), files.end()};
}

}  // namespace firesteel
