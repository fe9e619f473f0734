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
