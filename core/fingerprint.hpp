// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "firesteel/core/row_blocks.hpp"

namespace firesteel {

/// Says which data these are: rows, columns and a hash of the content (values, labels, weights) by block, the
/// same for any number of ranks. For refusing to go on with other data; not against forgery. Cost: one pass.
/// Collective.
std::string data_fingerprint(const RowBlocks& data);
std::string data_fingerprint(const Ratings& data);

}  // namespace firesteel
