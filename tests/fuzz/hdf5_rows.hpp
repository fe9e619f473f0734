// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "support.hpp"

namespace firesteel::fuzz {

/// Reads an HDF5 file of these bytes as rows or as ratings, as `how` says, on one rank and on all: both must
/// give the same, within the memory that is promised.
void read_hdf5(std::uint8_t how, std::string_view bytes);

}  // namespace firesteel::fuzz
