// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "firesteel/core/context.hpp"
#include "firesteel/core/function_ref.hpp"

namespace firesteel {

/// An output that ends in a slash, `days.parquet/`, is a directory of parts: each rank that has rows writes a
/// file of its own, `part-00000.parquet`, …, and `_manifest.json` names them in order. Who reads the
/// directory reads these files in this order, and no others. At a URL the names of parts are others in every
/// output (parts_in_store.hpp).
bool is_parts(const std::string& output);
/// The output without slashes at its end: what its extension is looked for in.
std::string without_slash(const std::string& output);

/// Throws cannot_create (73) where no such directory can be made, or where something stands in its place that
/// is not such a directory. Local.
void check_can_create_parts(const std::string& output);
/// The same for one file, or for parts.
void check_can_output(const std::string& output);

/// Writes the parts: write(context of this rank alone, path of its part) by the ranks that have rows (rank 0
/// where none has). They appear together: the directory is made under another name, its manifest written
/// last, and then takes the name, in one step where an older one is replaced; in a store the manifest is what
/// is replaced in one step. Rows are the same for any ranks, how they are dealt to parts is not. Collective;
/// throws 73, 74.
using WritePart = FunctionRef<void(const Context& own, const std::string& path)>;
void write_parts(const Context& context, const std::string& output, Index own_rows, WritePart write);

}  // namespace firesteel
