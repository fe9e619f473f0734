// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "firesteel/core/context.hpp"
#include "firesteel/core/record.hpp"

namespace firesteel {

inline constexpr std::int64_t kModelFormat = 1;

/// Writes a model as one HDF5 file that is the same bytes for the same record: scalars as attributes, arrays
/// as contiguous datasets, groups for path names, no times, attribute `firesteel_format` first. Written under
/// a temporary name, synced, renamed; an old file stays intact on any failure. Refuses a record with a number
/// that is not finite (bad_input). Rank 0 writes. Collective; throws 65, 73, 74.
void write_model(const Context& context, const Record& record, const std::string& path);

/// Reads what write_model wrote; checks every size and type before using it, and the whole by its digest.
/// Rank 0 reads and broadcasts. Collective. Throws 66 (absent, unreadable), 65 (no HDF5, no model, damaged, a
/// newer format: named with the remedy).
Record read_model(const Context& context, const std::string& path);

}  // namespace firesteel
