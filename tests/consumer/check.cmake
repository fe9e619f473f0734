# SPDX-License-Identifier: Apache-2.0
# Installs Firesteel to an empty prefix, builds the consumer against it, runs it, and compares its model digests with
# those of the same program built inside the tree.
# Given: BUILD (Firesteel's build tree), SOURCE (this folder), WORK, REFERENCE (program), MPIRUN, COMPILER.

file(REMOVE_RECURSE "${WORK}")
macro(must)
  execute_process(COMMAND ${ARGN} COMMAND_ERROR_IS_FATAL ANY OUTPUT_VARIABLE output)
endmacro()

must(${CMAKE_COMMAND} --install ${BUILD} --prefix ${WORK}/prefix)
file(GLOB_RECURSE headers "${WORK}/prefix/include/*.hpp")
foreach(header IN LISTS headers)
  # Eigen's arithmetic would take the consumer's flags; Boost and OpenMP are not the consumer's to have.
  file(STRINGS "${header}" forbidden REGEX "#include .*(Eigen/|boost/|omp\\.h)")
  if(forbidden)
    message(FATAL_ERROR "${header}: an installed header has ${forbidden}")
  endif()
endforeach()

must(${CMAKE_COMMAND} -S ${SOURCE} -B ${WORK}/build -DCMAKE_PREFIX_PATH=${WORK}/prefix
     -DCMAKE_CXX_COMPILER=${COMPILER} -DCMAKE_CXX_COMPILER_LAUNCHER=${LAUNCHER})
must(${CMAKE_COMMAND} --build ${WORK}/build)

must(${MPIRUN} --oversubscribe --bind-to none -n 3 ${REFERENCE})
set(expected "${output}")
must(${MPIRUN} --oversubscribe --bind-to none -n 2 ${WORK}/build/consumer)
if(NOT output STREQUAL expected)
  message(FATAL_ERROR "The consumer's compiler flags changed a model.\nexpected:\n${expected}\ngot:\n${output}")
endif()
message(STATUS "${output}")
