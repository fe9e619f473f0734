// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <hdf5.h>

#include <string>
#include <utility>

namespace firesteel::hdf5 {

/// Owns an HDF5 identifier; closes it with Close. For io's own files only.
template <herr_t (*Close)(hid_t)>
class Handle {
 public:
  Handle() = default;
  explicit Handle(hid_t id) : id_(id) {}
  Handle(Handle&& other) noexcept : id_(std::exchange(other.id_, H5I_INVALID_HID)) {}
  Handle& operator=(Handle&& other) noexcept {
    if (this != &other) {
      close();
      id_ = std::exchange(other.id_, H5I_INVALID_HID);
    }
    return *this;
  }
  ~Handle() { close(); }

  operator hid_t() const { return id_; }  // NOLINT(google-explicit-constructor): it stands for its identifier
  bool valid() const { return id_ >= 0; }
  /// Closes now and says whether that worked.
  bool close() { return id_ < 0 || Close(std::exchange(id_, H5I_INVALID_HID)) >= 0; }

 private:
  hid_t id_ = H5I_INVALID_HID;
};

using File = Handle<H5Fclose>;
using Group = Handle<H5Gclose>;
using Dataset = Handle<H5Dclose>;
using Attribute = Handle<H5Aclose>;
using Dataspace = Handle<H5Sclose>;
using Datatype = Handle<H5Tclose>;
using PropertyList = Handle<H5Pclose>;
using Object = Handle<H5Oclose>;

/// Keeps HDF5 from printing its own error stack while in scope: messages are ours, and one line. After a
/// failure it stays silent for the rest of the program. Filters that a file names are not loaded from plugins
/// meanwhile: a file does not decide what is run.
class Quiet {
 public:
  Quiet();
  ~Quiet();
  Quiet(const Quiet&) = delete;
  Quiet& operator=(const Quiet&) = delete;

 private:
  H5E_auto2_t function_ = nullptr;
  void* data_ = nullptr;
  unsigned plugins_ = 0;
};

/// The innermost message of HDF5's error stack: what it found wrong.
std::string last_error();

/// A fixed-length, null-padded UTF-8 text type of `length` bytes (at least 1).
Datatype text_type(std::size_t length);

/// File access with the one format version that all our files have (1.8), so that bytes are reproducible.
PropertyList file_access();
/// Files are opened by open_input() with this access, for URLs. For reading only.
void use_store(const PropertyList& access);
/// Creation properties without time stamps.
PropertyList file_creation();
PropertyList group_creation();
/// Access properties for objects named by a path, by which no link leads to another file.
PropertyList link_access();
PropertyList group_access();
PropertyList dataset_access();
/// Contiguous, no filters, no times, space allocated at once and not filled.
PropertyList dataset_creation();

}  // namespace firesteel::hdf5
