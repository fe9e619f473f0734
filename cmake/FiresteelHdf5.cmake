# SPDX-License-Identifier: Apache-2.0
# The HDF5 that find_package(HDF5) found, as one target. Used by the build and by the installed package.

if(NOT HDF5_IS_PARALLEL)
  message(FATAL_ERROR "HDF5 was found without MPI support (${HDF5_C_LIBRARIES}). Install libhdf5-openmpi-dev, or set "
                      "HDF5_ROOT to a parallel build.")
endif()
if(NOT TARGET firesteel_hdf5)
  add_library(firesteel_hdf5 INTERFACE IMPORTED)
  target_include_directories(firesteel_hdf5 INTERFACE ${HDF5_C_INCLUDE_DIRS})
  target_link_libraries(firesteel_hdf5 INTERFACE ${HDF5_C_LIBRARIES} MPI::MPI_C)
endif()
