// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>

namespace firesteel {

/// What is wrong with a line of JSON lines, in our words: what was found at which byte of the line (from 1),
/// and what to do. `said`: what the JSON library said of it, whose texts name its own tokens, not what to do;
/// `token`: the last that it read; `member`: the member of the line's object that was being read, empty: none
/// yet. Local.
std::string json_fault(std::size_t byte, const std::string& token, const std::string& said,
                       const std::string& member);

}  // namespace firesteel
