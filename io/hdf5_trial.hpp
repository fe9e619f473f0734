// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace firesteel {

/// What HDF5 said in a directory; an empty text is no complaint.
struct Hdf5Trial {
  std::string
      as_firesteel;       ///< without locks, unless the environment variable HDF5_USE_FILE_LOCKING wants them
  std::string as_others;  ///< with HDF5's own defaults: h5dump, h5py
};
/// Writes a small HDF5 file at `path`, which must not exist, and opens it as Firesteel and as other programs
/// do; removes it. Local.
Hdf5Trial try_hdf5(const std::string& path);

}  // namespace firesteel
