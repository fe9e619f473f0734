// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "firesteel/core/row_blocks.hpp"

namespace firesteel {

/// What of a set of rows is written: the same for every format.
struct RowsOutput {
  const RowBlocks* rows = nullptr;
  const Context* alone = nullptr;  ///< of a rank that writes its rows to a file of its own
  std::vector<Index> used;         ///< local rows, without the dropped ones
  Index first = 0;                 ///< place of the first of them in the output
  Index total = 0;                 ///< of all ranks
  bool has_labels = false;
  bool text_labels = false;
  bool whole_labels = false;
  bool has_weights = false;

  /// The ranks that write the file together.
  const Context& context() const { return alone == nullptr ? rows->context : *alone; }
  Index count() const { return static_cast<Index>(used.size()); }
  double weight(Index row) const {
    return rows->weights.empty() ? 1.0 : rows->weights[static_cast<std::size_t>(row)];
  }
};

/// The schema's names, or f0, f1, ….
std::vector<std::string> feature_names(const RowBlocks& rows);

void write_rows_csv(const RowsOutput& output, const std::string& path, char delimiter);
void write_rows_libsvm(const RowsOutput& output, const std::string& path);
void write_rows_hdf5(const RowsOutput& output, const std::string& path);
/// .npy (features alone) or .npz.
void write_rows_numpy(const RowsOutput& output, const std::string& path);
void write_rows_json(const RowsOutput& output, const std::string& path);
/// Always coordinates: what is not zero.
void write_rows_matrix_market(const RowsOutput& output, const std::string& path);
/// parquet, arrow or orc.
void write_rows_arrow(const RowsOutput& output, const std::string& path);

}  // namespace firesteel
