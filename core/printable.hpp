// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace firesteel {

/// A text as messages show it: control characters as \n, \t, \r, \x00, and bytes that are no UTF-8 as \xff,
/// so that a name or a value in a message neither breaks the line, ends it, nor speaks to the terminal. What
/// is printable already stays as it is. Local.
std::string printable(std::string_view text);

}  // namespace firesteel
