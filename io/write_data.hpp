// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "firesteel/io/read_options.hpp"

namespace firesteel {

/// Extensions that outputs may have, with the dot.
const std::vector<std::string>& output_extensions();

/// `convert`: writes rows (features, label, weight) or ratings in the format that the extension of `path`
/// names: .csv/.tsv, .libsvm/.svm/.svmlight, .h5/.hdf5, .npy/.npz, .mtx, .jsonl/.ndjson, .parquet/.pq,
/// .arrow/.feather, .orc, in the layouts of docs/data-formats.md. Sparse stays sparse in LIBSVM, HDF5, .npz
/// and .mtx; rows that were dropped are left out. Reading back gives the same numbers. Whole or not at all;
/// every rank writes its own rows, but Parquet, Arrow and ORC, which rank 0 writes. Collective; throws 64
/// (extension), 69 (no Arrow), 65 (what the format cannot hold), 73, 74.
void write_rows(const RowBlocks& rows, const std::string& path);
void write_ratings(const Ratings& ratings, const std::string& path);

}  // namespace firesteel
