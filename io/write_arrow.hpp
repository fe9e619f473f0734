// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "firesteel/core/columns.hpp"
#include "firesteel/core/context.hpp"
#include "firesteel/core/function_ref.hpp"
#include "firesteel/io/table.hpp"

namespace firesteel {

/// parquet, arrow or orc by the extension of a path; empty: none of them.
std::string arrow_format_of(const std::string& path);

/// This rank's rows [first, end) as columns.
using ValuesOfRows = FunctionRef<std::vector<TableValues>(Index first, Index end)>;

/// How many bytes the texts of this rank's rows [first, end) have together.
using BytesOfTexts = FunctionRef<Index(Index first, Index end)>;

/// Writes the ranks' rows, in rank order, as one file by the extension of `path`: batches of as many rows as
/// fill 8 MiB, cut by the number of columns and the lengths of texts alone, travel to rank 0, which writes
/// each as a row group, record batch or stripe, and keeps none. To a URL Parquet and Arrow are written, and
/// sent, by all ranks. The same bytes for any ranks; whole or not at all. Memory: four batches. Collective;
/// throws 69 where this build writes no such files, 71, 73, 74.
void write_arrow(const Context& context, const std::string& path, const std::vector<TableColumn>& columns,
                 Index local_rows, ValuesOfRows values_of, BytesOfTexts text_bytes);

}  // namespace firesteel
