# SPDX-License-Identifier: Apache-2.0
# Three hosts made of network namespaces: run by ./scripts/test --full only.
if(NOT FIRESTEEL_SANITIZE)
  add_executable(host_traffic hosts/host_traffic.cpp)
  target_link_libraries(host_traffic PRIVATE firesteel::core)
  foreach(name IN ITEMS answers losses wire blocks)
    add_test(NAME hosts.${name} COMMAND ${Python3_EXECUTABLE} "${CMAKE_CURRENT_LIST_DIR}/run" ${name} --program
                                        $<TARGET_FILE:firesteel> --traffic $<TARGET_FILE:host_traffic>)
    # One at a time: each is three hosts with a process or two a host, and bounds in seconds.
    set_tests_properties(hosts.${name} PROPERTIES PROCESSORS 2 TIMEOUT 600 SKIP_RETURN_CODE 77 RESOURCE_LOCK hosts
                                                  LABELS servers ENVIRONMENT "PYTHONDONTWRITEBYTECODE=1")
  endforeach()
endif()
