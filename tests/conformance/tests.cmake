# SPDX-License-Identifier: Apache-2.0
firesteel_add_test(
  conformance
  SOURCES conformance/conformance_test.cpp conformance/conformance_data.cpp
  LIBRARIES firesteel::algorithms
  RANKS 1 2 3 4)
firesteel_add_test(
  resume
  SOURCES conformance/resume_test.cpp conformance/conformance_data.cpp
  LIBRARIES firesteel::algorithms
  RANKS 1 2 3 4)
firesteel_add_test(
  stress
  SOURCES conformance/stress_test.cpp conformance/conformance_data.cpp
  LIBRARIES firesteel::algorithms
  RANKS 1 2 3)
firesteel_add_test(
  out_of_core
  SOURCES conformance/out_of_core_test.cpp conformance/conformance_data.cpp
  LIBRARIES firesteel::algorithms
  RANKS 1 2 3 4)
