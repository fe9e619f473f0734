// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "firesteel/core/row_blocks.hpp"
#include "firesteel/io/read_options.hpp"

namespace firesteel {

/// What every reader does once its rows are packed: NaN in `rows.features` marks a missing value (only where
/// options.missing allows it), `rows.dropped` (one a local row, or empty) the rows to leave out,
/// `rows.weights` the weights read. Dropped rows become zeros of weight 0; with `mean`, missing values become
/// the column's unweighted mean, the model's at scoring; counts rows_used; refuses weights that are all zero
/// and data whose rows are all dropped. Sets schema.missing and missing_means. Collective; throws 65.
void finish_rows(RowBlocks& rows, const ReadOptions& options, const std::string& source);

}  // namespace firesteel
