# SPDX-License-Identifier: Apache-2.0
# Jobs under a resource manager that the test starts itself: ./scripts/test --full.
if(NOT FIRESTEEL_SANITIZE)
  add_test(NAME cluster.slurm COMMAND ${Python3_EXECUTABLE} "${CMAKE_CURRENT_LIST_DIR}/slurm" --program $<TARGET_FILE:firesteel>)
  set_tests_properties(cluster.slurm PROPERTIES PROCESSORS 2 TIMEOUT 600 LABELS servers SKIP_RETURN_CODE 77
                                                ENVIRONMENT "PYTHONDONTWRITEBYTECODE=1")
endif()
