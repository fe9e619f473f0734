# SPDX-License-Identifier: Apache-2.0
firesteel_add_test(metrics SOURCES algorithms/metrics_test.cpp LIBRARIES firesteel::algorithms RANKS 1 2 3 4)
firesteel_add_test(als SOURCES algorithms/als_test.cpp LIBRARIES firesteel::algorithms firesteel::linalg RANKS 1 2 3 4)
firesteel_add_test(als_conjugate_gradient SOURCES algorithms/als_conjugate_gradient_test.cpp LIBRARIES firesteel::algorithms RANKS 1 2 3 4 5 8)
firesteel_add_test(als_ranking SOURCES algorithms/als_ranking_test.cpp LIBRARIES firesteel::algorithms RANKS 1)
firesteel_add_test(als_conformance SOURCES algorithms/als_conformance_test.cpp LIBRARIES firesteel::algorithms RANKS 1 2 3 4)
# The stored digests again with AVX2 kernels, where the tests above run AVX-512 ones.
add_test(NAME als.avx2 COMMAND als_test --gtest_filter=*bytes_it_always_had)
set_tests_properties(als.avx2 PROPERTIES ENVIRONMENT "FIRESTEEL_SIMD=avx2;OMPI_ALLOW_RUN_AS_ROOT=1;OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1"
                                         TIMEOUT 60)
add_test(NAME als_conjugate_gradient.avx2 COMMAND als_conjugate_gradient_test --gtest_filter=*bytes_it_always_had)
set_tests_properties(als_conjugate_gradient.avx2 PROPERTIES ENVIRONMENT "FIRESTEEL_SIMD=avx2;OMPI_ALLOW_RUN_AS_ROOT=1;OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1"
                                                            TIMEOUT 60)
firesteel_add_test(logistic_conformance SOURCES algorithms/logistic_conformance_test.cpp LIBRARIES firesteel::algorithms RANKS 1 2 3 4)
firesteel_add_test(kmeans SOURCES algorithms/kmeans_test.cpp reference/kmeans_fixture.cpp LIBRARIES firesteel::algorithms nlohmann_json::nlohmann_json RANKS 1 2 3 4)
firesteel_add_test(logistic SOURCES algorithms/logistic_test.cpp LIBRARIES firesteel::algorithms RANKS 1 2 3 4)
firesteel_add_test(logistic_descent SOURCES algorithms/logistic_descent_test.cpp LIBRARIES firesteel::algorithms RANKS 1 2 3 4)
firesteel_add_test(logistic_wide SOURCES algorithms/logistic_wide_test.cpp LIBRARIES firesteel::algorithms firesteel::linalg RANKS 1 2 3 4)
# All of it again with AVX2 kernels: the same stored digests.
add_test(NAME logistic.avx2 COMMAND logistic_test WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}")
set_tests_properties(
  logistic.avx2
  PROPERTIES ENVIRONMENT "FIRESTEEL_SIMD=avx2;OMP_WAIT_POLICY=passive;OMPI_ALLOW_RUN_AS_ROOT=1;OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1"
             TIMEOUT 60)
firesteel_add_test(kmeans_bounds SOURCES algorithms/kmeans_bounds_test.cpp LIBRARIES firesteel::algorithms firesteel::linalg RANKS 1 3)
add_test(NAME kmeans_bounds.avx2 COMMAND kmeans_bounds_test)
set_tests_properties(kmeans_bounds.avx2 PROPERTIES ENVIRONMENT "FIRESTEEL_SIMD=avx2;OMP_WAIT_POLICY=passive;OMPI_ALLOW_RUN_AS_ROOT=1;OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1"
                                                   TIMEOUT 60)
firesteel_add_test(kmeans_one_answer SOURCES algorithms/kmeans_one_answer_test.cpp reference/kmeans_fixture.cpp LIBRARIES firesteel::algorithms nlohmann_json::nlohmann_json RANKS 1 2 3 4)
# The stored digests again with AVX2 kernels, where the tests above run AVX-512 ones.
add_test(NAME kmeans.avx2 COMMAND kmeans_one_answer_test --gtest_filter=*every_instruction_set
         WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}")
set_tests_properties(kmeans.avx2 PROPERTIES ENVIRONMENT "FIRESTEEL_SIMD=avx2;OMP_WAIT_POLICY=passive;OMPI_ALLOW_RUN_AS_ROOT=1;OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1"
                                            TIMEOUT 60)
firesteel_add_test(stress_answers SOURCES algorithms/stress_test.cpp LIBRARIES firesteel::algorithms RANKS 1 2 3)
firesteel_add_test(single_precision SOURCES algorithms/single_precision_test.cpp LIBRARIES firesteel::algorithms RANKS 1 2 3 4)
# The stored digests again with AVX2 kernels, where the tests above run AVX-512 ones.
add_test(NAME single_precision.avx2 COMMAND single_precision_test --gtest_filter=*bytes_it_always_had
         WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}")
set_tests_properties(single_precision.avx2 PROPERTIES ENVIRONMENT "FIRESTEEL_SIMD=avx2;OMP_WAIT_POLICY=passive;OMPI_ALLOW_RUN_AS_ROOT=1;OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1"
                                                      TIMEOUT 60)
