// SPDX-License-Identifier: Apache-2.0
// Words of texts of all lengths around the pieces that are looked at together, against a loop over
// characters.
#include "firesteel/core/words.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "firesteel/core/philox.hpp"

namespace firesteel {
namespace {

bool is_part(char c) { return c == 'x' || c == '\xe9'; }

std::vector<std::string> by_character(const std::string& text) {
  std::vector<std::string> words;
  bool inside = false;
  for (const char c : text) {
    if (is_part(c) && !inside) words.emplace_back();
    inside = is_part(c);
    if (inside) words.back() += c;
  }
  return words;
}

TEST(Words, are_those_of_a_loop_over_characters) {
  std::uint64_t draw = 0;
  for (const unsigned likely : {1U, 3U, 7U, 8U})
    for (std::size_t length = 0; length < 300; ++length) {
      std::string text;
      for (std::size_t i = 0; i < length; ++i) {
        const std::uint64_t bits = philox_bits(4, likely, ++draw);
        text += bits % 8 < likely ? (bits % 16 < 8 ? 'x' : '\xe9') : (bits % 16 < 8 ? ' ' : '\0');
      }
      std::vector<std::string> words;
      for_each_word(text, is_part, [&](std::string_view word) { words.emplace_back(word); });
      EXPECT_EQ(words, by_character(text)) << "length " << length;
    }
}

}  // namespace
}  // namespace firesteel
