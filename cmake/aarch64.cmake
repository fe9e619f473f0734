# SPDX-License-Identifier: Apache-2.0
# Toolchain file: AArch64 Linux by Debian's cross compiler, with the libraries of a root of arm64 packages that
# ./scripts/aarch64 fetches; programs made run under qemu-aarch64.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
set(CMAKE_LIBRARY_ARCHITECTURE aarch64-linux-gnu)

set(FIRESTEEL_AARCH64_ROOT "${CMAKE_CURRENT_LIST_DIR}/../build/aarch64-root" CACHE PATH "Root of arm64 packages")
list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES FIRESTEEL_AARCH64_ROOT)
file(REAL_PATH "${FIRESTEEL_AARCH64_ROOT}" CMAKE_SYSROOT)
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64 -L ${CMAKE_SYSROOT})
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)

set(ENV{PKG_CONFIG_LIBDIR} "${CMAKE_SYSROOT}/usr/lib/aarch64-linux-gnu/pkgconfig:${CMAKE_SYSROOT}/usr/share/pkgconfig")
set(ENV{PKG_CONFIG_SYSROOT_DIR} "${CMAKE_SYSROOT}")

# The compilers' wrappers of MPI and HDF5 tell of this machine's libraries: said here instead.
set(firesteel_libraries "${CMAKE_SYSROOT}/usr/lib/aarch64-linux-gnu")
set(MPI_SKIP_COMPILER_WRAPPER TRUE)
foreach(language IN ITEMS C CXX)
  set(MPI_${language}_LIB_NAMES mpi CACHE STRING "")
  set(MPI_${language}_HEADER_DIR "${firesteel_libraries}/openmpi/include" CACHE PATH "")
endforeach()
set(MPI_mpi_LIBRARY "${firesteel_libraries}/openmpi/lib/libmpi.so" CACHE FILEPATH "")
set(HDF5_C_COMPILER_EXECUTABLE NO CACHE STRING "")
set(HDF5_C_INCLUDE_DIR "${CMAKE_SYSROOT}/usr/include/hdf5/openmpi" CACHE PATH "")
set(HDF5_hdf5_LIBRARY_RELEASE "${firesteel_libraries}/libhdf5_openmpi.so" CACHE FILEPATH "")
