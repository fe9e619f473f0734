# SPDX-License-Identifier: Apache-2.0
# One library a folder, so that an include against the layers does not link.

# Headers are spelled "firesteel/core/…" in the build tree as they are when installed.
file(MAKE_DIRECTORY "${PROJECT_BINARY_DIR}/include")
file(CREATE_LINK "${PROJECT_SOURCE_DIR}" "${PROJECT_BINARY_DIR}/include/firesteel" SYMBOLIC)

# The header that includes all, with the version in it.
configure_file("${PROJECT_SOURCE_DIR}/cmake/firesteel.hpp.in" "${PROJECT_BINARY_DIR}/generated/firesteel/firesteel.hpp"
               @ONLY)

# Kernels exist for AVX2, AVX-512 and NEON alone: they have fused multiply-add and give the same bits. Without this list
# Highway would fall back to SSE4 in silence, with other bits, and prefer SVE, for which GCC 12 has no kernels (it crashes).
set(FIRESTEEL_SIMD_TARGETS
    "HWY_DISABLED_TARGETS=(HWY_SSSE3|HWY_SSE4|HWY_AVX3_DL|HWY_SVE|HWY_SVE2|HWY_SVE_256|HWY_SVE2_128)")

# firesteel_add_library(core SOURCES a.cpp … PUBLIC targets… PRIVATE targets…)
function(firesteel_add_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;PUBLIC;PRIVATE" ${ARGN})
  add_library(firesteel_${name} STATIC ${ARG_SOURCES})
  add_library(firesteel::${name} ALIAS firesteel_${name})
  set_target_properties(firesteel_${name} PROPERTIES EXPORT_NAME ${name})
  target_compile_features(firesteel_${name} PUBLIC cxx_std_20)
  target_include_directories(firesteel_${name} PUBLIC "$<BUILD_INTERFACE:${PROJECT_BINARY_DIR}/include>"
                                                      "$<INSTALL_INTERFACE:include>")
  target_link_libraries(firesteel_${name} PUBLIC ${ARG_PUBLIC} PRIVATE ${ARG_PRIVATE})
  firesteel_precompile(firesteel_${name})
endfunction()

# firesteel_add_test(comm SOURCES core/communicator_test.cpp LIBRARIES firesteel::core RANKS 1 2 3 4)
# One ctest a number of ranks, named comm.np3. Never skipped for lack of cores. A release build compiles the test's own
# sources with -O1, in two thirds of the time; AS_RELEASED: as all else, for templates that live in headers (which the examples
# instantiate, too) and for what is counted.
function(firesteel_add_test name)
  cmake_parse_arguments(ARG "AS_RELEASED" "TIMEOUT" "SOURCES;LIBRARIES;RANKS;LABELS" ${ARGN})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 120)
  endif()
  add_executable(${name}_test ${ARG_SOURCES})
  target_link_libraries(${name}_test PRIVATE firesteel_test_main ${ARG_LIBRARIES})
  if(NOT ARG_AS_RELEASED)
    target_compile_options(${name}_test PRIVATE $<$<CONFIG:Release>:-O1>)
    firesteel_share_precompiled(${name}_test firesteel_test_headers)
  endif()
  foreach(ranks IN LISTS ARG_RANKS)
    add_test(NAME ${name}.np${ranks}
             COMMAND ${MPIEXEC_EXECUTABLE} --oversubscribe --bind-to none -n ${ranks} $<TARGET_FILE:${name}_test>
             WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}")
    set_tests_properties(
      ${name}.np${ranks}
      PROPERTIES PROCESSORS ${ranks}
                 TIMEOUT ${ARG_TIMEOUT}
                 LABELS "mpi;np${ranks};${ARG_LABELS}"
                 ENVIRONMENT
                 "OMPI_ALLOW_RUN_AS_ROOT=1;OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1;OMP_NUM_THREADS=2;OMP_WAIT_POLICY=passive;OMPI_MCA_pml=ob1;OMPI_MCA_btl=self,vader;OMPI_MCA_mpi_yield_when_idle=1;OMPI_MCA_btl_vader_single_copy_mechanism=none")
  endforeach()
endfunction()
