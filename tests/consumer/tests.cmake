# SPDX-License-Identifier: Apache-2.0
# A sanitized library needs its sanitizer in the consumer too: the package is tested in plain builds.
if(NOT FIRESTEEL_SANITIZE)
  add_executable(consumer_reference consumer/main.cpp)
  target_link_libraries(consumer_reference PRIVATE firesteel::firesteel)
  add_test(NAME consumer
           COMMAND ${CMAKE_COMMAND} -DBUILD=${PROJECT_BINARY_DIR} -DSOURCE=${CMAKE_CURRENT_SOURCE_DIR}/consumer
                   -DWORK=${PROJECT_BINARY_DIR}/consumer -DREFERENCE=$<TARGET_FILE:consumer_reference>
                   -DMPIRUN=${MPIEXEC_EXECUTABLE} -DCOMPILER=${CMAKE_CXX_COMPILER}
                   -DLAUNCHER=${CMAKE_CXX_COMPILER_LAUNCHER}
                   -P ${CMAKE_CURRENT_SOURCE_DIR}/consumer/check.cmake)
  set_tests_properties(
    consumer
    PROPERTIES PROCESSORS 3
               TIMEOUT 300
               LABELS "mpi;package"
               ENVIRONMENT
               "OMPI_ALLOW_RUN_AS_ROOT=1;OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1;OMP_NUM_THREADS=2;OMPI_MCA_pml=ob1;OMPI_MCA_btl=self,vader;OMPI_MCA_mpi_yield_when_idle=1;OMPI_MCA_btl_vader_single_copy_mechanism=none")
endif()
