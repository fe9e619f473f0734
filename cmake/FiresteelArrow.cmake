# SPDX-License-Identifier: Apache-2.0
# Apache Arrow C++ with Parquet and ORC, where there is one: a system's package, or the one in the pyarrow wheel of
# FIRESTEEL_PYTHON. Sets FIRESTEEL_HAS_ARROW and makes firesteel_arrow. It is linked by a module of its own only, which a
# job loads that meets such a file.

set(FIRESTEEL_ARROW "AUTO" CACHE STRING "Parquet, Arrow and ORC files: ON, OFF, or AUTO where Apache Arrow C++ is found")
set(FIRESTEEL_PYTHON "" CACHE FILEPATH "The Python whose pyarrow is taken where the system has no Arrow C++")
set(FIRESTEEL_HAS_ARROW FALSE)

if(FIRESTEEL_ARROW)
  find_package(Arrow CONFIG QUIET)
  find_package(Parquet CONFIG QUIET)
  if(Arrow_FOUND AND Parquet_FOUND)
    add_library(firesteel_arrow INTERFACE)
    foreach(name IN ITEMS Arrow::arrow Parquet::parquet)
      if(TARGET ${name}_shared)
        target_link_libraries(firesteel_arrow INTERFACE ${name}_shared)
      else()
        target_link_libraries(firesteel_arrow INTERFACE ${name}_static)
      endif()
    endforeach()
    set(FIRESTEEL_HAS_ARROW TRUE)
  else()
    set(firesteel_python "${FIRESTEEL_PYTHON}")
    if(NOT firesteel_python)
      set(firesteel_python "${PROJECT_SOURCE_DIR}/build/pyarrow/bin/python")
    endif()
    if(NOT EXISTS "${firesteel_python}")
      find_program(firesteel_system_python python3)
      set(firesteel_python "${firesteel_system_python}")
    endif()
    execute_process(
      COMMAND "${firesteel_python}" -c
              "import pyarrow as p; print(p.get_include(), p.get_library_dirs()[0], p.cpp_version, sep=';')"
      OUTPUT_VARIABLE firesteel_wheel
      OUTPUT_STRIP_TRAILING_WHITESPACE
      RESULT_VARIABLE firesteel_failed
      ERROR_QUIET)
    if(firesteel_failed EQUAL 0)
      list(GET firesteel_wheel 0 firesteel_wheel_include)
      list(GET firesteel_wheel 1 firesteel_wheel_libraries)
      list(GET firesteel_wheel 2 Arrow_VERSION)
      file(GLOB firesteel_wheel_files "${firesteel_wheel_libraries}/libarrow.so.[0-9]*"
           "${firesteel_wheel_libraries}/libparquet.so.[0-9]*")
      list(LENGTH firesteel_wheel_files firesteel_count)
      if(firesteel_count EQUAL 2)
        add_library(firesteel_arrow INTERFACE)
        target_include_directories(firesteel_arrow SYSTEM INTERFACE "${firesteel_wheel_include}")
        target_link_libraries(firesteel_arrow INTERFACE ${firesteel_wheel_files})
        set(FIRESTEEL_HAS_ARROW TRUE)
      endif()
    endif()
  endif()
  if(FIRESTEEL_HAS_ARROW)
    message(STATUS "Apache Arrow C++ ${Arrow_VERSION}: Parquet, Arrow and ORC files are read and written")
  elseif(FIRESTEEL_ARROW STREQUAL "AUTO")
    message(STATUS "No Apache Arrow C++: Parquet, Arrow and ORC files are not read (pip install pyarrow)")
  else()
    message(FATAL_ERROR "No Apache Arrow C++ was found: install libarrow-dev and libparquet-dev, or pyarrow for "
                        "FIRESTEEL_PYTHON, or set FIRESTEEL_ARROW=OFF.")
  endif()
endif()
