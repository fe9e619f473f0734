// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "firesteel/core/index.hpp"
#include "firesteel/io/array_source.hpp"
#include "firesteel/io/hdf5_handle.hpp"
#include "firesteel/io/store.hpp"

namespace firesteel::hdf5 {

/// An HDF5 file of anybody's, open for reading: our own layout, AnnData's (X, obs/NAME, var) and MATLAB's
/// (version 7.3, whose arrays are stored transposed), found by their attributes. Arrays lie in this file (no
/// external links, external or virtual storage), are compressed by filters that HDF5 has itself, and take no
/// more memory than most_bytes(). Local.
class Hdf5Source final : public ArraySource {
 public:
  /// Throws 66 where the file is absent or unreadable, 65 where it is no HDF5 file or damaged.
  Hdf5Source(const std::string& path, Index file_number);

  /// 1100 times the file's bytes, which is more than deflate can expand to (1032), and 256 MiB.
  std::uint64_t most_bytes() const override { return most_bytes_; }
  bool has(const std::string& name) const override;
  bool is_group(const std::string& name) const override;
  std::vector<std::string> contents() const override;
  SourceArray array(const std::string& name, int dimensions) const override;
  void read(const std::string& name, Index first, Index rows, double* out) const override;
  void read(const std::string& name, Index first, Index rows, std::int64_t* out) const override;
  void read(const std::string& name, Index first, Index rows, std::uint64_t* out) const override;
  void read(const std::string& name, Index first, Index rows, Index first_column, Index columns,
            double* out) const override;
  std::vector<std::string> read_texts(const std::string& name, Index first, Index rows) const override;
  std::optional<std::vector<std::string>> texts_attribute(const std::string& object,
                                                          const std::string& name) const override;
  std::optional<std::vector<std::int64_t>> integers_attribute(const std::string& object,
                                                              const std::string& name) const override;

 private:
  bool has_path(const std::string& path) const;
  /// Throws 65 where a part of the path is a link to another file.
  void refuse_external_link(const std::string& path) const;
  /// Where a name leads: to itself, `features` also to X, and a column to obs/NAME.
  std::string resolve(const std::string& name) const;
  bool is_transposed(const std::string& name) const;
  /// AnnData's texts by number: a group of codes and categories.
  bool is_categorical(const std::string& name) const;
  template <class T, class Categories>
  std::vector<T> by_code(const std::string& name, Index first, Index rows,
                         const Categories& categories) const;
  template <class T>
  void read_numbers(const std::string& name, Index first, Index rows, hid_t type, T* out) const;
  std::vector<std::string> read_categories(const std::string& name, Index first, Index rows) const;
  /// Reads a 1-D array, or one of a single row or column, into memory of `type`.
  void read_run(const std::string& name, Index first, Index rows, hid_t type, void* out,
                hid_t transfer = H5P_DEFAULT) const;
  std::vector<hsize_t> extents_of(const std::string& name) const;
  const Dataset& dataset(const std::string& name) const;
  void check_storage(const std::string& name, hid_t dataset) const;
  void check_size(const std::string& name, hsize_t count, std::size_t value_bytes) const;
  void read_hyperslab(const std::string& name, const std::vector<hsize_t>& first,
                      const std::vector<hsize_t>& count, hid_t memory_type, void* out,
                      hid_t transfer = H5P_DEFAULT) const;
  std::optional<Attribute> open_attribute(const std::string& object, const std::string& name) const;
  std::vector<std::string> texts_of(const Datatype& type, hid_t space, const char* values, std::size_t count,
                                    hid_t transfer) const;

  std::shared_ptr<const InputFile> input_;
  hsize_t most_bytes_ = 0;
  PropertyList link_access_;
  PropertyList dataset_access_;
  File file_;
  mutable std::map<std::string, Dataset> datasets_;
};

}  // namespace firesteel::hdf5
