# SPDX-License-Identifier: Apache-2.0
# One fuzz target a word, each one file.
set(FIRESTEEL_FUZZ_TARGETS csv libsvm ratings checkpoint words matrix numpy mtx jsonl compressed hdf5 hdf5_built model model_built model_record urls)
if(NOT FIRESTEEL_HAS_STORES)
  list(REMOVE_ITEM FIRESTEEL_FUZZ_TARGETS urls)
endif()
# The longest inputs that are made, in bytes; of the others 512.
set(FIRESTEEL_FUZZ_LONGEST_hdf5 8192)
set(FIRESTEEL_FUZZ_LONGEST_model 8192)
set(FIRESTEEL_FUZZ_LONGEST_numpy 2048)

list(TRANSFORM FIRESTEEL_FUZZ_TARGETS REPLACE "(.+)" "${CMAKE_CURRENT_LIST_DIR}/\\1.cpp" OUTPUT_VARIABLE sources)
set(shared support rows hdf5_rows hdf5_file)
list(TRANSFORM shared REPLACE "(.+)" "${CMAKE_CURRENT_LIST_DIR}/\\1.cpp")
add_library(firesteel_fuzz STATIC ${shared})
target_link_libraries(firesteel_fuzz PUBLIC firesteel::cli firesteel::algorithms firesteel::io firesteel::core firesteel_hdf5)
foreach(target source IN ZIP_LISTS FIRESTEEL_FUZZ_TARGETS sources)
  add_library(firesteel_fuzz_${target} OBJECT ${source})
  target_link_libraries(firesteel_fuzz_${target} PUBLIC firesteel_fuzz)
endforeach()
