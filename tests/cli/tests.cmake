# SPDX-License-Identifier: Apache-2.0
find_package(Python3 REQUIRED COMPONENTS Interpreter)

firesteel_add_test(cli_options SOURCES cli/options_test.cpp LIBRARIES firesteel::cli RANKS 1)
firesteel_add_test(cli_supervisor SOURCES cli/supervisor_test.cpp LIBRARIES firesteel::cli RANKS 1)

# Black-box tests of the program, one file a section of the contract.
foreach(name IN ITEMS words endings launch train score labels option_uses files formats rows sparse_rows packed parts many_ranks bad_files regular_files bad_input one_answer checkpoints supervisor lost_contact doctor heartbeat stalls memory)
  add_test(NAME cli.${name} COMMAND ${Python3_EXECUTABLE} "${CMAKE_CURRENT_LIST_DIR}/test_${name}.py")
  set_tests_properties(
    cli.${name}
    PROPERTIES PROCESSORS 2
               TIMEOUT 600
               LABELS cli
               ENVIRONMENT
               "FIRESTEEL_PROGRAM=$<TARGET_FILE:firesteel>;FIRESTEEL_MPIRUN=${MPIEXEC_EXECUTABLE};PYTHONDONTWRITEBYTECODE=1")
endforeach()
# These run a process at a time mostly, or wait for something to happen: two of them keep two cores busy.
foreach(name IN ITEMS words option_uses labels files formats regular_files bad_input lost_contact heartbeat stalls supervisor doctor)
  set_tests_properties(cli.${name} PROPERTIES PROCESSORS 1)
endforeach()
# The library that makes calls slow is not there under sanitizers.
if(NOT FIRESTEEL_SANITIZE)
  set_property(TEST cli.stalls APPEND PROPERTY ENVIRONMENT "FIRESTEEL_FAULTS=$<TARGET_FILE:firesteel_faults>")
endif()
