// SPDX-License-Identifier: Apache-2.0
#include "firesteel/io/array_file.hpp"

#include <algorithm>

#include "firesteel/core/error.hpp"
#include "firesteel/io/hdf5_image.hpp"

namespace firesteel {

namespace {

using namespace hdf5;

Datatype stored_type(const OutputArray& array) {
  switch (array.type) {
    case OutputArray::Type::real64:
      return Datatype(H5Tcopy(H5T_IEEE_F64LE));
    case OutputArray::Type::real32:
      return Datatype(H5Tcopy(H5T_IEEE_F32LE));
    case OutputArray::Type::int64:
      return Datatype(H5Tcopy(H5T_STD_I64LE));
    case OutputArray::Type::int32:
      return Datatype(H5Tcopy(H5T_STD_I32LE));
    case OutputArray::Type::text:
      return text_type(array.text_length);
  }
  throw internal_error("an output array of unknown type");
}

/// Lays out the arrays; returns where in the file each begins.
class Layout {
 public:
  Layout(std::string path, std::size_t array_bytes, std::size_t metadata_bytes, std::size_t alignment)
      : path_(std::move(path)) {
    const PropertyList creation = file_creation();
    const PropertyList access = file_access();
    if (alignment > 1) check(H5Pset_alignment(access, 4096, alignment) >= 0, "H5Pset_alignment");
    image_.use(access, array_bytes, metadata_bytes);
    file_ = File(H5Fcreate("arrays", H5F_ACC_TRUNC, creation, access));
    check(file_.valid(), "H5Fcreate");
  }

  Index add(const OutputArray& array) {
    make_groups(array.name);
    const std::vector<hsize_t> extents(array.shape.begin(), array.shape.end());
    const Dataspace space(H5Screate_simple(static_cast<int>(extents.size()), extents.data(), nullptr));
    const Datatype type = stored_type(array);
    const PropertyList creation = dataset_creation();
    check(space.valid() && type.valid(), "H5Screate_simple");
    // An object header holds attributes up to 64 KB; feature names may need more: dense storage at once.
    check(H5Pset_attr_phase_change(creation, 0, 0) >= 0, "H5Pset_attr_phase_change");
    Dataset dataset(H5Dcreate2(file_, array.name.c_str(), type, space, H5P_DEFAULT, creation, H5P_DEFAULT));
    check(dataset.valid(), "H5Dcreate2");
    if (std::find(extents.begin(), extents.end(), hsize_t{0}) != extents.end()) return 0;
    const haddr_t offset = H5Dget_offset(dataset);
    check(offset != HADDR_UNDEF, "H5Dget_offset");
    return static_cast<Index>(offset);
  }

  void add(const OutputAttribute& attribute) {
    const Object object(H5Oopen(file_, attribute.object.c_str(), H5P_DEFAULT));
    check(object.valid(), "H5Oopen");
    const hsize_t extent = static_cast<hsize_t>(column_size(attribute.values));
    const Dataspace space(H5Screate_simple(1, &extent, nullptr));
    check(space.valid(), "H5Screate_simple");
    if (const auto* texts = std::get_if<std::vector<std::string>>(&attribute.values)) {
      std::size_t longest = 1;
      for (const auto& text : *texts) longest = std::max(longest, text.size());
      std::string joined;
      for (const auto& text : *texts) joined += text + std::string(longest - text.size(), '\0');
      write_attribute(object, attribute.name, text_type(longest), space, joined.data());
    } else {
      write_attribute(object, attribute.name, Datatype(H5Tcopy(H5T_STD_I64LE)), space,
                      std::get<std::vector<std::int64_t>>(attribute.values).data());
    }
  }

  const Image& close() {
    check(file_.close(), "H5Fclose");
    return image_;
  }

 private:
  void check(bool good, const char* call) const {
    if (!good)
      throw Error(ErrorCode::io_failed, "writing " + path_ + " failed: " + last_error() + " (" + call +
                                            "); an older file stays as it was");
  }

  void make_groups(const std::string& name) {
    for (auto slash = name.find('/'); slash != std::string::npos; slash = name.find('/', slash + 1)) {
      const std::string group = name.substr(0, slash);
      if (group.empty() || H5Lexists(file_, group.c_str(), H5P_DEFAULT) > 0) continue;
      const PropertyList creation = group_creation();
      check(H5Pset_attr_phase_change(creation, 0, 0) >= 0, "H5Pset_attr_phase_change");
      check(Group(H5Gcreate2(file_, group.c_str(), H5P_DEFAULT, creation, H5P_DEFAULT)).valid(),
            "H5Gcreate2");
    }
  }

