// SPDX-License-Identifier: Apache-2.0
#include "firesteel/io/hdf5_source.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <string_view>
#include <utility>

#include "firesteel/core/error.hpp"

namespace firesteel::hdf5 {

namespace {

constexpr hsize_t kMostExpansion = 1100;
constexpr hsize_t kMostAnyway = hsize_t{256} << 20;

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

/// A fixed-length text without its padding.
std::string unpadded(const char* text, std::size_t length, H5T_str_t padding) {
  if (padding == H5T_STR_NULLTERM) return {text, ::strnlen(text, length)};
  const char pad = padding == H5T_STR_SPACEPAD ? ' ' : '\0';
  while (length > 0 && text[length - 1] == pad) --length;
  return {text, length};
}

/// Filters that HDF5 brings with it and whose output is bounded.
bool is_known_filter(H5Z_filter_t filter) {
  return filter == H5Z_FILTER_DEFLATE || filter == H5Z_FILTER_SHUFFLE || filter == H5Z_FILTER_FLETCHER32 ||
         filter == H5Z_FILTER_SZIP;
}

bool is_ieee(hid_t type) {
  std::size_t sign = 0;
  std::size_t exponent = 0;
  std::size_t exponent_bits = 0;
  std::size_t mantissa = 0;
  std::size_t mantissa_bits = 0;
  if (H5Tget_fields(type, &sign, &exponent, &exponent_bits, &mantissa, &mantissa_bits) < 0) return false;
  const std::size_t bits = 8 * H5Tget_size(type);
  const auto is = [&](std::size_t all, std::size_t e) {
    return bits == all && sign == all - 1 && exponent_bits == e && mantissa == 0 &&
           mantissa_bits == all - 1 - e && exponent == mantissa_bits &&
           H5Tget_ebias(type) == (std::size_t{1} << (e - 1)) - 1 && H5Tget_norm(type) == H5T_NORM_IMPLIED;
  };
  return is(16, 5) || is(32, 8) || is(64, 11);
}

/// Number types as machines have them; HDF5 can describe others, of any bits in any place.
bool is_plain_number(hid_t type) {
  const std::size_t bytes = H5Tget_size(type);
  if (H5Tget_class(type) == H5T_FLOAT) return is_ieee(type) || H5Tequal(type, H5T_NATIVE_LDOUBLE) > 0;
  return (bytes == 1 || bytes == 2 || bytes == 4 || bytes == 8) && H5Tget_precision(type) == 8 * bytes &&
         H5Tget_offset(type) == 0;
}

/// Memory for texts of variable length, of which many may stand for the same bytes of the file.
struct TextMemory {
  hsize_t left;

