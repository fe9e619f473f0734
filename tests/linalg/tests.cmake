# SPDX-License-Identifier: Apache-2.0
firesteel_add_test(cholesky SOURCES linalg/cholesky_test.cpp LIBRARIES firesteel::linalg RANKS 1)
firesteel_add_test(math SOURCES linalg/math_test.cpp LIBRARIES firesteel::linalg RANKS 1)
firesteel_add_test(factor_kernels SOURCES linalg/factor_kernels_test.cpp LIBRARIES firesteel::linalg RANKS 1)
firesteel_add_test(logistic_kernels SOURCES linalg/logistic_kernels_test.cpp LIBRARIES firesteel::linalg RANKS 1)
firesteel_add_test(two_limb_terms SOURCES linalg/two_limb_terms_test.cpp LIBRARIES firesteel::linalg RANKS 1)
firesteel_add_test(optimizer SOURCES linalg/optimizer_test.cpp LIBRARIES firesteel::linalg RANKS 1)
