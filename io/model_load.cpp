// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <limits>

#include "firesteel/core/error.hpp"
#include "firesteel/io/model_file.hpp"
#include "firesteel/io/model_format.hpp"

namespace firesteel::hdf5 {

namespace {

// Files made to harm: deep nesting, groups that hold themselves, one array under a million names.
constexpr int kDeepestGroup = 8;
constexpr Index kMostEntries = 10'000;

/// Walks an open model file.
class Loader {
 public:
  Loader(std::string path, hsize_t file_bytes)
      : path_(std::move(path)), bytes_left_(file_bytes), boolean_(boolean_type()) {}

  Record load(hid_t file) {
    Group root(H5Gopen2(file, "/", H5P_DEFAULT));
    if (!root.valid()) damaged("/", last_error());
    check_format(root);
    load_group(root, "", 0);
    if (record_.sha256() != digest_)
      damaged("/", "its content does not have the SHA-256 that it was written with");
    return std::move(record_);
  }

 private:
  [[noreturn]] void damaged(const std::string& entry, const std::string& found) const {
    throw bad_input(path_ + " is damaged: '" + entry + "': " + found + "; copy it again or train anew");
  }
  void check(bool good, const std::string& entry) const {
    if (!good) damaged(entry, last_error());
  }
  void count_entry(const std::string& name) {
    if (++entries_ > kMostEntries) damaged(name, "more than " + std::to_string(kMostEntries) + " entries");
  }
  /// Takes `count` values of `value_bytes` from what the file can hold.
  std::size_t take_bytes(const std::string& name, hsize_t count, std::size_t value_bytes) {
    if (value_bytes == 0 || count > bytes_left_ / value_bytes)
      damaged(name, "it would have " + std::to_string(count) + " values of " + std::to_string(value_bytes) +
                        " bytes, more than the file holds");
    bytes_left_ -= count * value_bytes;
    return static_cast<std::size_t>(count * value_bytes);
  }

  /// No writer of models writes another, and no learner looks for one.
  void check_finite(const std::string& name, double value) const {
    if (!std::isfinite(value)) damaged(name, "a number that is not finite");
  }

  void check_format(hid_t root) {
    const htri_t present = H5Aexists(root, kFormatAttribute);
    check(present >= 0, kFormatAttribute);
    if (present == 0)
      throw bad_input(path_ + " is an HDF5 file without a Firesteel model (no attribute firesteel_format)");
    Attribute attribute(H5Aopen(root, kFormatAttribute, H5P_DEFAULT));
    check(attribute.valid(), kFormatAttribute);
    const RecordValue value = attribute_value(attribute, kFormatAttribute);
    const auto* format = std::get_if<std::int64_t>(&value);
    if (format == nullptr || *format < 1) damaged(kFormatAttribute, "not a whole number of at least 1");
    if (*format > kModelFormat)
      throw bad_input(path_ + " was written by a newer Firesteel (format " + std::to_string(*format) +
                      ", this one reads up to " + std::to_string(kModelFormat) + "): update Firesteel");
  }

  RecordValue attribute_value(hid_t attribute, const std::string& name) {
    const Dataspace space(H5Aget_space(attribute));
    const Datatype type(H5Aget_type(attribute));
    check(space.valid() && type.valid(), name);
    if (H5Sget_simple_extent_type(space) != H5S_SCALAR) damaged(name, "an attribute that is not one value");
    const std::size_t bytes = take_bytes(name, 1, H5Tget_size(type));
    const auto read = [&](auto value, hid_t memory_type) -> RecordValue {
      check(H5Aread(attribute, memory_type, &value) >= 0, name);
      return value;
    };
    if (H5Tequal(type, H5T_STD_I64LE) > 0) return read(std::int64_t{}, H5T_NATIVE_INT64);
    if (H5Tequal(type, H5T_STD_U64LE) > 0) return read(std::uint64_t{}, H5T_NATIVE_UINT64);
    if (H5Tequal(type, H5T_IEEE_F64LE) > 0) {
      const RecordValue value = read(double{}, H5T_NATIVE_DOUBLE);
      check_finite(name, std::get<double>(value));
      return value;
    }
    if (H5Tequal(type, boolean_) > 0) {
      signed char byte = 0;
      check(H5Aread(attribute, boolean_, &byte) >= 0, name);
      return byte != 0;
    }
    check_text_type(type, name);
    std::string text(bytes, '\0');
    check(H5Aread(attribute, type, text.data()) >= 0, name);
    return without_padding(text.data(), bytes);
  }

