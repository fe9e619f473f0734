// SPDX-License-Identifier: Apache-2.0
#include "firesteel/io/hdf5_trial.hpp"

#include <unistd.h>

#include "firesteel/io/hdf5_handle.hpp"

namespace firesteel {

namespace {

/// Creates, closes and opens the file with one set of access properties. The complaint, or nothing.
std::string write_and_open(const std::string& path, hid_t access) {
  const hdf5::Quiet quiet;
  hdf5::File made(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, access));
  if (!made.valid() || !made.close()) return "cannot write: " + hdf5::last_error();
  const hdf5::File opened(H5Fopen(path.c_str(), H5F_ACC_RDONLY, access));
  return opened.valid() ? std::string() : "cannot open: " + hdf5::last_error();
}

}  // namespace

Hdf5Trial try_hdf5(const std::string& path) {
  Hdf5Trial trial;
  trial.as_firesteel = write_and_open(path, hdf5::file_access());
  trial.as_others = write_and_open(path, H5P_DEFAULT);
  unlink(path.c_str());
  return trial;
}

}  // namespace firesteel
