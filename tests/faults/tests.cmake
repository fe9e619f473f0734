# SPDX-License-Identifier: Apache-2.0
# A sample of the random kills; tests/faults/run --kills N runs as many as one likes.
add_test(NAME faults.kills COMMAND ${Python3_EXECUTABLE} "${CMAKE_CURRENT_LIST_DIR}/run" --kills 25 --program
                                   $<TARGET_FILE:firesteel>)
set_tests_properties(faults.kills PROPERTIES PROCESSORS 2 TIMEOUT 600 LABELS faults)
