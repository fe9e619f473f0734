# SPDX-License-Identifier: Apache-2.0
firesteel_add_test(
  conformance
  SOURCES conformance/conformance_test.cpp conformance/conformance_data.cpp
  LIBRARIES firesteel::algorithms
  RANKS 1 2 3 4)
# All learners on more ranks than there are blocks, let alone cores: ./scripts/test --full -L long
if(NOT FIRESTEEL_SANITIZE)
  add_test(
    NAME conformance.np64
    COMMAND ${MPIEXEC_EXECUTABLE} --oversubscribe --bind-to none -n 64 $<TARGET_FILE:conformance_test>
    WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}")
  set_tests_properties(
    conformance.np64
    PROPERTIES RUN_SERIAL ON
               TIMEOUT 900
               LABELS "mpi;long"
               ENVIRONMENT
               "OMPI_ALLOW_RUN_AS_ROOT=1;OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1;OMP_NUM_THREADS=1;OMP_WAIT_POLICY=passive;OMPI_MCA_pml=ob1;OMPI_MCA_btl=self,vader;OMPI_MCA_mpi_yield_when_idle=1;OMPI_MCA_btl_vader_single_copy_mechanism=none")
endif()
firesteel_add_test(
  resume
  SOURCES conformance/resume_test.cpp conformance/conformance_data.cpp
  LIBRARIES firesteel::algorithms
  RANKS 1 2 3 4)
firesteel_add_test(
  stress
  SOURCES conformance/stress_test.cpp conformance/conformance_data.cpp
  LIBRARIES firesteel::algorithms
  RANKS 1 2 3)
firesteel_add_test(
  out_of_core
  SOURCES conformance/out_of_core_test.cpp conformance/conformance_data.cpp
  LIBRARIES firesteel::algorithms
  RANKS 1 2 3 4)
