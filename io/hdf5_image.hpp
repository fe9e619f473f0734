// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "firesteel/io/hdf5_handle.hpp"

namespace firesteel::hdf5 {

/// The metadata of an HDF5 file, built in memory and taken over when HDF5 closes it; arrays are allocated and
/// not written, that is done by pwrite afterwards. So HDF5 1.10 never meets a full disk: a close that fails
/// leaves it with a file that crashes the program's end. H5Fget_file_image would be shorter, but it clears a
/// flag of the superblock without renewing the checksum beside it, and the image cannot be opened. New memory
/// is zeroed, so that bytes are reproducible.
class Image {
 public:
  Image();
  Image(const Image&) = delete;
  Image& operator=(const Image&) = delete;
  ~Image();

  /// Makes `access` build the file here. Where arrays are large, room for `metadata_bytes` is made before
  /// them, so that memory holds that part only.
  void use(const PropertyList& access, std::size_t array_bytes, std::size_t metadata_bytes);
  /// The file's beginning, arrays as zeros, once it is closed. Throws internal_error where it is no HDF5
  /// file.
  std::span<const std::byte> bytes() const;
  /// The whole file's length.
  std::size_t length() const;
  /// HDF5 failed because memory for the file could not be had.
  bool exhausted() const;

 private:
  struct Memory;
  std::unique_ptr<Memory> memory_;
};

}  // namespace firesteel::hdf5
