// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace firesteel {

/// A text of the input as a message shows it: in single quotes, as printable() has it, and cut
/// behind 80 bytes (never within a UTF-8 character), where … says so.
std::string quoted(std::string_view text);

}  // namespace firesteel
