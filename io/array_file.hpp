// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "firesteel/core/columns.hpp"
#include "firesteel/core/context.hpp"
#include "firesteel/io/output_file.hpp"

namespace firesteel {

/// An array of an HDF5 file to be written.
struct OutputArray {
  enum class Type { real64, real32, int64, int32, text };
  std::string name;  ///< a path: groups are made
  Type type = Type::real64;
  std::vector<Index> shape;     ///< over all ranks
  std::size_t text_length = 1;  ///< of `text`: the longest of all ranks

  std::size_t value_bytes() const;
};

/// A list stored with an array or group of an HDF5 file.
struct OutputAttribute {
  std::string object;
  std::string name;
  ColumnValues values;  ///< int64 or texts
};

/// A file of arrays that appears whole or not at all and that all ranks fill, each its own runs of values, in
/// order.
class ArrayOutput {
 public:
  explicit ArrayOutput(const std::vector<OutputArray>& arrays) {
    for (const auto& array : arrays) value_bytes_.push_back(array.value_bytes());
  }
  virtual ~ArrayOutput() = default;
  ArrayOutput(const ArrayOutput&) = delete;
  ArrayOutput& operator=(const ArrayOutput&) = delete;

  /// Writes values of array `array` from its value number `first` on, as they lie in memory. Local: call
  /// inside collectively().
  virtual void write(std::size_t array, Index first, std::span<const std::byte> bytes) = 0;
  template <class T>
  void write(std::size_t array, Index first, const std::vector<T>& values) {
    write(array, first, std::as_bytes(std::span(values)));
  }
  /// Texts are padded to the array's length, in bounded pieces.
  void write_texts(std::size_t array, Index first, std::span<const std::string> texts);
  /// Collective.
  virtual void commit() = 0;

 protected:
  Index value_bytes(std::size_t array) const { return static_cast<Index>(value_bytes_[array]); }

 private:
  std::vector<std::size_t> value_bytes_;
};

/// HDF5: rank 0 lays out contiguous arrays by HDF5, then every rank writes its own ranges of them by pwrite.
/// Bytes do not depend on the ranks, one rank's full disk is an errno of its own, and no rank waits in HDF5
/// for another.
class ArrayFile final : public ArrayOutput {
 public:
  /// Collective; arguments replicated. Throws 73, 74.
  /// Arrays of 4 KiB and more begin on a boundary of `alignment` bytes.
  ArrayFile(Communicator& comm, const std::string& path, const std::vector<OutputArray>& arrays,
            const std::vector<OutputAttribute>& attributes = {}, std::size_t alignment = 1);

  using ArrayOutput::write;
  void write(std::size_t array, Index first, std::span<const std::byte> bytes) override;
  void commit() override { file_.commit(); }

 private:
  SharedOutputFile file_;
  std::vector<Index> offsets_;
};

/// NumPy's .npz: a zip archive of stored .npy arrays, named as in HDF5 without the group; sparse rows as
/// scipy.sparse.save_npz names them. Attributes become arrays. A .npy file is its first array alone. Bytes do
/// not depend on the ranks.
class NpzFile final : public ArrayOutput {
 public:
  /// Collective; arguments replicated. Throws 73, 74.
  NpzFile(Communicator& comm, const std::string& path, std::vector<OutputArray> arrays,
          const std::vector<OutputAttribute>& attributes = {});

  using ArrayOutput::write;
  void write(std::size_t array, Index first, std::span<const std::byte> bytes) override;
  void commit() override;

 private:
  struct Member {
    std::string name;
    std::string header;  ///< of the .npy array
    Index local_header = 0;
    Index data = 0;
    Index data_bytes = 0;
    std::uint32_t sum = 0;  ///< CRC-32 of what this rank wrote of it, and how much that was
    Index written = 0;
  };
  void add(const std::string& name, const std::string& descr, const std::vector<Index>& shape, Index bytes);
  void write_member(Member& member, Index offset, std::span<const std::byte> bytes);

  Communicator& comm_;
  bool whole_ = false;  ///< a .npy file
  SharedOutputFile file_;
  std::vector<Member> members_;
  Index end_ = 0;
};

/// Length of the longest text of all ranks, at least 1. Collective.
std::size_t longest_text(Communicator& comm, std::span<const std::string> texts);

}  // namespace firesteel