  static void* allocate(std::size_t bytes, void* self) {
    auto& memory = *static_cast<TextMemory*>(self);
    if (bytes > memory.left) return nullptr;
    memory.left -= bytes;
    return std::malloc(bytes);
  }
  static void release(void* text, void*) { std::free(text); }
};

}  // namespace

Hdf5Source::Hdf5Source(const std::string& path, Index file_number) : ArraySource(path, file_number) {
  input_ = open_input(path, file_number);
  most_bytes_ = static_cast<hsize_t>(input_->bytes()) * kMostExpansion + kMostAnyway;
  link_access_ = link_access();
  dataset_access_ = dataset_access();
  const PropertyList access = file_access();
  if (is_url(path)) use_store(access);
  file_ = File(H5Fopen(path.c_str(), H5F_ACC_RDONLY, access));
  if (file_.valid()) return;
  const std::string why = last_error();
  std::array<char, 8> signature{};
  const bool known = input_->read_at(0, signature) == signature.size() &&
                     std::string_view(signature.data(), signature.size()) == "\x89HDF\r\n\x1a\n";
  if (known) fail("a damaged HDF5 file (" + why + ")");
  fail("not an HDF5 file; name the format with --format if it is another");
}

std::vector<std::string> Hdf5Source::contents() const {
  std::vector<std::string> names;
  H5G_info_t info;
  if (H5Gget_info(file_, &info) < 0) return names;
  for (hsize_t i = 0; i < info.nlinks && i < 100; ++i) {
    std::string name(256, '\0');
    const auto length =
        H5Lget_name_by_idx(file_, "/", H5_INDEX_NAME, H5_ITER_INC, i, name.data(), name.size(), link_access_);
    if (length < 0) return names;
    name.resize(std::min(static_cast<std::size_t>(length), name.size() - 1));
    names.push_back(std::move(name));
  }
  return names;
}

const Dataset& Hdf5Source::dataset(const std::string& name) const {
  const auto known = datasets_.find(name);
  if (known != datasets_.end()) return known->second;
  Dataset opened(H5Dopen2(file_, resolve(name).c_str(), dataset_access_));
  if (!opened.valid()) refuse_external_link(resolve(name));
  if (!opened.valid()) fail("'" + name + "' is not an array that can be read (" + last_error() + ")");
  check_storage(name, opened);
  return datasets_.emplace(name, std::move(opened)).first->second;
}

void Hdf5Source::check_storage(const std::string& name, hid_t dataset) const {
  const PropertyList creation(H5Dget_create_plist(dataset));
  const H5D_layout_t layout = creation.valid() ? H5Pget_layout(creation) : H5D_LAYOUT_ERROR;
  if (layout == H5D_LAYOUT_ERROR) fail("'" + name + "' is damaged (" + last_error() + ")");
  if (layout == H5D_VIRTUAL || H5Pget_external_count(creation) != 0)
    fail("'" + name + "' lies in other files: copy its values into this one (h5repack)");
  const int filters = H5Pget_nfilters(creation);
  for (int i = 0; i < filters; ++i) {
    unsigned flags = 0;
    unsigned config = 0;
    std::size_t values = 0;
    const H5Z_filter_t filter =
        H5Pget_filter2(creation, static_cast<unsigned>(i), &flags, &values, nullptr, 0, nullptr, &config);
    if (!is_known_filter(filter))
      fail("'" + name + "' is stored by filter " + std::to_string(filter) +
           ", which is not read: store it with gzip or without compression (h5repack)");
  }
  if (layout != H5D_CHUNKED) return;
  std::vector<hsize_t> chunk(H5S_MAX_RANK);
  const int rank = H5Pget_chunk(creation, H5S_MAX_RANK, chunk.data());
  const Datatype type(H5Dget_type(dataset));
  if (rank < 1 || !type.valid()) fail("'" + name + "' is damaged (" + last_error() + ")");
  hsize_t count = 1;
  for (int i = 0; i < rank; ++i) {
    check_size(name, count, static_cast<std::size_t>(chunk[static_cast<std::size_t>(i)]));
    count *= chunk[static_cast<std::size_t>(i)];
  }
  check_size(name, count, H5Tget_size(type));
}

void Hdf5Source::check_size(const std::string& name, hsize_t count, std::size_t value_bytes) const {
  if (value_bytes == 0 || count <= most_bytes_ / value_bytes) return;
  fail("'" + name + "' would take " + std::to_string(count) + " times " + std::to_string(value_bytes) +
       " bytes, more than a file of this size can hold: store it without compression if that is right");
}

SourceArray Hdf5Source::array(const std::string& name, int dimensions) const {
  if (is_categorical(name)) {
    SourceArray coded = array(resolve(name) + "/codes", dimensions);
    coded.kind = array(resolve(name) + "/categories", 1).kind;
    return coded;
  }
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
  if (rank == 2 && is_transposed(name)) std::swap(array.shape[0], array.shape[1]);
  if (rank == 1 && dimensions == 2)
    array.shape.push_back(1);
  else if (rank == 2 && dimensions == 1 && (array.shape[0] == 1 || array.shape[1] == 1))
    array.shape = {array.shape[0] * array.shape[1]};
  else if (rank != dimensions)
    fail("expected '" + name + "' to have " + std::to_string(dimensions) + " dimension" +
         (dimensions == 1 ? "" : "s") + ", found " + shape_text(array.shape));
  if (count > 0 && H5Dget_storage_size(opened) == 0) fail("'" + name + "' was declared but never written");
  check_size(name, count, std::max(H5Tget_size(type), sizeof(double)));
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
  if (array.kind != ValueKind::text && H5Tget_class(type) != H5T_ENUM && !is_plain_number(type))
    fail("'" + name + "' holds numbers of a type that no machine has");
  return array;
}

void Hdf5Source::read_hyperslab(const std::string& name, const std::vector<hsize_t>& first,
                                const std::vector<hsize_t>& count, hid_t memory_type_id, void* out,
                                hid_t transfer) const {
  for (const hsize_t extent : count)
    if (extent == 0) return;
  const Dataset& opened = dataset(name);
  const Dataspace file_space(H5Dget_space(opened));
  const Dataspace memory_space(H5Screate_simple(static_cast<int>(count.size()), count.data(), nullptr));
  if (!file_space.valid() || !memory_space.valid() ||
      H5Sselect_hyperslab(file_space, H5S_SELECT_SET, first.data(), nullptr, count.data(), nullptr) < 0 ||
      H5Dread(opened, memory_type_id, memory_space, file_space, transfer, out) < 0)
    fail("'" + name + "' cannot be read (" + last_error() + "): the file is damaged or cut short",
         static_cast<Index>(first[0]));
}

std::vector<hsize_t> Hdf5Source::extents_of(const std::string& name) const {
  const Dataspace space(H5Dget_space(dataset(name)));
  std::vector<hsize_t> extents(2);
  const int rank = space.valid() ? H5Sget_simple_extent_ndims(space) : -1;
  if (rank < 1 || rank > 2 || H5Sget_simple_extent_dims(space, extents.data(), nullptr) != rank)
    fail("'" + name + "' is damaged (" + last_error() + ")");
  extents.resize(static_cast<std::size_t>(rank));
  return extents;
}

void Hdf5Source::read(const std::string& name, Index first, Index rows, Index first_column, Index columns,
                      double* out) const {
  if (extents_of(name).size() == 1) return read(name, first, rows, out);
  const std::vector<hsize_t> begin{static_cast<hsize_t>(first), static_cast<hsize_t>(first_column)};
  const std::vector<hsize_t> count{static_cast<hsize_t>(rows), static_cast<hsize_t>(columns)};
  if (!is_transposed(name)) return read_hyperslab(name, begin, count, H5T_NATIVE_DOUBLE, out);
  std::vector<double> columnwise(static_cast<std::size_t>(rows * columns));
  read_hyperslab(name, {begin[1], begin[0]}, {count[1], count[0]}, H5T_NATIVE_DOUBLE, columnwise.data());
  for (Index row = 0; row < rows; ++row)
    for (Index column = 0; column < columns; ++column)
      out[row * columns + column] = columnwise[static_cast<std::size_t>(column * rows + row)];
}

std::vector<std::string> Hdf5Source::texts_of(const Datatype& type, hid_t space, const char* values,
                                              std::size_t count, hid_t transfer) const {
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
  if (variable) H5Dvlen_reclaim(type, space, transfer, const_cast<char*>(values));
  return texts;
}

std::vector<std::string> Hdf5Source::read_texts(const std::string& name, Index first, Index rows) const {
  if (rows == 0) return {};
  if (is_categorical(name)) return read_categories(name, first, rows);
  const Datatype type(H5Dget_type(dataset(name)));
  if (H5Tget_class(type) != H5T_STRING)
    fail("expected '" + name + "' to hold texts, found " + kind_name(type));
  check_size(name, static_cast<hsize_t>(rows), H5Tget_size(type));
  std::vector<char> values(static_cast<std::size_t>(rows) * H5Tget_size(type));
  TextMemory memory{most_bytes_};
  const PropertyList transfer(H5Pcreate(H5P_DATASET_XFER));
  if (H5Pset_vlen_mem_manager(transfer, TextMemory::allocate, &memory, TextMemory::release, &memory) < 0)
    throw internal_error("H5Pset_vlen_mem_manager failed: " + last_error());
  const auto extent = static_cast<hsize_t>(rows);
  read_run(name, first, rows, type, values.data(), transfer);
  const Dataspace space(H5Screate_simple(1, &extent, nullptr));
  return texts_of(type, space, values.data(), static_cast<std::size_t>(rows), transfer);
}

std::optional<Attribute> Hdf5Source::open_attribute(const std::string& object,
                                                    const std::string& name) const {
  const std::string path = object == "/" ? object : resolve(object);
  if (H5Aexists_by_name(file_, path.c_str(), name.c_str(), link_access_) <= 0) return std::nullopt;
  Attribute attribute(H5Aopen_by_name(file_, path.c_str(), name.c_str(), H5P_DEFAULT, link_access_));
  if (!attribute.valid())
    fail("attribute '" + name + "' of '" + object + "' cannot be read (" + last_error() + ")");
  return attribute;
}

std::optional<std::vector<std::string>> Hdf5Source::texts_attribute(const std::string& object,
                                                                    const std::string& name) const {
  const auto attribute = open_attribute(object, name);
  if (!attribute && object == "/" && name == "feature_names" && !has_path("features") && has_path("X") &&
      has_path("var")) {
    // AnnData keeps them in the column of `var` that is its index.
    const auto index = texts_attribute("var", "_index");
    const std::string column = "var/" + (index && index->size() == 1 ? index->front() : "_index");
    if (!has_path(column) || array(column, 1).kind != ValueKind::text) return std::nullopt;
    return read_texts(column, 0, array(column, 1).shape[0]);
  }
  if (!attribute) return std::nullopt;
  const Datatype type(H5Aget_type(*attribute));
  const Dataspace space(H5Aget_space(*attribute));
  const auto count = H5Sget_simple_extent_npoints(space);
  if (H5Tget_class(type) != H5T_STRING || count < 0)
    fail("expected attribute '" + name + "' of '" + object + "' to hold texts, found " + kind_name(type));
  if (count > 0 && H5Aget_storage_size(*attribute) == 0) fail("attribute '" + name + "' was never written");
  check_size(name, static_cast<hsize_t>(count), std::max(H5Tget_size(type), sizeof(std::string)));
  std::vector<char> values(static_cast<std::size_t>(count) * H5Tget_size(type));
  if (count > 0 && H5Aread(*attribute, type, values.data()) < 0)
    fail("attribute '" + name + "' of '" + object + "' cannot be read (" + last_error() + ")");
  return texts_of(type, space, values.data(), static_cast<std::size_t>(count), H5P_DEFAULT);
}

std::optional<std::vector<std::int64_t>> Hdf5Source::integers_attribute(const std::string& object,
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

namespace firesteel {

std::unique_ptr<ArraySource> open_hdf5(const std::string& path, Index file_number) {
  return std::make_unique<hdf5::Hdf5Source>(path, file_number);
}

}  // namespace firesteel
