# SPDX-License-Identifier: Apache-2.0
# Samples of what tests/faults/run does for as long as one likes.
if(NOT FIRESTEEL_SANITIZE)
  add_library(firesteel_faults MODULE faults/shim.c)
  target_link_libraries(firesteel_faults PRIVATE ${CMAKE_DL_LIBS})
  # Not the flags of the C++ sources: C has not all of them.
  set_target_properties(firesteel_faults PROPERTIES LIBRARY_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/tests"
                                                    COMPILE_OPTIONS "-std=gnu11;-ffp-contract=off;-fno-fast-math;-Wall;-Wextra")

  add_executable(throwing_step faults/throwing_step.cpp)
  target_link_libraries(throwing_step PRIVATE firesteel::cli)

  set(faults_kills --kills 25)
  set(faults_io --faults io)
  set(faults_memory --faults memory)
  set(faults_stops --faults stops)
  set(faults_disks --faults disks)
  foreach(name IN ITEMS kills io memory stops disks)
    add_test(NAME faults.${name} COMMAND ${Python3_EXECUTABLE} "${CMAKE_CURRENT_LIST_DIR}/run" ${faults_${name}}
                                         --program $<TARGET_FILE:firesteel> --shim $<TARGET_FILE:firesteel_faults>)
    set_tests_properties(faults.${name} PROPERTIES PROCESSORS 2 TIMEOUT 600 LABELS faults
                                                   ENVIRONMENT "PYTHONDONTWRITEBYTECODE=1")
  endforeach()
  # These run a process at a time mostly, or wait.
  set_tests_properties(faults.io faults.memory faults.stops faults.disks PROPERTIES PROCESSORS 1)

  # Under an Open MPI 5, which ./scripts/test --full puts into build/ulfm; fails where that is not there.
  add_test(NAME faults.shrinking
           COMMAND ${Python3_EXECUTABLE} "${CMAKE_CURRENT_LIST_DIR}/run" --shrink 25 --program $<TARGET_FILE:firesteel>
                   --shim $<TARGET_FILE:firesteel_faults>)
  set_tests_properties(faults.shrinking PROPERTIES PROCESSORS 4 TIMEOUT 900 LABELS "faults;servers"
                                                   ENVIRONMENT "PYTHONDONTWRITEBYTECODE=1")
endif()
