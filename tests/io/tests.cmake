# SPDX-License-Identifier: Apache-2.0
firesteel_add_test(csv SOURCES io/csv_test.cpp LIBRARIES firesteel::io RANKS 1 2 3 4)
firesteel_add_test(model_file SOURCES io/model_file_test.cpp LIBRARIES firesteel::io firesteel_hdf5 RANKS 1 2 3 4)
firesteel_add_test(number_reading SOURCES io/number_reading_test.cpp LIBRARIES firesteel::io RANKS 1)
firesteel_add_test(text_lines SOURCES io/text_lines_test.cpp LIBRARIES firesteel::io RANKS 1 2 3 4)
firesteel_add_test(write_table SOURCES io/write_table_test.cpp LIBRARIES firesteel::io firesteel_hdf5 RANKS 1 2 3 4)
firesteel_add_test(hdf5_data SOURCES io/hdf5_data_test.cpp LIBRARIES firesteel::io firesteel_hdf5 RANKS 1 2 3 4)
firesteel_add_test(convert SOURCES io/convert_test.cpp LIBRARIES firesteel::io RANKS 1 2 3 4)
