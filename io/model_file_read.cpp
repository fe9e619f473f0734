// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <cstring>

#include "firesteel/core/error.hpp"
#include "firesteel/io/model_file.hpp"
#include "firesteel/io/model_format.hpp"
#include "firesteel/io/store.hpp"

namespace firesteel {

namespace {

constexpr std::array<unsigned char, 8> kSignature{0x89, 'H', 'D', 'F', '\r', '\n', 0x1a, '\n'};

/// Looks at the file before HDF5 does; returns its size.
hsize_t check_file(const std::string& path) {
  const auto file = open_input(path);
  std::array<unsigned char, 9> head{};
  const std::size_t length = file->read_at(0, {reinterpret_cast<char*>(head.data()), head.size()});
  if (length == 0) throw bad_input(path + " is empty: expected a Firesteel model");
  if (length < 9 || !std::equal(kSignature.begin(), kSignature.end(), head.begin()))
    throw bad_input(path +
                    " is not an HDF5 file: expected a Firesteel model, as `firesteel train` writes it");
  // Ours have version 2 or later, whose structures carry checksums; older ones do not and are not ours.
  if (head[8] < 2)
    throw bad_input(path + " is an HDF5 file without a Firesteel model (superblock version " +
                    std::to_string(head[8]) + ", expected 2)");
  return static_cast<hsize_t>(file->bytes());
}

Record load(const std::string& path) {
  const hsize_t bytes = check_file(path);
  const hdf5::Quiet quiet;
  const hdf5::PropertyList access = hdf5::file_access();
  if (is_url(path)) hdf5::use_store(access);
  const hdf5::File file(H5Fopen(path.c_str(), H5F_ACC_RDONLY, access));
  if (!file.valid()) rethrow_failed_read();
  if (!file.valid())
    throw bad_input(path + " is damaged: " + hdf5::last_error() + "; copy it again or train anew");
  try {
    return hdf5::load_record(file, path, bytes);
  } catch (const Error&) {
    rethrow_failed_read();
    throw;
  }
}

/// Values as bytes, for one broadcast of everything that is small.
class Packer {
 public:
  std::string bytes;
  template <class T>
  void put(const T& value) requires std::is_trivially_copyable_v<T> {
    bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  void put(const std::string& text) {
    put(text.size());
    bytes += text;
  }
  template <class T>
  void put(const RecordArray<T>& array) {
    put(array.shape.size());
    for (const Index extent : array.shape) put(extent);
    put(array.values.size());
    if constexpr (std::is_same_v<T, std::string>)
      for (const auto& text : array.values) put(text);
  }
};

class Unpacker {
 public:
  explicit Unpacker(const std::string& bytes) : bytes_(bytes) {}
  template <class T>
  void get(T& value) requires std::is_trivially_copyable_v<T> {
    std::memcpy(&value, bytes_.data() + offset_, sizeof value);
    offset_ += sizeof value;
  }
  void get(std::string& text) {
    std::size_t length = 0;
    get(length);
    text = bytes_.substr(offset_, length);
    offset_ += length;
  }
  template <class T>
  void get(RecordArray<T>& array) {
    std::size_t count = 0;
    get(count);
    array.shape.resize(count);
    for (Index& extent : array.shape) get(extent);
    get(count);
    array.values.resize(count);
    if constexpr (std::is_same_v<T, std::string>)
      for (auto& text : array.values) get(text);
  }
  bool done() const { return offset_ == bytes_.size(); }

 private:
  const std::string& bytes_;
  std::size_t offset_ = 0;
};

/// A value of the variant's alternative `kind`, default-made.
template <std::size_t I = 0>
RecordValue make_value(std::size_t kind) {
  if constexpr (I + 1 < std::variant_size_v<RecordValue>)
    if (kind != I) return make_value<I + 1>(kind);
  return RecordValue(std::in_place_index<I>);
}

std::string pack(const std::vector<std::pair<std::string, RecordValue>>& entries) {
  Packer packer;
  for (const auto& [name, value] : entries) {
    packer.put(name);
    packer.put(value.index());
    std::visit([&](const auto& typed) { packer.put(typed); }, value);
  }
  return std::move(packer.bytes);
}

std::vector<std::pair<std::string, RecordValue>> unpack(const std::string& bytes) {
  std::vector<std::pair<std::string, RecordValue>> entries;
  for (Unpacker unpacker(bytes); !unpacker.done();) {
    std::string name;
    std::size_t kind = 0;
    unpacker.get(name);
    unpacker.get(kind);
    RecordValue value = make_value(kind);
    std::visit([&](auto& typed) { unpacker.get(typed); }, value);
    entries.emplace_back(std::move(name), std::move(value));
  }
  return entries;
}

Record broadcast_record(Communicator& comm, const Record& root_record) {
  if (comm.size() == 1) return root_record;
  const bool root = comm.rank() == 0;
  const std::string packed =
      comm.collectively([&] { return root ? pack(root_record.entries()) : std::string(); });
  const std::string received = comm.broadcast_text(packed, 0);
  // Room for the large arrays is made before the first of them is on its way.
  auto entries = comm.collectively([&] { return root ? root_record.entries() : unpack(received); });
  for (auto& entry : entries) {
    if (auto* doubles = std::get_if<RecordArray<double>>(&entry.second))
      comm.broadcast(std::span<double>(doubles->values), 0);
    else if (auto* integers = std::get_if<RecordArray<std::int64_t>>(&entry.second))
      comm.broadcast(std::span<std::int64_t>(integers->values), 0);
  }
  return comm.collectively([&] {
    Record record;
    for (auto& [name, value] : entries) record.set(std::move(name), std::move(value));
    return record;
  });
}

}  // namespace

Record read_model(const Context& context, const std::string& path) {
  Communicator& comm = context.comm();
  set_store_scratch(context.scratch());
  const Record record =
      comm.collectively([&] { return comm.rank() == 0 ? load(shown_name(path)) : Record(); });
  return broadcast_record(comm, record);
}

}  // namespace firesteel
