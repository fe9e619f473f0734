# SPDX-License-Identifier: Apache-2.0
# What URL stores are built with: libcurl's headers (the library is loaded when the first URL is met) and pugixml. Sets
# FIRESTEEL_HAS_STORES and makes firesteel_xml. Used by the build and, where it has stores, by the installed package.

set(FIRESTEEL_STORES "AUTO" CACHE STRING "http, https, s3 and hdfs URLs: ON, OFF, or AUTO where libcurl and pugixml are found")
set(FIRESTEEL_HAS_STORES FALSE)
if(FIRESTEEL_STORES)
  find_path(CURL_INCLUDE_DIRS curl/curl.h)
  find_path(FIRESTEEL_PUGIXML_INCLUDE_DIR pugixml.hpp)
  find_library(FIRESTEEL_PUGIXML_LIBRARY NAMES libpugixml.a pugixml)
  if(CURL_INCLUDE_DIRS AND FIRESTEEL_PUGIXML_INCLUDE_DIR AND FIRESTEEL_PUGIXML_LIBRARY)
    set(FIRESTEEL_HAS_STORES TRUE)
    if(NOT TARGET firesteel_xml)
      add_library(firesteel_xml INTERFACE IMPORTED)
      target_include_directories(firesteel_xml INTERFACE "${FIRESTEEL_PUGIXML_INCLUDE_DIR}")
      target_link_libraries(firesteel_xml INTERFACE "${FIRESTEEL_PUGIXML_LIBRARY}")
    endif()
  elseif(FIRESTEEL_STORES STREQUAL "AUTO")
    message(STATUS "No libcurl or no pugixml: URLs are not read (libcurl4-openssl-dev, libpugixml-dev)")
  else()
    message(FATAL_ERROR "libcurl or pugixml was not found: install libcurl4-openssl-dev and libpugixml-dev, or set "
                        "FIRESTEEL_STORES=OFF.")
  endif()
endif()
