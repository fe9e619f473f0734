# SPDX-License-Identifier: Apache-2.0
firesteel_add_test(cholesky SOURCES linalg/cholesky_test.cpp LIBRARIES firesteel::linalg RANKS 1)
firesteel_add_test(math SOURCES linalg/math_test.cpp LIBRARIES firesteel::linalg RANKS 1)
firesteel_add_test(factor_kernels SOURCES linalg/factor_kernels_test.cpp LIBRARIES firesteel::linalg RANKS 1)
firesteel_add_test(normal_operator SOURCES linalg/normal_operator_test.cpp LIBRARIES firesteel::linalg RANKS 1)
firesteel_add_test(score_filter SOURCES linalg/score_filter_test.cpp LIBRARIES firesteel::linalg RANKS 1)
firesteel_add_test(logistic_kernels SOURCES linalg/logistic_kernels_test.cpp LIBRARIES firesteel::linalg RANKS 1)
firesteel_add_test(two_limb_terms SOURCES linalg/two_limb_terms_test.cpp LIBRARIES firesteel::linalg RANKS 1)
firesteel_add_test(optimizer SOURCES linalg/optimizer_test.cpp LIBRARIES firesteel::linalg RANKS 1)
firesteel_add_test(single_kernels SOURCES linalg/single_kernels_test.cpp LIBRARIES firesteel::linalg RANKS 1)
# The same bits of sums with AVX2 kernels, where the test above runs AVX-512 ones.
add_test(NAME single_kernels.avx2 COMMAND single_kernels_test)
set_tests_properties(single_kernels.avx2 PROPERTIES ENVIRONMENT "FIRESTEEL_SIMD=avx2;OMPI_ALLOW_RUN_AS_ROOT=1;OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1"
                                                    TIMEOUT 60)
