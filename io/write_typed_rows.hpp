// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "firesteel/io/typed_rows.hpp"

namespace firesteel {

/// True where the extension of an output names a format of columns of any kind (.csv, .tsv, .jsonl, .ndjson,
/// .parquet, .pq, .arrow, .feather, .orc; - is CSV on standard output); the others hold rows of features.
bool is_column_output(const std::string& path);

/// Writes typed rows by the extension of `path`. Formats of columns get every column as it is; missing values
/// are empty fields (of text: what stood there) or null. In the others the columns become features, label and
/// weight as `options` say and as `convert` writes them; rows with missing features are an error, or left out
/// under --missing drop. Rows with sparse features are written by write_rows whatever the format. `rows` is
/// given up. Returns the number of rows. The same bytes for any ranks; whole or not at all. Collective;
/// throws 65, 69, 71, 73, 74.
Index write_typed_rows(TypedRows rows, const std::string& path, const ReadOptions& options);

}  // namespace firesteel
