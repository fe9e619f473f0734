// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "firesteel/core/index.hpp"
#include "firesteel/io/hdf5_handle.hpp"

namespace firesteel::hdf5 {

enum class ValueKind { integer, unsigned_integer, real, text };

struct SourceArray {
  ValueKind kind = ValueKind::real;
  std::vector<Index> shape;
};

/// An HDF5 file of anybody's, open for reading. Local; every failure is an Error that names the file. Nothing
/// is believed before it is checked: arrays lie in this file (no external links, external or virtual
/// storage), are compressed by filters that HDF5 has itself, and take no more memory than most_bytes().
class Source {
 public:
  /// Throws 66 where the file is absent or unreadable, 65 where it is no HDF5 file or damaged.
  Source(std::string path, Index file_number);

  const std::string& path() const { return path_; }
  /// What an array, a chunk of one or a list may take in memory: 1100 times the file's bytes, which is more
  /// than deflate can expand to (1032), and 256 MiB.
  hsize_t most_bytes() const { return most_bytes_; }
  bool has(const std::string& name) const;
  bool is_group(const std::string& name) const;
  /// Names of the arrays and groups at the top, for messages.
  std::vector<std::string> contents() const;

  /// Shape and kind of an array of `dimensions` dimensions. Throws 65 with what was found.
  SourceArray array(const std::string& name, int dimensions) const;

  /// Rows [first, first + rows) of a 1-D array of numbers, converted to T (double, float, int64, uint64).
  template <class T>
  void read(const std::string& name, Index first, Index rows, T* out) const;
  /// Rows and columns of a 2-D array of numbers, row-major.
  template <class T>
  void read(const std::string& name, Index first, Index rows, Index first_column, Index columns,
            T* out) const;
  /// Rows of a 1-D array of texts, of fixed or variable length.
  std::vector<std::string> read_texts(const std::string& name, Index first, Index rows) const;

  /// A list attribute of an array or group ("/" is the file's top); nullopt where there is none.
  std::optional<std::vector<std::string>> texts_attribute(const std::string& object,
                                                          const std::string& name) const;
  std::optional<std::vector<std::int64_t>> integers_attribute(const std::string& object,
                                                              const std::string& name) const;

  /// Throws 65: the path, then `what`. Ordered by file and row.
  [[noreturn]] void fail(const std::string& what, Index row = 0) const;

 private:
  const Dataset& dataset(const std::string& name) const;
  void check_storage(const std::string& name, hid_t dataset) const;
  void check_size(const std::string& name, hsize_t count, std::size_t value_bytes) const;
  void read_hyperslab(const std::string& name, const std::vector<hsize_t>& first,
                      const std::vector<hsize_t>& count, hid_t memory_type, void* out,
                      hid_t transfer = H5P_DEFAULT) const;
  std::optional<Attribute> open_attribute(const std::string& object, const std::string& name) const;
  std::vector<std::string> texts_of(const Datatype& type, hid_t space, const char* values, std::size_t count,
                                    hid_t transfer) const;

  std::string path_;
  Index file_number_;
  hsize_t most_bytes_ = 0;
  PropertyList link_access_;
  PropertyList dataset_access_;
  File file_;
  mutable std::map<std::string, Dataset> datasets_;
};

}  // namespace firesteel::hdf5
