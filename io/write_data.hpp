// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "firesteel/io/read_options.hpp"

namespace firesteel {

/// `convert`: writes rows (features, label, weight) or ratings in the format that the extension of `path`
/// names: .csv, .libsvm/.svm, .h5/.hdf5 in the layout of docs/data-formats.md. Sparse stays sparse in LIBSVM
/// and HDF5. Whole or not at all. Collective; throws 73, 74.
void write_rows(const RowBlocks& rows, const std::string& path);
void write_ratings(const Ratings& ratings, const std::string& path);

}  // namespace firesteel
