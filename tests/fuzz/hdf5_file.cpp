// SPDX-License-Identifier: Apache-2.0
#include "hdf5_file.hpp"

#include <algorithm>
#include <cstring>

namespace firesteel::fuzz {

namespace {

constexpr int kMostObjects = 24;
constexpr std::size_t kMostChunk = std::size_t{1} << 20;
constexpr hsize_t kMostWritten = 4096;  // values of an array that are really stored

hid_t text_of_length(std::size_t length) {
  const hid_t type = H5Tcopy(H5T_C_S1);
  H5Tset_size(type, length);
  return type;
}

/// The type is the caller's to close.
hid_t make_type(Choices& choices) {
  switch (choices.below(20)) {
    case 0:
    case 1:
    case 2:
      return H5Tcopy(H5T_IEEE_F64LE);
    case 3:
    case 4:
      return H5Tcopy(H5T_STD_I64LE);
    case 5:
      return H5Tcopy(H5T_IEEE_F32BE);
    case 6:
      return H5Tcopy(H5T_STD_I8LE);
    case 7:
      return H5Tcopy(H5T_STD_U64LE);
    case 8:
      return H5Tcopy(H5T_STD_U16BE);
    case 9:
      return text_of_length(1 + choices.below(9));
    case 10:
      return text_of_length(H5T_VARIABLE);
    case 11: {
      const hid_t type = text_of_length(4);
      H5Tset_strpad(type, choices.flag() ? H5T_STR_SPACEPAD : H5T_STR_NULLPAD);
      return type;
    }
    case 12: {  // a number of any bits in any place
      const hid_t type = H5Tcopy(choices.flag() ? H5T_IEEE_F64LE : H5T_STD_I32LE);
      H5Tset_precision(type, 1 + choices.below(64));
      H5Tset_offset(type, choices.below(16));
      return type;
    }
    case 13: {
      const hid_t type = H5Tenum_create(H5T_NATIVE_INT);
      const int zero = 0;
      H5Tenum_insert(type, "FALSE", &zero);
      return type;
    }
    case 14: {
      const hid_t type = H5Tcreate(H5T_COMPOUND, 16);
      H5Tinsert(type, "a", choices.below(8), H5T_IEEE_F64LE);
      return type;
    }
    case 15:
      return H5Tvlen_create(H5T_STD_I64LE);
    case 16: {
      const hsize_t extent = 1 + choices.below(5);
      return H5Tarray_create2(H5T_IEEE_F64LE, 1, &extent);
    }
    case 17:
      return H5Tcreate(H5T_OPAQUE, 1 + choices.below(30));
    case 18:
      return text_of_length(std::size_t{1} << (8 + choices.below(12)));  // HDF5 writes values whole
    default:
      return H5Tcopy(H5T_NATIVE_LDOUBLE);
  }
}

hsize_t extent(Choices& choices) {
  static constexpr hsize_t kExtents[] = {2,
                                         3,
                                         2,
                                         3,
                                         1,
                                         4,
                                         5,
                                         0,
                                         33,
                                         1000,
                                         65536,
                                         hsize_t{1} << 20,
                                         hsize_t{1} << 31,
                                         hsize_t{1} << 32,
                                         hsize_t{1} << 40,
                                         hsize_t{1} << 61,
                                         hsize_t{1} << 62,
                                         (hsize_t{1} << 63) - 1};
  return choices.one_of(kExtents);
}

hid_t make_space(Choices& choices, hsize_t& count, std::vector<hsize_t>& extents) {
  static constexpr int kRanks[] = {1, 1, 2, 2, 2, 0, 3, 5};
  extents.assign(static_cast<std::size_t>(choices.one_of(kRanks)), 0);
  count = 1;
  for (auto& one : extents) {
    one = extent(choices);
    count = one != 0 && count > kMostWritten / one ? kMostWritten + 1 : count * one;
  }
  if (extents.empty()) return H5Screate(choices.flag() ? H5S_SCALAR : H5S_NULL);
  return H5Screate_simple(static_cast<int>(extents.size()), extents.data(), nullptr);
}

void set_storage(Choices& choices, hid_t creation, const std::vector<hsize_t>& extents) {
  const std::size_t storage = choices.below(8);
  if (storage == 0) H5Pset_layout(creation, H5D_COMPACT);
  if (storage == 1) H5Pset_external(creation, "/etc/hostname", 0, 1 << 20);
  if (storage == 2 && !extents.empty()) {
    const hid_t space = H5Screate_simple(static_cast<int>(extents.size()), extents.data(), nullptr);
    H5Pset_virtual(creation, space, choices.flag() ? "." : "/etc/hostname", "/features", space);
    H5Sclose(space);
  }
  if (storage < 3 || storage > 5 || extents.empty()) return;
  std::vector<hsize_t> chunk = extents;
  for (auto& one : chunk)
    one = choices.flag() ? std::max<hsize_t>(1, std::min<hsize_t>(one, 7)) : extent(choices);
  H5Pset_chunk(creation, static_cast<int>(chunk.size()), chunk.data());
  const std::uint8_t filters = choices.byte();
  if ((filters & 1) != 0) H5Pset_shuffle(creation);
  if ((filters & 2) != 0) H5Pset_deflate(creation, 6);
  if ((filters & 4) != 0) H5Pset_fletcher32(creation);
  if ((filters & 8) != 0) H5Pset_nbit(creation);
  if ((filters & 16) != 0) H5Pset_scaleoffset(creation, H5Z_SO_INT, H5Z_SO_INT_MINBITS_DEFAULT);
  if ((filters & 32) != 0) H5Pset_filter(creation, 32000, H5Z_FLAG_OPTIONAL, 0, nullptr);
}

/// Values as bytes of the input, small whole numbers mostly, so that lists of pointers are now and then
/// right.
std::vector<char> make_values(Choices& choices, hid_t type, hsize_t count, std::string& text) {
  const std::size_t bytes = H5Tget_size(type);
  if (bytes > (std::size_t{1} << 22) / std::max<hsize_t>(1, count)) return {};
  std::vector<char> values(static_cast<std::size_t>(count) * bytes);
  if (H5Tget_class(type) == H5T_VLEN) return {};
  if (H5Tis_variable_str(type) > 0) {  // all the same text
    text = choices.bytes(1 + choices.below(16));
    const char* pointer = text.c_str();
    for (std::size_t i = 0; i < count; ++i) std::memcpy(values.data() + i * bytes, &pointer, sizeof pointer);
    return values;
  }
  const bool raw = choices.flag();
  for (std::size_t i = 0; i < std::min<hsize_t>(count, 64); ++i) {
    const std::uint8_t byte = choices.byte();
    const auto whole = static_cast<std::int64_t>(static_cast<std::int8_t>(byte));
    const auto real = static_cast<double>(whole) / 2;
    char* place = values.data() + i * bytes;
    if (raw)
      std::fill_n(place, bytes, static_cast<char>(byte));
    else if (H5Tget_class(type) == H5T_FLOAT && bytes == 8)
      std::memcpy(place, &real, 8);
    else
      std::memcpy(place, &whole, std::min<std::size_t>(8, bytes));
  }
  return values;
}

/// Of a chunk, which HDF5 stores whole for one value; 0 where there are no chunks.
std::size_t chunk_bytes(hid_t creation, hid_t type) {
  if (H5Pget_layout(creation) != H5D_CHUNKED) return 0;
  hsize_t chunk[H5S_MAX_RANK];
  const int rank = H5Pget_chunk(creation, H5S_MAX_RANK, chunk);
  std::size_t bytes = H5Tget_size(type);
  for (int i = 0; i < rank; ++i)
    bytes = chunk[i] > kMostChunk ? kMostChunk + 1 : std::min<std::size_t>(bytes * chunk[i], kMostChunk + 1);
  return bytes;
}

void add_array(hid_t file, Choices& choices, const char* name) {
  const hid_t type = make_type(choices);
  hsize_t count = 0;
  std::vector<hsize_t> extents;
  const hid_t space = make_space(choices, count, extents);
  const hid_t creation = H5Pcreate(H5P_DATASET_CREATE);
  const hid_t links = H5Pcreate(H5P_LINK_CREATE);
  H5Pset_create_intermediate_group(links, 1);
  set_storage(choices, creation, extents);
  const hid_t array = H5Dcreate2(file, name, type, space, links, creation, H5P_DEFAULT);
  std::string text;
  // HDF5 1.10 itself writes past its buffers where it packs bits (n-bit, scale-offset): such arrays are
  // declared only.
  const bool packed =
      H5Pget_filter_by_id2(creation, H5Z_FILTER_NBIT, nullptr, nullptr, nullptr, 0, nullptr, nullptr) >= 0 ||
      H5Pget_filter_by_id2(creation, H5Z_FILTER_SCALEOFFSET, nullptr, nullptr, nullptr, 0, nullptr,
                           nullptr) >= 0;
  if (array >= 0 && count <= kMostWritten && !packed && chunk_bytes(creation, type) <= kMostChunk &&
      H5Pget_external_count(creation) == 0 && H5Pget_layout(creation) != H5D_VIRTUAL) {
    if (const auto values = make_values(choices, type, count, text); !values.empty())
      H5Dwrite(array, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data());
  }
  H5Dclose(array);
  H5Pclose(links);
  H5Pclose(creation);
  H5Sclose(space);
  H5Tclose(type);
}

void add_attribute(hid_t file, Choices& choices, const char* object, const char* name) {
  const hid_t type = make_type(choices);
  hsize_t count = 0;
  std::vector<hsize_t> extents;
  const hid_t space = make_space(choices, count, extents);
  if (count <= kMostWritten) {
    const hid_t attribute =
        H5Acreate_by_name(file, object, name, type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    std::string text;
    if (const auto values = make_values(choices, type, count, text); !values.empty())
      H5Awrite(attribute, type, values.data());
    H5Aclose(attribute);
  }
  H5Sclose(space);
  H5Tclose(type);
}

}  // namespace

void add_objects(hid_t file, Choices& choices, std::span<const char* const> names) {
  const auto name = [&] { return names[choices.below(names.size())]; };
  for (int i = 0; i < kMostObjects && !choices.empty(); ++i) {
    const char* const what = name();
    switch (choices.below(12)) {
      case 0:
        H5Gclose(H5Gcreate2(file, what, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
        break;
      case 1:
        add_attribute(file, choices, choices.flag() ? "/" : name(), what);
        break;
      case 2:
        add_attribute(file, choices, name(), choices.flag() ? "shape" : "feature_names");
        break;
      case 3:
        H5Lcreate_soft(name(), file, what, H5P_DEFAULT, H5P_DEFAULT);
        break;
      case 4:
        H5Lcreate_external("/proc/self/fd/900", choices.flag() ? "/features" : "/", file, what, H5P_DEFAULT,
                           H5P_DEFAULT);
        break;
      case 5:
        H5Lcreate_hard(file, choices.flag() ? "/" : name(), file, what, H5P_DEFAULT, H5P_DEFAULT);
        break;
      case 6:
        H5Ldelete(file, what, H5P_DEFAULT);
        break;
      case 7: {
        const hid_t type = make_type(choices);
        H5Tcommit2(file, what, type, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
        H5Tclose(type);
        break;
      }
      default:
        add_array(file, choices, what);
    }
  }
}

std::string make_file(Choices& choices, std::span<const char* const> names) {
  const hid_t access = H5Pcreate(H5P_FILE_ACCESS);
  H5Pset_fapl_core(access, 1 << 16, false);
  if (choices.flag()) H5Pset_libver_bounds(access, H5F_LIBVER_V18, H5F_LIBVER_LATEST);
  const hid_t file = H5Fcreate("made", H5F_ACC_TRUNC, H5P_DEFAULT, access);
  add_objects(file, choices, names);
  H5Fflush(file, H5F_SCOPE_LOCAL);
  const ssize_t length = H5Fget_file_image(file, nullptr, 0);
  std::string bytes(length > 0 ? static_cast<std::size_t>(length) : 0, '\0');
  if (length > 0) H5Fget_file_image(file, bytes.data(), bytes.size());
  H5Fclose(file);
  H5Pclose(access);
  return bytes;
}

}  // namespace firesteel::fuzz
