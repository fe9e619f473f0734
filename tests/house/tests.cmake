# SPDX-License-Identifier: Apache-2.0
# The house around the code: its text, its data, its compile flags.
find_package(Python3 REQUIRED COMPONENTS Interpreter)

add_test(NAME format COMMAND "${PROJECT_SOURCE_DIR}/scripts/format" --check)
add_test(NAME text COMMAND Python3::Interpreter "${CMAKE_CURRENT_LIST_DIR}/check_text.py" "${PROJECT_SOURCE_DIR}")
add_test(NAME datasets COMMAND Python3::Interpreter "${CMAKE_CURRENT_LIST_DIR}/check_datasets.py"
                               "${PROJECT_SOURCE_DIR}")
add_test(NAME compile_flags COMMAND Python3::Interpreter "${CMAKE_CURRENT_LIST_DIR}/check_compile_flags.py"
                                    "${PROJECT_BINARY_DIR}/compile_commands.json")
set_tests_properties(format text datasets compile_flags PROPERTIES LABELS house TIMEOUT 120)

# The tutorial's commands, and what it says they print.
add_test(NAME tutorial COMMAND Python3::Interpreter "${CMAKE_CURRENT_LIST_DIR}/run_console.py" "${PROJECT_SOURCE_DIR}"
                               "${PROJECT_BINARY_DIR}" "${PROJECT_SOURCE_DIR}/docs/tutorial.md")
set_tests_properties(
  tutorial
  PROPERTIES LABELS docs TIMEOUT 300 PROCESSORS 3
             ENVIRONMENT
             "OMPI_ALLOW_RUN_AS_ROOT=1;OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1;OMPI_MCA_rmaps_base_oversubscribe=1;OMPI_MCA_mpi_yield_when_idle=1;OMPI_MCA_hwloc_base_binding_policy=none;OMPI_MCA_btl_vader_single_copy_mechanism=none")
