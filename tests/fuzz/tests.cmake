# SPDX-License-Identifier: Apache-2.0
# The kept corpus as ordinary tests: each input at one rank and at three, which must give what one rank by itself gives.
find_package(Python3 REQUIRED COMPONENTS Interpreter)
include("${CMAKE_CURRENT_LIST_DIR}/targets.cmake")
add_library(firesteel_fuzz_replay OBJECT "${CMAKE_CURRENT_LIST_DIR}/replay.cpp" "${CMAKE_CURRENT_LIST_DIR}/mutator.cpp")
if(NOT FIRESTEEL_SANITIZE) # sanitizers bring their own malloc
  target_sources(firesteel_fuzz_replay PRIVATE "${CMAKE_CURRENT_LIST_DIR}/counted_memory.cpp")
endif()
target_link_libraries(firesteel_fuzz_replay PUBLIC firesteel_fuzz)
foreach(target IN LISTS FIRESTEEL_FUZZ_TARGETS)
  add_executable(replay_${target} $<TARGET_OBJECTS:firesteel_fuzz_${target}>)
  target_link_libraries(replay_${target} PRIVATE firesteel_fuzz_replay)
  foreach(ranks IN ITEMS 1 3)
    set(name fuzz.${target}.np${ranks})
    add_test(NAME ${name} COMMAND ${MPIEXEC_EXECUTABLE} --oversubscribe --bind-to none -n ${ranks}
                                  $<TARGET_FILE:replay_${target}> "${CMAKE_CURRENT_LIST_DIR}/corpus/${target}")
    # HDF5 1.10 forgets memory where a file is damaged: leaks are not looked for there.
    set_tests_properties(
      ${name}
      PROPERTIES PROCESSORS ${ranks} TIMEOUT 120 LABELS "mpi;fuzz;np${ranks}"
                 ENVIRONMENT
                 "OMPI_ALLOW_RUN_AS_ROOT=1;OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1;OMP_WAIT_POLICY=passive;OMPI_MCA_pml=ob1;OMPI_MCA_btl=self,vader;OMPI_MCA_mpi_yield_when_idle=1;OMPI_MCA_btl_vader_single_copy_mechanism=none")
    if(target MATCHES "^(hdf5|model)")
      set_property(TEST ${name} APPEND PROPERTY ENVIRONMENT "ASAN_OPTIONS=detect_leaks=0")
    endif()
  endforeach()
endforeach()

# Ten seconds of new inputs for each target. By the release build, in every run of the tests: made without a look at what they
# reach, always from the same seed, so that a change alone makes a test fail. Held against what the target checks (answers,
# memory), against 20 seconds an input and 4 GiB; not against the sanitizers.
# By libFuzzer, which looks, and under sanitizers: scripts/test --full builds those targets (preset fuzz); where they are not
# built these tests are skipped.
if(NOT FIRESTEEL_SANITIZE)
  foreach(target IN LISTS FIRESTEEL_FUZZ_TARGETS)
    set(longest 512)
    if(FIRESTEEL_FUZZ_LONGEST_${target})
      set(longest ${FIRESTEEL_FUZZ_LONGEST_${target}})
    endif()
    add_test(NAME fuzz.${target}.10s
             COMMAND replay_${target} --seconds 10 --seed 1 --longest ${longest} --dictionary
                     "${CMAKE_CURRENT_LIST_DIR}/dictionaries/${target}.dict" --failures "${PROJECT_BINARY_DIR}/fuzz-failures"
                     "${CMAKE_CURRENT_LIST_DIR}/corpus/${target}")
    set_tests_properties(fuzz.${target}.10s PROPERTIES TIMEOUT 120 LABELS fuzz
                                                       ENVIRONMENT "OMPI_ALLOW_RUN_AS_ROOT=1;OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1")
    add_test(NAME fuzz.${target}.guided COMMAND Python3::Interpreter "${CMAKE_CURRENT_LIST_DIR}/run" --no-build --target ${target}
                                                --seconds 10)
    set_tests_properties(fuzz.${target}.guided PROPERTIES TIMEOUT 300 LABELS "fuzz;long" SKIP_RETURN_CODE 77)
  endforeach()
endif()
