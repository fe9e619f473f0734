// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "firesteel/io/hdf5_handle.hpp"

namespace firesteel::hdf5 {

/// An HDF5 file that is built in memory and taken over when HDF5 closes it. H5Fget_file_image would be
/// shorter, but in HDF5 1.10 it clears a flag of the superblock without renewing the checksum beside it, and
/// the image cannot be opened. New memory is zeroed, so that bytes are reproducible.
class Image {
 public:
  Image();
  Image(const Image&) = delete;
  Image& operator=(const Image&) = delete;
  ~Image();

  /// Makes `access` build the file here.
  void use(const PropertyList& access);
  /// The file's bytes, once it is closed. Throws internal_error where they are no HDF5 file.
  std::span<const std::byte> bytes() const;

 private:
  struct Memory;
  std::unique_ptr<Memory> memory_;
};

}  // namespace firesteel::hdf5
