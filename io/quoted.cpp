// SPDX-License-Identifier: Apache-2.0
#include "firesteel/io/quoted.hpp"

#include <algorithm>

#include "firesteel/core/printable.hpp"

namespace firesteel {

namespace {

constexpr std::size_t kShownBytes = 80;

bool continues_character(char c) { return (static_cast<unsigned char>(c) & 0xc0) == 0x80; }

}  // namespace

std::string quoted(std::string_view text) {
  std::size_t end = std::min(text.size(), kShownBytes);
  while (end < text.size() && end > 0 && continues_character(text[end])) --end;
  return "'" + printable(text.substr(0, end)) + (end < text.size() ? "…'" : "'");
}

}  // namespace firesteel
