// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <deque>
#include <map>
#include <new>
#include <optional>
#include <span>
#include <type_traits>

#include "firesteel/core/error.hpp"
#include "firesteel/core/parallel.hpp"
#include "firesteel/io/hdf5_image.hpp"
#include "firesteel/io/model_file.hpp"
#include "firesteel/io/model_format.hpp"
#include "firesteel/io/output_file.hpp"

namespace firesteel {

namespace {

using namespace hdf5;

double positive_zero(double value) { return value == 0.0 ? 0.0 : value; }

Error not_finite(const std::string& name, double value, const std::string& where) {
  return bad_input("the model's '" + name + "' is " + number_text(value) + where +
                   ": a model with a number that is not finite is not written; scale the features or raise "
                   "the regularisation");
}

void check_text(const std::string& name, const std::string& text) {
  if (!text.empty() && text.back() == '\0')
    throw bad_input("the model's '" + name +
                    "' holds a text that ends in a zero byte, which no file can keep");
}

/// Bytes of the values; throws where a value may not be stored.
struct CheckEntry {
  const std::string& name;
  std::size_t operator()(double value) const {
    if (!std::isfinite(value)) throw not_finite(name, value, "");
    return sizeof value;
  }
  std::size_t operator()(const std::string& text) const {
    check_text(name, text);
    return text.size();
  }
  std::size_t operator()(const RecordArray<double>& array) const {
    for (std::size_t i = 0; i < array.values.size(); ++i) {
      if (!std::isfinite(array.values[i]))
        throw not_finite(name, array.values[i], " at position " + std::to_string(i));
    }
    return array.values.size() * sizeof(double);
  }
  std::size_t operator()(const RecordArray<std::string>& array) const {
    std::size_t longest = 1;
    for (const auto& text : array.values) {
      check_text(name, text);
      longest = std::max(longest, text.size());
    }
    return array.values.size() * longest;
  }
  std::size_t operator()(const RecordArray<std::int64_t>& array) const {
    return array.values.size() * sizeof(std::int64_t);
  }
  std::size_t operator()(bool) const { return 1; }
  std::size_t operator()(std::int64_t value) const { return sizeof value; }
  std::size_t operator()(std::uint64_t value) const { return sizeof value; }
};

/// An array's bytes and their place in the file.
struct ArrayContent {
  Index offset;
  std::span<const std::byte> bytes;
};

/// Puts entries into an open HDF5 file. The record must outlive the writer.
class Writer {
 public:
  Writer(hid_t file, std::string path) : path_(std::move(path)) {
    groups_.emplace("", Group(H5Gopen2(file, "/", H5P_DEFAULT)));
    check(groups_.at("").valid(), "H5Gopen2");
  }

  void put(const std::string& name, const RecordValue& value) {
    const auto slash = name.rfind('/');
    const hid_t group = group_of(slash == std::string::npos ? "" : name.substr(0, slash));
    const std::string leaf = slash == std::string::npos ? name : name.substr(slash + 1);
    std::visit([&](const auto& typed) { put_value(group, leaf, typed); }, value);
  }

  const std::vector<ArrayContent>& contents() const { return contents_; }
  /// Lets go of the file, which can then be closed.
  void close_groups() { groups_.clear(); }

 private:
  void check(bool good, const char* call) const {
    if (!good)
      throw Error(ErrorCode::io_failed, "writing " + path_ + " failed: " + last_error() + " (" + call +
                                            "); an older file stays as it was");
  }

  hid_t group_of(const std::string& name) {
    if (const auto known = groups_.find(name); known != groups_.end()) return known->second;
    const auto slash = name.rfind('/');
    const hid_t parent = group_of(slash == std::string::npos ? "" : name.substr(0, slash));
    const std::string leaf = slash == std::string::npos ? name : name.substr(slash + 1);
    Group group(H5Gcreate2(parent, leaf.c_str(), H5P_DEFAULT, group_creation(), H5P_DEFAULT));
    check(group.valid(), "H5Gcreate2");
    return groups_.emplace(name, std::move(group)).first->second;
  }

  void put_attribute(hid_t group, const std::string& name, hid_t file_type, hid_t memory_type,
                     const void* value) {
    const Dataspace space(H5Screate(H5S_SCALAR));
    check(space.valid(), "H5Screate");
    Attribute attribute(H5Acreate2(group, name.c_str(), file_type, space, H5P_DEFAULT, H5P_DEFAULT));
    check(attribute.valid(), "H5Acreate2");
    check(H5Awrite(attribute, memory_type, value) >= 0, "H5Awrite");
    check(attribute.close(), "H5Aclose");
  }

  /// Makes room for an array, whose bytes are written once the file is laid out.
  void put_dataset(hid_t group, const std::string& name, hid_t type, hid_t space, const void* values) {
    check(space >= 0, "H5Screate_simple");
    const PropertyList creation = dataset_creation();
    Dataset dataset(H5Dcreate2(group, name.c_str(), type, space, H5P_DEFAULT, creation, H5P_DEFAULT));
    check(dataset.valid(), "H5Dcreate2");
    const auto count = H5Sget_simple_extent_npoints(space);
    if (count > 0) {
      const haddr_t offset = H5Dget_offset(dataset);
      check(offset != HADDR_UNDEF, "H5Dget_offset");
      contents_.push_back(
          {static_cast<Index>(offset),
           {static_cast<const std::byte*>(values), static_cast<std::size_t>(count) * H5Tget_size(type)}});
    }
    check(dataset.close(), "H5Dclose");
  }

