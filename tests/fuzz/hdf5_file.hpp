// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <hdf5.h>

#include <string>

#include "support.hpp"

namespace firesteel::fuzz {

/// Adds to a group of an open file what the choices say: arrays of any type, shape and storage, filled or
/// not, attributes, links of all kinds, groups. `names` are what the code under test will look for. What HDF5
/// refuses to make is passed over.
void add_objects(hid_t file, Choices& choices, std::span<const char* const> names);

/// A well-formed HDF5 file, built in memory, with hostile contents.
std::string make_file(Choices& choices, std::span<const char* const> names);

}  // namespace firesteel::fuzz
