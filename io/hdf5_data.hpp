// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "firesteel/io/read_options.hpp"

namespace firesteel {

/// read_rows for HDF5 files: a 2-D array (or a group of CSR arrays) named options.dataset, 1-D arrays for
/// label, weight and kept columns. Every rank opens the files for itself and reads the hyperslabs of its own
/// rows straight into its blocks, a few MB at a time: no rank waits in HDF5 for another. `files` are resolved
/// paths. Collective; throws 65 with file and row, 66.
RowInput read_rows_hdf5(const Context& context, const ReadOptions& options,
                        const std::vector<std::string>& paths);

/// read_ratings for HDF5 files: 1-D arrays for user, item and rating. Collective; throws as read_rows_hdf5.
RatingInput read_ratings_hdf5(const Context& context, const ReadOptions& options,
                              const std::vector<std::string>& paths);

}  // namespace firesteel
