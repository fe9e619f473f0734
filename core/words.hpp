// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <string_view>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace firesteel {

namespace detail {
/// Bit i of the result is the highest bit of byte i. Local.
inline std::uint64_t high_bits(const std::array<unsigned char, 64>& bytes) {
  std::uint64_t bits = 0;
#if defined(__SSE2__)
  for (std::size_t i = 0; i < bytes.size(); i += 16) {
    __m128i sixteen;
    std::memcpy(&sixteen, bytes.data() + i, sizeof sixteen);
    bits |= std::uint64_t{static_cast<std::uint32_t>(_mm_movemask_epi8(sixteen))} << i;
  }
#else
  for (std::size_t i = 0; i < bytes.size(); i += 8) {
    std::uint64_t eight;
    std::memcpy(&eight, bytes.data() + i, sizeof eight);
    bits |= ((eight >> 7 & 0x0101010101010101) * 0x0102040810204080 >> 56) << i;  // bit j is of byte j
  }
#endif
  return bits;
}
}  // namespace detail

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
    for (std::size_t i = 0; i < kPiece; ++i) parts[i] = is_part(piece[i]) ? 0xff : 0;
    std::uint64_t mask = detail::high_bits(parts);
    if (length < kPiece) mask &= (std::uint64_t{1} << length) - 1;
    std::uint64_t edges = mask ^ (mask << 1 | inside);
    const auto next_edge = [&] {
      const std::size_t edge = at + static_cast<std::size_t>(std::countr_zero(edges));
      edges &= edges - 1;
      return edge;
    };
    if (inside == 0 && edges != 0) begin = next_edge();
    inside = mask >> (kPiece - 1);
    while (edges != 0) {
      word(text.substr(begin, next_edge() - begin));
      if (edges != 0) begin = next_edge();
    }
  }
  if (inside != 0) word(text.substr(begin));
}

}  // namespace firesteel