  template <class T>
  static Dataspace space_of(const std::string& name, const RecordArray<T>& array) {
    std::vector<hsize_t> extents;
    Index count = 1;
    for (const Index extent : array.shape) {
      extents.push_back(static_cast<hsize_t>(extent));
      count *= extent;
    }
    if (extents.empty() || count != static_cast<Index>(array.values.size()))
      throw internal_error("the record's '" + name + "' has not its shape");
    return Dataspace(H5Screate_simple(static_cast<int>(extents.size()), extents.data(), nullptr));
  }

  void put_value(hid_t group, const std::string& name, bool value) {
    const signed char byte = value ? 1 : 0;
    const Datatype type = boolean_type();
    put_attribute(group, name, type, type, &byte);
  }
  void put_value(hid_t group, const std::string& name, std::int64_t value) {
    put_attribute(group, name, H5T_STD_I64LE, H5T_NATIVE_INT64, &value);
  }
  void put_value(hid_t group, const std::string& name, std::uint64_t value) {
    put_attribute(group, name, H5T_STD_U64LE, H5T_NATIVE_UINT64, &value);
  }
  void put_value(hid_t group, const std::string& name, double value) {
    const double stored = positive_zero(value);
    put_attribute(group, name, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, &stored);
  }
  void put_value(hid_t group, const std::string& name, const std::string& value) {
    const Datatype type = text_type(value.size());
    if (value.size() <= kLongestAttribute) return put_attribute(group, name, type, type, value.c_str());
    put_dataset(group, name, type, Dataspace(H5Screate(H5S_SCALAR)), value.c_str());
  }
  void put_value(hid_t group, const std::string& name, const RecordArray<double>& array) {
    const Dataspace space = space_of(name, array);
    const auto negative = [](double value) { return value == 0.0 && std::signbit(value); };
    if (std::none_of(array.values.begin(), array.values.end(), negative))
      return put_dataset(group, name, H5T_IEEE_F64LE, space, array.values.data());
    auto& values = numbers_.emplace_back(array.values);
    std::transform(values.begin(), values.end(), values.begin(), positive_zero);
    put_dataset(group, name, H5T_IEEE_F64LE, space, values.data());
  }
  void put_value(hid_t group, const std::string& name, const RecordArray<std::int64_t>& array) {
    put_dataset(group, name, H5T_STD_I64LE, space_of(name, array), array.values.data());
  }
  void put_value(hid_t group, const std::string& name, const RecordArray<std::string>& array) {
    const Dataspace space = space_of(name, array);
    std::size_t longest = 1;
    for (const auto& text : array.values) longest = std::max(longest, text.size());
    std::string& joined = texts_.emplace_back(longest * array.values.size(), '\0');
    for (std::size_t i = 0; i < array.values.size(); ++i)
      std::copy(array.values[i].begin(), array.values[i].end(),
                joined.begin() + static_cast<std::ptrdiff_t>(i * longest));
    const Datatype type = text_type(longest);
    put_dataset(group, name, type, space, joined.data());
  }

  std::string path_;
  std::map<std::string, Group> groups_;
  std::vector<ArrayContent> contents_;
  std::deque<std::vector<double>> numbers_;  // what differs from the record: −0 as 0, texts padded
  std::deque<std::string> texts_;
};

void require(bool good, const std::string& path, const char* call) {
  if (!good)
    throw Error(ErrorCode::io_failed, "writing " + path + " failed: " + last_error() + " (" + call +
                                          "); an older file stays as it was");
}

/// The file with all but the bytes of its arrays.
void build(const Record& record, const std::string& path, File& file, Writer& writer) {
  writer.put(kFormatAttribute, kModelFormat);
  for (const auto& [name, value] : record.entries()) writer.put(name, value);
  writer.put(kDigestAttribute, record.sha256());
  writer.close_groups();
  require(file.close(), path, "H5Fclose");
}

void save(const Record& record, const std::string& path) {
  const Quiet quiet;
  std::size_t bytes = 0;
  std::size_t metadata_bytes = std::size_t{1} << 16;
  for (const auto& [name, value] : record.entries()) {
    bytes += std::visit(CheckEntry{name}, value);
    metadata_bytes += 4096 + 2 * name.size();
    if (const auto* text = std::get_if<std::string>(&value))
      metadata_bytes += 2 * std::min(kLongestAttribute, text->size());
  }
  OutputFile output(path);
  Image image;
  const PropertyList access = file_access();
  const PropertyList creation = file_creation();
  image.use(access, bytes, metadata_bytes);
  std::optional<Writer> writer;
  try {
    File file(H5Fcreate("model", H5F_ACC_TRUNC, creation, access));
    require(file.valid(), path, "H5Fcreate");
    build(record, path, file, writer.emplace(file, path));
  } catch (const Error&) {
    if (image.exhausted()) throw std::bad_alloc();
    throw;
  }
  output.resize(static_cast<Index>(image.length()));
  output.write_at(0, image.bytes());
  for (const auto& content : writer->contents()) output.write_at(content.offset, content.bytes);
  output.commit();
}

}  // namespace

namespace hdf5 {

Datatype boolean_type() {
  Datatype type(H5Tenum_create(H5T_STD_I8LE));
  for (const auto& [name, value] : {std::pair<const char*, signed char>{"FALSE", 0}, {"TRUE", 1}})
    if (!type.valid() || H5Tenum_insert(type, name, &value) < 0)
      throw internal_error("H5Tenum_insert failed: " + last_error());
  return type;
}

}  // namespace hdf5

void write_model(const Context& context, const Record& record, const std::string& path) {
  const FloatEnvironment environment;  // where denormals are zeros, they would be taken for -0.0
  context.comm().collectively([&] {
    if (context.rank() == 0) save(record, path);
  });
}

}  // namespace firesteel