  void write_attribute(hid_t object, const std::string& name, const Datatype& type, hid_t space,
                       const void* values) {
    Attribute attribute(H5Acreate2(object, name.c_str(), type, space, H5P_DEFAULT, H5P_DEFAULT));
    check(attribute.valid(), "H5Acreate2");
    check(H5Awrite(attribute, type, values) >= 0, "H5Awrite");
    check(attribute.close(), "H5Aclose");
  }

  std::string path_;
  Image image_;  // before the file, which is closed into it
  File file_;
};

std::size_t array_bytes(const std::vector<OutputArray>& arrays) {
  std::size_t bytes = 0;
  for (const auto& array : arrays) {
    std::size_t count = array.value_bytes();
    for (const Index extent : array.shape) count *= static_cast<std::size_t>(extent);
    bytes += count;
  }
  return bytes;
}

/// More than HDF5 needs for what is not an array.
std::size_t metadata_bytes(const std::vector<OutputArray>& arrays,
                           const std::vector<OutputAttribute>& attributes) {
  std::size_t bytes = std::size_t{1} << 16;
  for (const auto& array : arrays) bytes += 4096 + 2 * array.name.size();
  for (const auto& attribute : attributes) {
    std::size_t longest = sizeof(std::int64_t);
    if (const auto* texts = std::get_if<std::vector<std::string>>(&attribute.values))
      for (const auto& text : *texts) longest = std::max(longest, text.size());
    bytes += 4096 + 2 * longest * static_cast<std::size_t>(column_size(attribute.values));
  }
  return bytes;
}

constexpr std::size_t kPieceBytes = std::size_t{4} << 20;

}  // namespace

std::size_t OutputArray::value_bytes() const {
  switch (type) {
    case Type::real64:
    case Type::int64:
      return 8;
    case Type::real32:
    case Type::int32:
      return 4;
    case Type::text:
      return std::max<std::size_t>(1, text_length);
  }
  throw internal_error("an output array of unknown type");
}

ArrayFile::ArrayFile(Communicator& comm, const std::string& path, const std::vector<OutputArray>& arrays,
                     const std::vector<OutputAttribute>& attributes, std::size_t alignment)
    : ArrayOutput(arrays), file_(comm, path) {
  comm.collectively([&] {
    offsets_.assign(arrays.size(), 0);
    if (comm.rank() != 0) return;
    const Quiet quiet;
    Layout layout(path, array_bytes(arrays), metadata_bytes(arrays, attributes), alignment);
    for (std::size_t i = 0; i < arrays.size(); ++i) offsets_[i] = layout.add(arrays[i]);
    for (const auto& attribute : attributes) layout.add(attribute);
    const Image& image = layout.close();
    file_.resize(static_cast<Index>(image.length()));
    file_.write_at(0, image.bytes());
  });
  comm.broadcast(std::span(offsets_), 0);
}

void ArrayFile::write(std::size_t array, Index first, std::span<const std::byte> bytes) {
  if (bytes.empty()) return;
  file_.write_at(offsets_[array] + first * value_bytes(array), bytes);
}

void ArrayOutput::write_texts(std::size_t array, Index first, std::span<const std::string> texts) {
  const std::size_t length = value_bytes_[array];
  const std::size_t step = std::max<std::size_t>(1, kPieceBytes / length);
  std::string joined;
  for (std::size_t begin = 0; begin < texts.size(); begin += step) {
    const std::size_t end = std::min(texts.size(), begin + step);
    joined.assign((end - begin) * length, '\0');
    for (std::size_t i = begin; i < end; ++i) texts[i].copy(joined.data() + (i - begin) * length, length);
    write(array, first + static_cast<Index>(begin), std::as_bytes(std::span(joined)));
  }
}

std::size_t longest_text(Communicator& comm, std::span<const std::string> texts) {
  std::int64_t longest = 1;
  for (const auto& text : texts) longest = std::max(longest, static_cast<std::int64_t>(text.size()));
  comm.allreduce_max(std::span(&longest, 1));
  return static_cast<std::size_t>(longest);
}

}  // namespace firesteel
