# SPDX-License-Identifier: Apache-2.0
# Inputs and outputs by URL, against servers that the tests start.
if(FIRESTEEL_HAS_STORES)
  # firesteel_add_store_test(NAME LABEL SCRIPT WORDS...)
  function(firesteel_add_store_test name label script)
    add_test(NAME stores.${name} COMMAND ${Python3_EXECUTABLE} "${PROJECT_SOURCE_DIR}/tests/stores/${script}" ${ARGN})
    set_tests_properties(
      stores.${name}
      PROPERTIES PROCESSORS 2
                 TIMEOUT 600
                 LABELS ${label}
                 ENVIRONMENT
                 "FIRESTEEL_PROGRAM=$<TARGET_FILE:firesteel>;FIRESTEEL_MPIRUN=${MPIEXEC_EXECUTABLE};PYTHONDONTWRITEBYTECODE=1")
  endfunction()
  firesteel_add_store_test(http stores test_http.py)
  firesteel_add_store_test(s3 stores test_s3.py moto)
  firesteel_add_store_test(webhdfs stores test_webhdfs.py)
  # Real servers that take minutes to fetch or build: ./scripts/test --full.
  firesteel_add_store_test(s3_versitygw servers test_s3.py versitygw)
  firesteel_add_store_test(hdfs servers test_hdfs.py)
endif()
