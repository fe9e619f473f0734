# SPDX-License-Identifier: Apache-2.0
# The tests of a sanitized build (FIRESTEEL_SANITIZE): what the sanitizers are told, and more time.

# firesteel_sanitize_tests(): for the tests of this directory; called when all of them are there. Tests see
# FIRESTEEL_SANITIZE in their environment; what a test brings itself (ASAN_OPTIONS) stays.
function(firesteel_sanitize_tests)
  if(NOT FIRESTEEL_SANITIZE)
    return()
  endif()
  set(lists "${PROJECT_SOURCE_DIR}/scripts/sanitizers")
  if(FIRESTEEL_SANITIZE MATCHES "thread")
    # LLVM's OpenMP runtime tells the sanitizer by this library what it orders; without it races are reported falsely.
    find_library(FIRESTEEL_ARCHER archer PATHS /usr/lib/llvm-14/lib REQUIRED)
    # Modules that are not instrumented (Open MPI, HDF5) order their threads in ways the sanitizer cannot see.
    set(told "OMP_TOOL_LIBRARIES=${FIRESTEEL_ARCHER}"
             "TSAN_OPTIONS=ignore_noninstrumented_modules=1:second_deadlock_stack=1:suppressions=${lists}/races.supp")
  else()
    set(told "LSAN_OPTIONS=suppressions=${lists}/leaks.supp:print_suppressions=0"
             "UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1")
    # Tests that damage HDF5 files on purpose: what HDF5 itself forgets there is left out too.
    file(READ "${lists}/leaks.supp" leaks)
    file(READ "${PROJECT_SOURCE_DIR}/tests/fuzz/leaks.supp" leaks_at_damage)
    file(CONFIGURE OUTPUT "${PROJECT_BINARY_DIR}/leaks_at_damage.supp" CONTENT "${leaks}${leaks_at_damage}" @ONLY)
  endif()
  get_property(names DIRECTORY PROPERTY TESTS)
  foreach(name IN LISTS names)
    get_property(environment TEST "${name}" PROPERTY ENVIRONMENT)
    if(FIRESTEEL_SANITIZE MATCHES "thread")
      string(REPLACE "OMP_NUM_THREADS=2" "OMP_NUM_THREADS=4" environment "${environment}") # more to race with
      # Threads race within a rank: more ranks only where a thread of its own talks to them.
      if(name MATCHES "\\.np[2-9]$" AND NOT name MATCHES "^(checkpoint|watchdog)\\.")
        set_property(TEST "${name}" APPEND PROPERTY LABELS ranks_only)
      endif()
    endif()
    get_property(seconds TEST "${name}" PROPERTY TIMEOUT)
    if(NOT seconds)
      set(seconds 120)
    endif()
    math(EXPR seconds "5 * ${seconds}")
    list(APPEND environment "FIRESTEEL_SANITIZE=${FIRESTEEL_SANITIZE}" ${told})
    if(name MATCHES "^(model_file|hdf5_hostile|fuzz)")
      string(REPLACE "${lists}/leaks.supp" "${PROJECT_BINARY_DIR}/leaks_at_damage.supp" environment "${environment}")
    endif()
    set_tests_properties("${name}" PROPERTIES TIMEOUT ${seconds} ENVIRONMENT "${environment}")
  endforeach()
endfunction()
