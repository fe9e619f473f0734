// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "firesteel/io/arrow_file.hpp"

namespace firesteel {

/// Creates a Parquet (Zstandard), Arrow IPC or ORC file with the columns, of which none is `other`.
std::unique_ptr<ArrowWriter> create_arrow_file(const std::string& path, const std::string& format,
                                               const std::vector<TableColumn>& columns);

/// As ArrowModule has them.
std::unique_ptr<ArrowWriter> create_arrow_part(const std::string& path, const std::string& format,
                                               const std::vector<TableColumn>& columns);
ArrowEnds join_arrow_parts(const std::string& format, const std::vector<TableColumn>& columns,
                           const std::vector<ArrowPart>& parts);

}  // namespace firesteel
