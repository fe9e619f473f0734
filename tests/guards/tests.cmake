# SPDX-License-Identifier: Apache-2.0
# Guards of speed that noise cannot break.
find_package(Python3 REQUIRED COMPONENTS Interpreter)

# It counts allocations by an operator new of its own, which the thread sanitizer brings too.
if(NOT FIRESTEEL_SANITIZE MATCHES "thread")
  firesteel_add_test(traffic AS_RELEASED SOURCES guards/traffic_test.cpp LIBRARIES firesteel::algorithms firesteel::io firesteel::linalg RANKS 1 2 3 4 64)
  set_tests_properties(traffic.np64 PROPERTIES PROCESSORS 4 TIMEOUT 600 LABELS "mpi;long") # the formulas far beyond the cores
endif()

# Sanitizers and other build types have other instructions.
if(NOT FIRESTEEL_SANITIZE AND CMAKE_BUILD_TYPE STREQUAL "Release" AND CMAKE_SYSTEM_PROCESSOR STREQUAL "x86_64")
  add_executable(fit_once guards/fit_once.cpp)
  target_link_libraries(fit_once PRIVATE firesteel::algorithms firesteel::io)
  add_test(NAME instructions COMMAND Python3::Interpreter "${CMAKE_CURRENT_LIST_DIR}/instructions.py" $<TARGET_FILE:fit_once>)
  set_tests_properties(
    instructions PROPERTIES TIMEOUT 400 PROCESSORS 2 ENVIRONMENT
                            "OMPI_ALLOW_RUN_AS_ROOT=1;OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1;OMP_WAIT_POLICY=passive")
  # A processor without fused multiply-add is refused in words, before any kernel runs.
  find_program(FIRESTEEL_QEMU qemu-x86_64)
  if(FIRESTEEL_QEMU)
    add_test(NAME simd.refused COMMAND "${FIRESTEEL_QEMU}" -cpu Nehalem $<TARGET_FILE:fit_once> kmeans_single)
    set_tests_properties(
      simd.refused
      PROPERTIES TIMEOUT 60 PASS_REGULAR_EXPRESSION "has no fused multiply-add"
                 ENVIRONMENT "OMPI_ALLOW_RUN_AS_ROOT=1;OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1;OMP_WAIT_POLICY=passive")
  endif()
endif()
