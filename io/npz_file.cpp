// SPDX-License-Identifier: Apache-2.0
// Writing .npy and .npz: a zip archive (APPNOTE 6.3) with 64-bit sizes, as NumPy itself writes it.
#include <zlib.h>

#include <algorithm>
#include <functional>
#include <numeric>

#include "firesteel/core/error.hpp"
#include "firesteel/io/array_file.hpp"
#include "firesteel/io/numpy_array.hpp"

namespace firesteel {

namespace {

constexpr Index kLocalHeaderBytes = 30;
constexpr Index kExtraBytes = 20;  // two 64-bit sizes in a local header
constexpr std::uint64_t kMostNarrow = 0xffffffff;

void put(std::string& out, std::uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) out += static_cast<char>((value >> (8 * i)) & 0xff);
}

std::string descr_of(const OutputArray& array) {
  switch (array.type) {
    case OutputArray::Type::real64:
      return "<f8";
    case OutputArray::Type::real32:
      return "<f4";
    case OutputArray::Type::int64:
      return "<i8";
    case OutputArray::Type::int32:
      return "<i4";
    case OutputArray::Type::text:
      return "|S" + std::to_string(array.value_bytes());
  }
  throw internal_error("an output array of unknown type");
}

std::span<const std::byte> bytes_of(const std::string& text) { return std::as_bytes(std::span(text)); }

/// CRC-32 of more bytes than zlib takes in one call.
std::uint32_t sum_of(std::uint32_t sum, std::span<const std::byte> bytes) {
  return static_cast<std::uint32_t>(
      ::crc32_z(sum, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

/// What a local header and an entry of the directory have in common, from the version that is needed on.
std::string entry(std::uint32_t sum, std::size_t name_bytes) {
  std::string text;
  put(text, 45, 2);      // version 4.5
  put(text, 0, 2);       // flags
  put(text, 0, 2);       // stored
  put(text, 0, 2);       // time
  put(text, 0x0021, 2);  // 1 January 1980, the first day there is: bytes depend on no clock
  put(text, sum, 4);
  put(text, kMostNarrow, 4);  // both sizes stand in the extra field
  put(text, kMostNarrow, 4);
  put(text, name_bytes, 2);
  return text;
}

std::string array_text(const std::vector<std::string>& texts, std::size_t& longest) {
  longest = 1;
  for (const auto& text : texts) longest = std::max(longest, text.size());
  std::string joined;
  for (const auto& text : texts) joined += text + std::string(longest - text.size(), '\0');
  return joined;
}

}  // namespace

NpzFile::NpzFile(Communicator& comm, const std::string& path, std::vector<OutputArray> arrays,
                 const std::vector<OutputAttribute>& attributes)
    : ArrayOutput(arrays), comm_(comm), whole_(path.ends_with(".npy")), file_(comm, path) {
  comm.collectively([&] {
    for (const auto& array : arrays) {
      const std::string name = array.name.substr(array.name.rfind('/') + 1);
      const Index values =
          std::accumulate(array.shape.begin(), array.shape.end(), Index{1}, std::multiplies<>());
      add(name, descr_of(array), array.shape, values * static_cast<Index>(array.value_bytes()));
    }
    if (whole_) return;
    const auto write_whole = [&](const std::string& name, const std::string& descr,
                                 const std::vector<Index>& shape, const std::string& bytes) {
      add(name, descr, shape, static_cast<Index>(bytes.size()));
      if (comm.rank() == 0) write_member(members_.back(), 0, bytes_of(bytes));
    };
    for (const auto& attribute : attributes) {
      std::size_t longest = 8;
      if (const auto* texts = std::get_if<std::vector<std::string>>(&attribute.values)) {
        const std::string joined = array_text(*texts, longest);
        write_whole(attribute.name, "|S" + std::to_string(longest), {column_size(attribute.values)}, joined);
      } else {
        std::string joined;
        for (const auto value : std::get<std::vector<std::int64_t>>(attribute.values))
          put(joined, static_cast<std::uint64_t>(value), 8);
        write_whole(attribute.name, "<i8", {column_size(attribute.values)}, joined);
        if (attribute.name == "shape") write_whole("format", "|S3", {}, "csr");
      }
    }
  });
}

void NpzFile::add(const std::string& name, const std::string& descr, const std::vector<Index>& shape,
                  Index bytes) {
  if (whole_ && !members_.empty()) throw internal_error("a .npy file holds one array");
  Member member{.name = name + ".npy", .header = make_numpy_header(descr, shape), .local_header = end_};
  if (!whole_) end_ += kLocalHeaderBytes + static_cast<Index>(member.name.size()) + kExtraBytes;
  end_ += static_cast<Index>(member.header.size());
  member.data = end_;
  member.data_bytes = bytes;
  end_ += bytes;
  members_.push_back(std::move(member));
}

void NpzFile::write_member(Member& member, Index offset, std::span<const std::byte> bytes) {
  file_.write_at(member.data + offset, bytes);
  member.sum = sum_of(member.sum, bytes);
  member.written += static_cast<Index>(bytes.size());
}

void NpzFile::write(std::size_t array, Index first, std::span<const std::byte> bytes) {
  if (!bytes.empty()) write_member(members_[array], first * value_bytes(array), bytes);
}

void NpzFile::commit() {
  // The ranks' parts of an array follow one another, and so do their sums.
  struct Part {
    Index sum;
    Index bytes;
  };
  std::vector<Part> own;
  for (const auto& member : members_) own.push_back({member.sum, member.written});
  const auto all = comm_.gatherv(std::span<const Part>(own), 0);
  comm_.collectively([&] {
    if (comm_.rank() != 0) return;
    std::string directory;
    for (std::size_t i = 0; i < members_.size(); ++i) {
      const Member& member = members_[i];
      if (whole_) {
        file_.write_at(0, bytes_of(member.header));
        return file_.resize(end_);
      }
      auto sum = static_cast<uLong>(sum_of(0, bytes_of(member.header)));
      for (std::size_t rank = 0; rank < static_cast<std::size_t>(comm_.size()); ++rank) {
        const Part& part = all[rank * members_.size() + i];
        sum = ::crc32_combine(sum, static_cast<uLong>(part.sum), static_cast<z_off_t>(part.bytes));
      }
      const Index bytes = static_cast<Index>(member.header.size()) + member.data_bytes;
      std::string local;
      put(local, 0x04034b50, 4);
      local += entry(static_cast<std::uint32_t>(sum), member.name.size());
      put(local, kExtraBytes, 2);
      local += member.name;
      put(local, 1, 2);  // sizes of 64 bits
      put(local, 16, 2);
      put(local, static_cast<std::uint64_t>(bytes), 8);
      put(local, static_cast<std::uint64_t>(bytes), 8);
      file_.write_at(member.local_header, bytes_of(local + member.header));

      put(directory, 0x02014b50, 4);
      put(directory, 45, 2);  // made by version 4.5
      directory += entry(static_cast<std::uint32_t>(sum), member.name.size());
      put(directory, 28, 2);  // bytes of the extra field
      put(directory, 0, 2);   // no comment
      put(directory, 0, 2);   // first disk
      put(directory, 0, 2);
      put(directory, 0, 4);
      put(directory, kMostNarrow, 4);
      directory += member.name;
      put(directory, 1, 2);
      put(directory, 24, 2);
      put(directory, static_cast<std::uint64_t>(bytes), 8);
      put(directory, static_cast<std::uint64_t>(bytes), 8);
      put(directory, static_cast<std::uint64_t>(member.local_header), 8);
    }
    const auto count = members_.size();
    const auto directory_bytes = directory.size();
    std::string end;
    put(end, 0x06064b50, 4);
    put(end, 44, 8);
    put(end, 45, 2);
    put(end, 45, 2);
    put(end, 0, 4);
    put(end, 0, 4);
    put(end, count, 8);
    put(end, count, 8);
    put(end, directory_bytes, 8);
    put(end, static_cast<std::uint64_t>(end_), 8);
    put(end, 0x07064b50, 4);
    put(end, 0, 4);
    put(end, static_cast<std::uint64_t>(end_) + directory_bytes, 8);
    put(end, 1, 4);
    put(end, 0x06054b50, 4);
    put(end, 0, 4);
    put(end, count, 2);
    put(end, count, 2);
    put(end, kMostNarrow, 4);
    put(end, kMostNarrow, 4);
    put(end, 0, 2);
    file_.write_at(end_, bytes_of(directory + end));
    file_.resize(end_ + static_cast<Index>(directory.size() + end.size()));
  });
  file_.commit();
}

}  // namespace firesteel
