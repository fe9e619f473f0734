# SPDX-License-Identifier: Apache-2.0
# Options of the build and the compile flags that every target shares.

option(FIRESTEEL_BUILD_TESTS "Build the tests" ${PROJECT_IS_TOP_LEVEL})
option(FIRESTEEL_BUILD_EXAMPLES "Build the examples" ${PROJECT_IS_TOP_LEVEL})
option(FIRESTEEL_WARNINGS_AS_ERRORS "Treat warnings as errors" ${PROJECT_IS_TOP_LEVEL})
option(FIRESTEEL_BUILD_BENCH "Build the programs of bench/" OFF)
option(FIRESTEEL_BUILD_FUZZERS "Build the fuzz targets of tests/fuzz with libFuzzer (clang)" OFF)
set(FIRESTEEL_SANITIZE "" CACHE STRING "Sanitizers, as in -fsanitize=: address,undefined or thread")

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Build type" FORCE)
endif()
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

# One answer: the same arithmetic from every compiler and for every machine. No contraction that is not written, no
# reassociation, one baseline; kernels choose their instruction set at run time.
add_compile_options(-ffp-contract=off -fno-fast-math)

add_compile_options(-Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wnon-virtual-dtor -Wold-style-cast
                    -Wno-missing-field-initializers) # designated initialisers leave out what has a default
add_compile_options($<$<CXX_COMPILER_ID:Clang>:-Wno-sign-conversion>) # clang counts it as conversion
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  add_compile_options(-Wno-restrict) # false alarms on "text" + std::string: GCC bug 105651
endif()
if(FIRESTEEL_WARNINGS_AS_ERRORS)
  add_compile_options(-Werror)
endif()
if(FIRESTEEL_BUILD_FUZZERS)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()
if(FIRESTEEL_SANITIZE)
  add_compile_options(-fsanitize=${FIRESTEEL_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${FIRESTEEL_SANITIZE})
  if(FIRESTEEL_SANITIZE MATCHES "address")
    # Open MPI unloads its plugins before leaks are looked for, and unloaded frames have no name that could be
    # suppressed: plugins stay loaded.
    add_library(firesteel_no_dlclose SHARED "${PROJECT_SOURCE_DIR}/scripts/sanitizers/no_dlclose.cpp")
    add_link_options(-Wl,--no-as-needed)
    link_libraries("$<BUILD_INTERFACE:firesteel_no_dlclose>")
  endif()
endif()
