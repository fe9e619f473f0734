# SPDX-License-Identifier: Apache-2.0
# Builds and emulates a program for another processor: run by ./scripts/test --full only.
if(NOT FIRESTEEL_SANITIZE AND CMAKE_SYSTEM_PROCESSOR STREQUAL "x86_64")
  add_test(NAME portability.aarch64 COMMAND "${PROJECT_SOURCE_DIR}/scripts/aarch64")
  set_tests_properties(portability.aarch64 PROPERTIES PROCESSORS 2 TIMEOUT 3600 LABELS long)
endif()
