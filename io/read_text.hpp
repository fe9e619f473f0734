// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "firesteel/io/input_files.hpp"

namespace firesteel {

// The text formats behind read_rows and read_ratings. `files` are resolved; collective; throw 65, 66, 74.
RowInput read_rows_csv(const Context& context, const ReadOptions& options, const InputFiles& files);
RowInput read_rows_libsvm(const Context& context, const ReadOptions& options,
                          const std::vector<std::string>& files);
RowInput read_rows_matrix_market(const Context& context, const ReadOptions& options,
                                 const std::vector<std::string>& paths);
/// Users and items are the numbers of rows and columns, counted from 1 as in the file.
RatingInput read_ratings_matrix_market(const Context& context, const ReadOptions& options,
                                       const std::vector<std::string>& paths);
RatingInput read_ratings_csv(const Context& context, const ReadOptions& options, const InputFiles& files);
RowsShape measure_rows_csv(const Context& context, const ReadOptions& options, const InputFiles& files);
RowsShape measure_rows_libsvm(const Context& context, const ReadOptions& options,
                              const std::vector<std::string>& files);

}  // namespace firesteel
