// SPDX-License-Identifier: Apache-2.0
#include "firesteel/io/hdf5_source.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <limits>
#include <system_error>

#include "firesteel/core/atomic_file.hpp"
#include "firesteel/core/error.hpp"

namespace firesteel::hdf5 {

namespace {

std::string kind_name(hid_t type) {
  switch (H5Tget_class(type)) {
    case H5T_INTEGER:
      return "whole numbers";
    case H5T_FLOAT:
      return "numbers";
    case H5T_STRING:
      return "texts";
    case H5T_COMPOUND:
      return "compound values";
    case H5T_ARRAY:
      return "arrays";
    case H5T_VLEN:
      return "lists of variable length";
    default:
      return "values that are neither numbers nor texts";
  }
}

template <class T>
hid_t memory_type();
template <>
hid_t memory_type<double>() {
  return H5T_NATIVE_DOUBLE;
}
template <>
hid_t memory_type<float>() {
  return H5T_NATIVE_FLOAT;
}
template <>
hid_t memory_type<std::int64_t>() {
  return H5T_NATIVE_INT64;
}
template <>
hid_t memory_type<std::uint64_t>() {
  return H5T_NATIVE_UINT64;
}

/// A fixed-length text without its padding.
std::string unpadded(const char* text, std::size_t length, H5T_str_t padding) {
  if (padding == H5T_STR_NULLTERM) return {text, ::strnlen(text, length)};
  const char pad = padding == H5T_STR_SPACEPAD ? ' ' : '\0';
  while (length > 0 && text[length - 1] == pad) --length;
  return {text, length};
}

std::string shape_text(const std::vector<Index>& shape) {
  if (shape.empty()) return "a single value";
  std::string text;
  for (const Index extent : shape) text += (text.empty() ? "" : " x ") + std::to_string(extent);
  return text;
}

}  // namespace

Source::Source(std::string path, Index file_number) : path_(std::move(path)), file_number_(file_number) {
  const FileDescriptor probe(::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat status {};
  if (!probe.open() || ::fstat(probe.get(), &status) != 0)
    throw Error(ErrorCode::no_input, "cannot read '" + path_ + "': " + std::generic_category().message(errno),
                {file_number_, 0});
  if (!S_ISREG(status.st_mode))
    throw Error(ErrorCode::no_input, "cannot read '" + path_ + "': not a regular file", {file_number_, 0});
  const PropertyList access = file_access();
  file_ = File(H5Fopen(path_.c_str(), H5F_ACC_RDONLY, access));
  if (file_.valid()) return;
  const std::string why = last_error();
  const htri_t known = H5Fis_hdf5(path_.c_str());
  if (known > 0) fail("a damaged HDF5 file (" + why + ")");
  fail("not an HDF5 file; name the format with --format if it is another");
}

void Source::fail(const std::string& what, Index row) const {
  throw bad_input(path_ + ": " + what, {file_number_, row});
}

bool Source::has(const std::string& name) const {
  if (name.empty()) return false;
  for (auto slash = name.find('/', 1); slash != std::string::npos; slash = name.find('/', slash + 1))
    if (H5Lexists(file_, name.substr(0, slash).c_str(), H5P_DEFAULT) <= 0) return false;
  return H5Lexists(file_, name.c_str(), H5P_DEFAULT) > 0;
}

bool Source::is_group(const std::string& name) const {
  const Object object(H5Oopen(file_, name.c_str(), H5P_DEFAULT));
  return object.valid() && H5Iget_type(object) == H5I_GROUP;
}

std::vector<std::string> Source::contents() const {
  std::vector<std::string> names;
  H5G_info_t info;
  if (H5Gget_info(file_, &info) < 0) return names;
  for (hsize_t i = 0; i < info.nlinks && i < 100; ++i) {
    std::string name(256, '\0');
    const auto length =
        H5Lget_name_by_idx(file_, "/", H5_INDEX_NAME, H5_ITER_INC, i, name.data(), name.size(), H5P_DEFAULT);
    if (length < 0) return names;
    name.resize(std::min(static_cast<std::size_t>(length), name.size() - 1));
    names.push_back(std::move(name));
  }
  return names;
}

const Dataset& Source::dataset(const std::string& name) const {
  const auto known = datasets_.find(name);
  if (known != datasets_.end()) return known->second;
  Dataset opened(H5Dopen2(file_, name.c_str(), H5P_DEFAULT));
  if (!opened.valid()) fail("'" + name + "' is not an array that can be read (" + last_error() + ")");
  return datasets_.emplace(name, std::move(opened)).first->second;
}

SourceArray Source::array(const std::string& name, int dimensions) const {
  const Dataset& opened = dataset(name);
  const Datatype type(H5Dget_type(opened));
  const Dataspace space(H5Dget_space(opened));
  if (!type.valid() || !space.valid()) fail("'" + name + "' is damaged (" + last_error() + ")");
  SourceArray array;
  const int rank = H5Sget_simple_extent_ndims(space);
  std::vector<hsize_t> extents(static_cast<std::size_t>(std::max(rank, 0)));
  if (rank < 0 || H5Sget_simple_extent_dims(space, extents.data(), nullptr) != rank)
    fail("'" + name + "' is damaged (" + last_error() + ")");
  hsize_t count = 1;
  for (const hsize_t extent : extents) {
    if (extent != 0 && count > static_cast<hsize_t>(std::numeric_limits<Index>::max()) / extent)
      fail("'" + name + "' has a shape beyond 63 bits");
    count *= extent;
    array.shape.push_back(static_cast<Index>(extent));
  }
  if (rank != dimensions)
    fail("expected '" + name + "' to have " + std::to_string(dimensions) + " dimension" +
         (dimensions == 1 ? "" : "s") + ", found " + shape_text(array.shape));
  if (count > 0 && H5Dget_storage_size(opened) == 0) fail("'" + name + "' was declared but never written");
  switch (H5Tget_class(type)) {
    case H5T_INTEGER:
      array.kind = H5Tget_sign(type) == H5T_SGN_NONE ? ValueKind::unsigned_integer : ValueKind::integer;
      break;
    case H5T_ENUM:
      array.kind = ValueKind::integer;
      break;
    case H5T_FLOAT:
      array.kind = ValueKind::real;
      break;
    case H5T_STRING:
      array.kind = ValueKind::text;
      break;
    default:
      fail("expected '" + name + "' to hold numbers or texts, found " + kind_name(type));
  }
  return array;
}

void Source::read_hyperslab(const std::string& name, const std::vector<hsize_t>& first,
                            const std::vector<hsize_t>& count, hid_t memory_type_id, void* out) const {
  for (const hsize_t extent : count)
    if (extent == 0) return;
  const Dataset& opened = dataset(name);
  const Dataspace file_space(H5Dget_space(opened));
  const Dataspace memory_space(H5Screate_simple(static_cast<int>(count.size()), count.data(), nullptr));
  if (!file_space.valid() || !memory_space.valid() ||
      H5Sselect_hyperslab(file_space, H5S_SELECT_SET, first.data(), nullptr, count.data(), nullptr) < 0 ||
      H5Dread(opened, memory_type_id, memory_space, file_space, H5P_DEFAULT, out) < 0)
    fail("'" + name + "' cannot be read (" + last_error() + "): the file is damaged or cut short",
         static_cast<Index>(first[0]));
}

template <class T>
void Source::read(const std::string& name, Index first, Index rows, T* out) const {
  read_hyperslab(name, {static_cast<hsize_t>(first)}, {static_cast<hsize_t>(rows)}, memory_type<T>(), out);
}

template <class T>
void Source::read(const std::string& name, Index first, Index rows, Index first_column, Index columns,
                  T* out) const {
  read_hyperslab(name, {static_cast<hsize_t>(first), static_cast<hsize_t>(first_column)},
                 {static_cast<hsize_t>(rows), static_cast<hsize_t>(columns)}, memory_type<T>(), out);
}

template void Source::read(const std::string&, Index, Index, double*) const;
template void Source::read(const std::string&, Index, Index, float*) const;
template void Source::read(const std::string&, Index, Index, std::int64_t*) const;
template void Source::read(const std::string&, Index, Index, std::uint64_t*) const;
template void Source::read(const std::string&, Index, Index, Index, Index, double*) const;

std::vector<std::string> Source::texts_of(const Datatype& type, hid_t space, const char* values,
                                          std::size_t count) const {
  std::vector<std::string> texts;
  texts.reserve(count);
  const std::size_t length = H5Tget_size(type);
  const bool variable = H5Tis_variable_str(type) > 0;
  for (std::size_t i = 0; i < count; ++i) {
    if (!variable) {
      texts.push_back(unpadded(values + i * length, length, H5Tget_strpad(type)));
      continue;
    }
    const char* text = nullptr;
    std::memcpy(&text, values + i * length, sizeof text);
    texts.emplace_back(text == nullptr ? "" : text);
  }
  if (variable) H5Dvlen_reclaim(type, space, H5P_DEFAULT, const_cast<char*>(values));
  return texts;
}

std::vector<std::string> Source::read_texts(const std::string& name, Index first, Index rows) const {
  if (rows == 0) return {};
  const Datatype type(H5Dget_type(dataset(name)));
  if (H5Tget_class(type) != H5T_STRING)
    fail("expected '" + name + "' to hold texts, found " + kind_name(type));
  std::vector<char> values(static_cast<std::size_t>(rows) * H5Tget_size(type));
  const auto extent = static_cast<hsize_t>(rows);
  read_hyperslab(name, {static_cast<hsize_t>(first)}, {extent}, type, values.data());
  const Dataspace space(H5Screate_simple(1, &extent, nullptr));
  return texts_of(type, space, values.data(), static_cast<std::size_t>(rows));
}

std::optional<Attribute> Source::open_attribute(const std::string& object, const std::string& name) const {
  if (H5Aexists_by_name(file_, object.c_str(), name.c_str(), H5P_DEFAULT) <= 0) return std::nullopt;
  Attribute attribute(H5Aopen_by_name(file_, object.c_str(), name.c_str(), H5P_DEFAULT, H5P_DEFAULT));
  if (!attribute.valid())
    fail("attribute '" + name + "' of '" + object + "' cannot be read (" + last_error() + ")");
  return attribute;
}

std::optional<std::vector<std::string>> Source::texts_attribute(const std::string& object,
                                                                const std::string& name) const {
  const auto attribute = open_attribute(object, name);
  if (!attribute) return std::nullopt;
  const Datatype type(H5Aget_type(*attribute));
  const Dataspace space(H5Aget_space(*attribute));
  const auto count = H5Sget_simple_extent_npoints(space);
  if (H5Tget_class(type) != H5T_STRING || count < 0)
    fail("expected attribute '" + name + "' of '" + object + "' to hold texts, found " + kind_name(type));
  if (count > 0 && H5Aget_storage_size(*attribute) == 0) fail("attribute '" + name + "' was never written");
  std::vector<char> values(static_cast<std::size_t>(count) * H5Tget_size(type));
  if (count > 0 && H5Aread(*attribute, type, values.data()) < 0)
    fail("attribute '" + name + "' of '" + object + "' cannot be read (" + last_error() + ")");
  return texts_of(type, space, values.data(), static_cast<std::size_t>(count));
}

std::optional<std::vector<std::int64_t>> Source::integers_attribute(const std::string& object,
                                                                    const std::string& name) const {
  const auto attribute = open_attribute(object, name);
  if (!attribute) return std::nullopt;
  const Datatype type(H5Aget_type(*attribute));
  const Dataspace space(H5Aget_space(*attribute));
  const auto count = H5Sget_simple_extent_npoints(space);
  if (H5Tget_class(type) != H5T_INTEGER || count < 0 || count > 32)
    fail("expected attribute '" + name + "' of '" + object + "' to hold a few whole numbers, found " +
         kind_name(type));
  std::vector<std::int64_t> values(static_cast<std::size_t>(count));
  if (count > 0 && H5Aread(*attribute, H5T_NATIVE_INT64, values.data()) < 0)
    fail("attribute '" + name + "' of '" + object + "' cannot be read (" + last_error() + ")");
  return values;
}

}  // namespace firesteel::hdf5
