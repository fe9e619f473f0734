// SPDX-License-Identifier: Apache-2.0
#include "firesteel/io/quoted.hpp"

#include <algorithm>
#include <array>
#include <cstdio>

namespace firesteel {

namespace {

constexpr std::size_t kShownBytes = 80;

bool continues_character(char c) { return (static_cast<unsigned char>(c) & 0xc0) == 0x80; }

std::string printable(char c) {
  const auto byte = static_cast<unsigned char>(c);
  if (byte >= 0x20 && byte != 0x7f) return {c};
  if (c == '\n') return "\\n";
  if (c == '\r') return "\\r";
  if (c == '\t') return "\\t";
  std::array<char, 8> escape{};
  std::snprintf(escape.data(), escape.size(), "\\x%02x", byte);
  return escape.data();
}

}  // namespace

std::string quoted(std::string_view text) {
  std::size_t end = std::min(text.size(), kShownBytes);
  while (end < text.size() && end > 0 && continues_character(text[end])) --end;
  std::string shown = "'";
  for (const char c : text.substr(0, end)) shown += printable(c);
  return shown + (end < text.size() ? "…'" : "'");
}

}  // namespace firesteel
