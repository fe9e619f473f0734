# SPDX-License-Identifier: Apache-2.0
firesteel_add_test(dataset_rounds SOURCES core/dataset_rounds_test.cpp RANKS 1 2 3 4)
firesteel_add_test(storage_level SOURCES core/storage_level_test.cpp RANKS 1 2 3 4)
firesteel_add_test(block_store SOURCES core/block_store_test.cpp RANKS 1 2 3 4)
firesteel_add_test(canonical_sum SOURCES core/canonical_sum_test.cpp RANKS 1 2 3 4 5)
firesteel_add_test(dataset AS_RELEASED SOURCES core/dataset_test.cpp RANKS 1 2 3 4)
firesteel_add_test(dataset_wide SOURCES core/dataset_wide_test.cpp RANKS 1 2 3 4)
firesteel_add_test(dataset_bulk AS_RELEASED SOURCES core/dataset_bulk_test.cpp RANKS 1 2 3 4)
firesteel_add_test(sorted_order SOURCES core/sorted_order_test.cpp RANKS 1)
firesteel_add_test(
  core
  SOURCES
    core/block_partition_test.cpp
    core/communicator_test.cpp
    core/memory_test.cpp
    core/parallel_test.cpp
    core/parameters_test.cpp
    core/philox_test.cpp
    core/placement_test.cpp
    core/printable_test.cpp
    core/row_blocks_test.cpp
    core/words_test.cpp
  RANKS 1 2 3 4)
firesteel_add_test(exact_sum SOURCES core/exact_sum_test.cpp RANKS 1)
firesteel_add_test(atomic_file SOURCES core/atomic_file_test.cpp LIBRARIES firesteel::core RANKS 1 2 3 4)
firesteel_add_test(checkpoint SOURCES core/checkpoint_test.cpp RANKS 1 2 3 4)
firesteel_add_test(state_copies SOURCES core/state_copies_test.cpp RANKS 1 2 3 4 5)
firesteel_add_test(interruptible_messages SOURCES core/interruptible_messages_test.cpp RANKS 1 2 3 4 5)
firesteel_add_test(long_messages SOURCES core/long_messages_test.cpp RANKS 1 2 3 4)
firesteel_add_test(node_sum SOURCES core/node_sum_test.cpp RANKS 1 2 3 4 5)
firesteel_add_test(stall SOURCES core/stall_test.cpp RANKS 1 2 3 4)
firesteel_add_test(watchdog SOURCES core/watchdog_test.cpp RANKS 1 2 3 4)
