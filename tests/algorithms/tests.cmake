# SPDX-License-Identifier: Apache-2.0
firesteel_add_test(metrics SOURCES algorithms/metrics_test.cpp LIBRARIES firesteel::algorithms RANKS 1 2 3 4)
