# SPDX-License-Identifier: Apache-2.0
# What the sanitizers are there to find, on purpose: a build in which they are deaf would pass every other test.
if(FIRESTEEL_SANITIZE)
  add_executable(seeded_fault sanitizers/seeded_fault.cpp)
  target_link_libraries(seeded_fault PRIVATE firesteel::core)
  set(report_race "WARNING: ThreadSanitizer: data race")
  set(report_overrun "ERROR: AddressSanitizer: heap-buffer-overflow")
  set(report_leak "ERROR: LeakSanitizer: detected memory leaks")
  set(report_overflow "runtime error: signed integer overflow")
  set(faults overrun leak overflow)
  if(FIRESTEEL_SANITIZE MATCHES "thread")
    set(faults race)
  endif()
  foreach(fault IN LISTS faults)
    add_test(NAME sanitizers.${fault} COMMAND seeded_fault ${fault})
    set_tests_properties(sanitizers.${fault} PROPERTIES TIMEOUT 60 PASS_REGULAR_EXPRESSION "${report_${fault}}"
                                                        ENVIRONMENT
                                                        "OMPI_ALLOW_RUN_AS_ROOT=1;OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1")
  endforeach()
endif()
