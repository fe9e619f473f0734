# SPDX-License-Identifier: Apache-2.0
# Counts beyond 32 bits, for real: gigabytes and minutes. Label `large`: ./scripts/test --full -L large
firesteel_add_test(
  large_messages
  SOURCES large/large_messages_test.cpp
  RANKS 2
  LABELS large
  TIMEOUT 900)
firesteel_add_test(
  large_rows
  SOURCES large/large_rows_test.cpp
  LIBRARIES firesteel::algorithms
  RANKS 1 2
  LABELS large
  TIMEOUT 900)
set_tests_properties(large_messages.np2 large_rows.np1 large_rows.np2 PROPERTIES RUN_SERIAL ON)
add_test(NAME large.bounds COMMAND ${Python3_EXECUTABLE} "${CMAKE_CURRENT_LIST_DIR}/test_bounds.py")
set_tests_properties(
  large.bounds
  PROPERTIES RUN_SERIAL ON
             TIMEOUT 3600
             LABELS large
             ENVIRONMENT
             "FIRESTEEL_PROGRAM=$<TARGET_FILE:firesteel>;FIRESTEEL_MPIRUN=${MPIEXEC_EXECUTABLE};PYTHONDONTWRITEBYTECODE=1")