  void check_text_type(hid_t type, const std::string& name) const {
    if (H5Tget_class(type) != H5T_STRING || H5Tis_variable_str(type) != 0 ||
        H5Tget_strpad(type) != H5T_STR_NULLPAD)
      damaged(name, "a type that no model has");
  }

  static std::string without_padding(const char* data, std::size_t length) {
    while (length > 0 && data[length - 1] == '\0') --length;
    return {data, length};
  }

  void load_group(hid_t group, const std::string& prefix, int depth) {
    if (depth > kDeepestGroup) damaged(prefix, "groups nested too deeply");
    load_attributes(group, prefix);
    H5G_info_t info;
    check(H5Gget_info(group, &info) >= 0, prefix);
    for (hsize_t i = 0; i < info.nlinks; ++i) {
      const std::string leaf = link_name(group, prefix, i);
      const std::string name = prefix + leaf;
      count_entry(name);
      H5L_info_t link;
      check(H5Lget_info(group, leaf.c_str(), &link, H5P_DEFAULT) >= 0, name);
      if (link.type != H5L_TYPE_HARD) damaged(name, "a link that leaves the file");
      Object object(H5Oopen(group, leaf.c_str(), H5P_DEFAULT));
      check(object.valid(), name);
      switch (H5Iget_type(object)) {
        case H5I_GROUP:
          load_group(object, name + "/", depth + 1);
          break;
        case H5I_DATASET:
          set(name, dataset_value(object, name));
          break;
        default:
          damaged(name, "neither a group nor an array");
      }
    }
  }

  std::string link_name(hid_t group, const std::string& prefix, hsize_t i) {
    const auto name_by_index = [&](char* out, std::size_t room) {
      return H5Lget_name_by_idx(group, ".", H5_INDEX_NAME, H5_ITER_INC, i, out, room, H5P_DEFAULT);
    };
    const auto length = name_by_index(nullptr, 0);
    check(length > 0, prefix);
    std::string name(static_cast<std::size_t>(length) + 1, '\0');
    check(name_by_index(name.data(), name.size()) == length, prefix);
    name.pop_back();
    return name;
  }

  void load_attributes(hid_t group, const std::string& prefix) {
    H5O_info_t info;
    check(H5Oget_info2(group, &info, H5O_INFO_NUM_ATTRS) >= 0, prefix);
    for (hsize_t i = 0; i < info.num_attrs; ++i) {
      Attribute attribute(
          H5Aopen_by_idx(group, ".", H5_INDEX_NAME, H5_ITER_INC, i, H5P_DEFAULT, H5P_DEFAULT));
      check(attribute.valid(), prefix);
      const auto length = H5Aget_name(attribute, 0, nullptr);
      check(length > 0, prefix);
      std::string leaf(static_cast<std::size_t>(length) + 1, '\0');
      check(H5Aget_name(attribute, leaf.size(), leaf.data()) == length, prefix);
      leaf.pop_back();
      const std::string name = prefix + leaf;
      count_entry(name);
      if (name == kFormatAttribute) continue;
      RecordValue value = attribute_value(attribute, name);
      if (name != kDigestAttribute)
        set(name, std::move(value));
      else if (const auto* digest = std::get_if<std::string>(&value))
        digest_ = *digest;
    }
  }

