// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace firesteel {

/// Calls word(std::string_view) for each longest run of characters of `text` for which is_part(char) holds,
/// in order. is_part is called on every character, 64 at a time without a branch, so that the end of a word,
/// which no processor foresees, costs nothing. Local.
template <class IsPart, class Word>
void for_each_word(std::string_view text, const IsPart& is_part, const Word& word) {
  constexpr std::size_t kPiece = 64;
  std::size_t begin = 0;
  std::uint64_t inside = 0;  // 1: the piece before ends within a word
  for (std::size_t at = 0; at < text.size(); at += kPiece) {
    const std::size_t length = text.size() - at < kPiece ? text.size() - at : kPiece;
    std::array<char, kPiece> piece;  // whole, so that the loop below has no end to look for
    if (length == kPiece) {
      std::memcpy(piece.data(), text.data() + at, kPiece);
    } else {
      piece.fill(0);
      std::memcpy(piece.data(), text.data() + at, length);
    }
    std::array<unsigned char, kPiece> parts;
    for (std::size_t i = 0; i < kPiece; ++i) parts[i] = is_part(piece[i]) ? 1 : 0;
    std::uint64_t mask = 0;
    for (std::size_t i = 0; i < kPiece; i += 8) {
      std::uint64_t eight;
      std::memcpy(&eight, parts.data() + i, sizeof eight);
      mask |= (eight * 0x0102040810204080 >> 56) << i;  // bit j of the byte is byte j
    }
    if (length < kPiece) mask &= (std::uint64_t{1} << length) - 1;
    const std::uint64_t was_inside = inside;
    for (std::uint64_t edges = mask ^ (mask << 1 | was_inside); edges != 0; edges &= edges - 1) {
      const std::size_t edge = at + static_cast<std::size_t>(std::countr_zero(edges));
      if (inside != 0)
        word(text.substr(begin, edge - begin));
      else
        begin = edge;
      inside ^= 1;
    }
  }
  if (inside != 0) word(text.substr(begin));
}

}  // namespace firesteel
