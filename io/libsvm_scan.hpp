// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <span>

#include "firesteel/core/index.hpp"

namespace firesteel {

/// Bytes that may stand before the part of a LIBSVM text that is counted; indices have fewer digits.
inline constexpr Index kLibsvmLeadBytes = 32;

/// What the first sweep wants to know of a piece of LIBSVM text.
struct LibsvmCount {
  Index entries = 0;            ///< colons: an upper bound of the index:value pairs
  Index largest_index = -1;     ///< of the lines that start in the piece; −1: none
  Index first_line_index = -1;  ///< of the line that the piece was entered in, if that was no comment
};

/// Counts a piece: text.subspan(lead); what is before it only completes a number. As indices ascend, the last
/// one of each line is looked at. Local.
LibsvmCount count_libsvm(std::span<const char> text, std::size_t lead);

}  // namespace firesteel
