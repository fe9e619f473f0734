# SPDX-License-Identifier: Apache-2.0
firesteel_add_test(math SOURCES linalg/math_test.cpp LIBRARIES firesteel::linalg RANKS 1)
