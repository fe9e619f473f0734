// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "firesteel/io/array_source.hpp"
#include "firesteel/io/read_options.hpp"

namespace firesteel {

/// read_rows for files of arrays (HDF5, NumPy): a 2-D array (or a group of CSR arrays) named options.dataset,
/// 1-D arrays for label, weight and kept columns. Every rank opens the files for itself and reads the
/// hyperslabs of its own rows straight into its blocks, a few MB at a time: no rank waits in HDF5 for
/// another. `files` are resolved paths. Collective; throws 65 with file and row, 66.
RowInput read_rows_arrays(const Context& context, const ReadOptions& options,
                          const std::vector<std::string>& paths, OpenArrays open);

/// measure_rows for files of arrays.
RowsShape measure_rows_arrays(const Context& context, const ReadOptions& options,
                              const std::vector<std::string>& paths, OpenArrays open);

/// read_ratings for files of arrays: 1-D ones for user, item and rating. Collective; throws as
/// read_rows_arrays.
RatingInput read_ratings_arrays(const Context& context, const ReadOptions& options,
                                const std::vector<std::string>& paths, OpenArrays open);

inline RowInput read_rows_hdf5(const Context& context, const ReadOptions& options,
                               const std::vector<std::string>& paths) {
  return read_rows_arrays(context, options, paths, open_hdf5);
}
inline RatingInput read_ratings_hdf5(const Context& context, const ReadOptions& options,
                                     const std::vector<std::string>& paths) {
  return read_ratings_arrays(context, options, paths, open_hdf5);
}

}  // namespace firesteel