  void set(const std::string& name, RecordValue value) {
    if (record_.contains(name)) damaged(name, "two values of one name");
    record_.set(name, std::move(value));
  }

  RecordValue dataset_value(hid_t dataset, const std::string& name) {
    const PropertyList creation(H5Dget_create_plist(dataset));
    check(creation.valid(), name);
    // Before anything else: the extent of a virtual array would be looked for in other files.
    if (H5Pget_layout(creation) != H5D_CONTIGUOUS || H5Pget_external_count(creation) != 0 ||
        H5Pget_nfilters(creation) != 0)
      damaged(name, "stored in a way that no model is");
    const Dataspace space(H5Dget_space(dataset));
    const Datatype type(H5Dget_type(dataset));
    check(space.valid() && type.valid(), name);
    const int rank = H5Sget_simple_extent_ndims(space);
    const H5S_class_t kind = H5Sget_simple_extent_type(space);
    check(rank >= 0 && (kind == H5S_SIMPLE || kind == H5S_SCALAR), name);
    std::vector<hsize_t> extents(static_cast<std::size_t>(rank));
    check(H5Sget_simple_extent_dims(space, extents.data(), nullptr) == rank, name);
    hsize_t count = 1;
    std::vector<Index> shape;
    for (const hsize_t extent : extents) {
      if (extent != 0 && count > static_cast<hsize_t>(std::numeric_limits<Index>::max()) / extent)
        damaged(name, "a shape beyond 63 bits");
      count *= extent;
      shape.push_back(static_cast<Index>(extent));
    }
    const std::size_t bytes = take_bytes(name, count, H5Tget_size(type));
    if (count > 0 && H5Dget_storage_size(dataset) != bytes) damaged(name, "an array that was not written");
    if (kind == H5S_SIMPLE && H5Tequal(type, H5T_IEEE_F64LE) > 0)
      return read_array<double>(dataset, H5T_NATIVE_DOUBLE, std::move(shape), count, name);
    if (kind == H5S_SIMPLE && H5Tequal(type, H5T_STD_I64LE) > 0)
      return read_array<std::int64_t>(dataset, H5T_NATIVE_INT64, std::move(shape), count, name);
    check_text_type(type, name);
    return read_texts(dataset, type, std::move(shape), count, name);
  }

  template <class T>
  RecordValue read_array(hid_t dataset, hid_t memory_type, std::vector<Index> shape, hsize_t count,
                         const std::string& name) {
    RecordArray<T> array{std::move(shape), std::vector<T>(static_cast<std::size_t>(count))};
    if (count > 0)
      check(H5Dread(dataset, memory_type, H5S_ALL, H5S_ALL, H5P_DEFAULT, array.values.data()) >= 0, name);
    if constexpr (std::is_same_v<T, double>)
      for (const double value : array.values) check_finite(name, value);
    return array;
  }

  RecordValue read_texts(hid_t dataset, hid_t type, std::vector<Index> shape, hsize_t count,
                         const std::string& name) {
    const std::size_t length = H5Tget_size(type);
    std::string joined(static_cast<std::size_t>(count) * length, '\0');
    if (count > 0) check(H5Dread(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, joined.data()) >= 0, name);
    if (shape.empty()) return without_padding(joined.data(), joined.size());
    RecordArray<std::string> array{std::move(shape), {}};
    array.values.reserve(static_cast<std::size_t>(count));
    for (std::size_t i = 0; i < count; ++i)
      array.values.push_back(without_padding(joined.data() + i * length, length));
    return array;
  }

  std::string path_;
  hsize_t bytes_left_;
  Datatype boolean_;
  Index entries_ = 0;
  Record record_;
  std::string digest_;
};

}  // namespace

Record load_record(hid_t file, const std::string& path, hsize_t file_bytes) {
  return Loader(path, file_bytes).load(file);
}

}  // namespace firesteel::hdf5
