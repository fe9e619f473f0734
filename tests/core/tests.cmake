# SPDX-License-Identifier: Apache-2.0
firesteel_add_test(canonical_sum SOURCES core/canonical_sum_test.cpp RANKS 1 2 3 4 5)
firesteel_add_test(dataset SOURCES core/dataset_test.cpp RANKS 1 2 3 4)
