// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "firesteel/core/atomic_file.hpp"
#include "firesteel/core/columns.hpp"
#include "firesteel/core/context.hpp"

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

/// An HDF5 file that appears whole or not at all and that all ranks fill: rank 0 lays out contiguous arrays
/// by HDF5, then every rank writes its own ranges of them by pwrite. Bytes do not depend on the ranks, one
/// rank's full disk is an errno of its own, and no rank waits in HDF5 for another.
class ArrayFile {
 public:
  /// Collective; arguments replicated. Throws 73, 74.
  ArrayFile(Communicator& comm, const std::string& path, const std::vector<OutputArray>& arrays,
            const std::vector<OutputAttribute>& attributes = {});

  /// Writes values of array `array` from its value number `first` on, as they lie in memory. Local: call
  /// inside collectively().
  void write(std::size_t array, Index first, std::span<const std::byte> bytes) const;
  template <class T>
  void write(std::size_t array, Index first, const std::vector<T>& values) const {
    write(array, first, std::as_bytes(std::span(values)));
  }
  /// Texts are padded to the array's length, in bounded pieces.
  void write_texts(std::size_t array, Index first, std::span<const std::string> texts) const;
  /// Collective.
  void commit() { file_.commit(); }

 private:
  SharedAtomicFile file_;
  std::vector<Index> offsets_;
  std::vector<std::size_t> value_bytes_;
};

/// Length of the longest text of all ranks, at least 1. Collective.
std::size_t longest_text(Communicator& comm, std::span<const std::string> texts);

}  // namespace firesteel
