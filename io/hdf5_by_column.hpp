// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "firesteel/io/hdf5_layout.hpp"
#include "firesteel/io/read_options.hpp"

namespace firesteel {

/// Features that are stored by column: entries travel to the ranks of their rows. Features, columns and
/// dropped rows alone. Collective; throws 65, 73, 74, 71.
RowInput rows_by_column(const Context& context, const hdf5::SourceFiles& files,
                        const hdf5::RowsLayout& layout, const ReadOptions& options);

}  // namespace firesteel
