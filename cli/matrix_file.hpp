// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "firesteel/core/context.hpp"
#include "firesteel/core/parameters.hpp"

namespace firesteel::cli {

/// Reads a parameter that is a matrix: CSV without header, one row a line, every field a finite number; blank
/// lines at the end are accepted. Rank 0 reads, a line at a time, all ranks get it. Collective; throws 66,
/// 74, 65 with file:line:field, also for a line of more than 256 MiB, and 71 before it takes memory that the
/// host has not.
Matrix read_matrix_file(const Context& context, const std::string& path);

}  // namespace firesteel::cli
