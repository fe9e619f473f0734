// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "firesteel/core/record.hpp"
#include "firesteel/io/hdf5_handle.hpp"

namespace firesteel::hdf5 {

// What the writer and the reader of model files agree on; docs/model-format.md describes it.

inline constexpr char kFormatAttribute[] = "firesteel_format";
inline constexpr char kDigestAttribute[] = "sha256";
/// Attributes are limited to 64 KB: longer texts become datasets of no dimensions.
inline constexpr std::size_t kLongestAttribute = 32768;

/// An 8-bit enumeration FALSE = 0, TRUE = 1.
Datatype boolean_type();

/// The record that an open model file holds, all sizes checked against `file_bytes` before anything is
/// allocated. Throws bad_input naming `path`. Local.
Record load_record(hid_t file, const std::string& path, hsize_t file_bytes);

}  // namespace firesteel::hdf5
