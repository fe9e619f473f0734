// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "firesteel/io/parts_output.hpp"

namespace firesteel {

/// check_can_create_parts() and write_parts() for a URL.
///
/// Stores have no directories, or none that change places in one step; but one file is replaced in one step.
/// So parts go up under names that no output had before, beside an older output where there is one, and then
/// the manifest takes the place of the older one: from then on they count. What no manifest names any more is
/// removed last. While parts are written `_unfinished-TOKEN` stands beside them, by which the next job for
/// the same output knows, and removes, what a killed one has left.
void check_can_create_parts_in_store(const std::string& output);
void write_parts_to_store(const Context& context, const std::string& output, Index own_rows, WritePart write);

}  // namespace firesteel
