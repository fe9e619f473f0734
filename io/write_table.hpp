// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "firesteel/core/columns.hpp"
#include "firesteel/core/context.hpp"

namespace firesteel {

/// Throws bad_parameter (64) for an extension that no table has (.csv, .tsv, .h5, .hdf5, or "-" for CSV on
/// stdout) and cannot_create (73) unless a file can be created at `path` (directory exists, writable, not a
/// directory). Creates nothing that stays. Collective.
void probe_output(const Context& context, const std::string& path);

/// Turns columns of texts, as --keep copies them from CSV, into the numbers that they spell: whole numbers
/// where all are, doubles (NaN where missing) where all are numbers or missing. Collective.
void read_kept_numbers(const Context& context, ColumnTable& table);

/// Writes the ranks' rows, in rank order, as one file by extension. Whole or not at all: a temporary name in
/// the same directory, synced, renamed. Every rank formats and writes its own part. Collective; throws
/// 73, 74. CSV: a header, always; fields quoted where they must be; numbers as number_text(). HDF5: one 1-D
/// dataset a column; texts fixed-length.
void write_table(const Context& context, const ColumnTable& table, const std::string& path);

}  // namespace firesteel
