# SPDX-License-Identifier: Apache-2.0
# The libraries that unpack text, as one target. Used by the build and by the installed package.

if(NOT TARGET firesteel_compression)
  find_path(FIRESTEEL_ZSTD_INCLUDE_DIR zstd.h)
  find_library(FIRESTEEL_ZSTD_LIBRARY zstd)
  if(NOT FIRESTEEL_ZSTD_INCLUDE_DIR OR NOT FIRESTEEL_ZSTD_LIBRARY)
    message(FATAL_ERROR "Zstandard was not found: install libzstd-dev.")
  endif()
  add_library(firesteel_compression INTERFACE IMPORTED)
  target_include_directories(firesteel_compression INTERFACE "${FIRESTEEL_ZSTD_INCLUDE_DIR}")
  target_link_libraries(firesteel_compression INTERFACE ZLIB::ZLIB BZip2::BZip2 LibLZMA::LibLZMA
                                                        "${FIRESTEEL_ZSTD_LIBRARY}")
endif()
