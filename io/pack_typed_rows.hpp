// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "firesteel/io/typed_rows.hpp"

namespace firesteel {

/// A table with the part of each column, as the options say it (plan_columns); text columns that are no label
/// are left out with a warning. No column need be a feature. Rows of features stay as they are. Collective;
/// throws 65.
TypedRows with_parts(const TypedRows& rows, const ReadOptions& options);

/// Typed rows as rows of features, in blocks as learners have them, which lie in scratch where they do not
/// fit into memory. With options.missing "drop", rows where a feature is missing are left out; otherwise a
/// missing value is 65. `rows` is given up. Collective; throws 65, 71, 73, 74. Memory: labels and weights;
/// without a bound the rows twice.
RowBlocks pack_typed_rows(TypedRows rows, const ReadOptions& options);

}  // namespace firesteel
