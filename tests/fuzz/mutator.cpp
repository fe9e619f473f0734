// SPDX-License-Identifier: Apache-2.0
#include "mutator.hpp"

#include <algorithm>
#include <fstream>
#include <string_view>

namespace firesteel::fuzz {

namespace {

constexpr std::string_view kDigits = "0123456789";

int hex_value(char digit) {
  const auto place = std::string_view("0123456789abcdef").find(static_cast<char>(digit | 0x20));
  return place == std::string_view::npos ? 0 : static_cast<int>(place);
}

}  // namespace

std::vector<std::string> read_dictionary(const std::string& path) {
  std::vector<std::string> words;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    const auto begin = line.find('"');
    const auto end = line.rfind('"');
    if (line.starts_with('#') || begin == std::string::npos || end <= begin) continue;
    std::string word;
    for (std::size_t i = begin + 1; i < end; ++i) {
      if (line[i] != '\\' || i + 1 >= end) {
        word += line[i];
      } else if (line[i + 1] == 'x' && i + 3 < end) {
        word += static_cast<char>(16 * hex_value(line[i + 2]) + hex_value(line[i + 3]));
        i += 3;
      } else {
        word += line[++i];
      }
    }
    if (!word.empty()) words.push_back(word);
  }
  return words;
}

Mutator::Mutator(std::uint64_t seed, std::vector<std::string> known, std::vector<std::string> words,
                 std::size_t longest)
    : seed_(seed), known_(std::move(known)), words_(std::move(words)), longest_(longest) {}

std::string Mutator::input(std::uint64_t n) {
  state_ = seed_;
  state_ = draw() ^ n;
  state_ = draw();  // neighbours have nothing in common
  std::string text = one_of(known_);
  if (below(4) == 0) cross(text);
  do {
    change(text);
  } while (below(3) != 0);
  if (text.size() > longest_) text.resize(longest_);
  return text;
}

std::pair<std::size_t, std::size_t> Mutator::range(const std::string& text) {
  if (text.empty()) return {0, 0};
  const std::size_t begin = below(text.size());
  const std::size_t most = text.size() - begin;
  return {begin, 1 + below(below(4) == 0 ? most : std::min<std::size_t>(most, 8))};
}

/// Between two bytes, or over some.
void Mutator::put(std::string& text, const std::string& bytes) {
  const std::size_t place = below(text.size() + 1);
  if (below(2) == 0)
    text.insert(place, bytes);
  else
    text.replace(place, std::min(bytes.size(), text.size() - place), bytes);
}

/// As text: near a power of two or ten, or any.
std::string Mutator::whole_number() {
  static constexpr const char* kNumbers[] = {"0",
                                             "-1",
                                             "1",
                                             "255",
                                             "65536",
                                             "2147483647",
                                             "-2147483648",
                                             "4294967296",
                                             "9223372036854775807",
                                             "-9223372036854775808",
                                             "18446744073709551616",
                                             "1e308",
                                             "1e-320",
                                             "1e999",
                                             "nan",
                                             "-inf",
                                             "0.1",
                                             "1000000000000000000000"};
  if (below(3) == 0) return std::to_string(draw() >> below(64));
  return kNumbers[below(std::size(kNumbers))];
}

/// In binary, of 1 to 8 bytes, either end first.
std::string Mutator::integer_bytes() {
  static constexpr std::uint64_t kValues[] = {0,
                                              1,
                                              2,
                                              7,
                                              8,
                                              16,
                                              127,
                                              128,
                                              255,
                                              256,
                                              1024,
                                              32767,
                                              65535,
                                              65536,
                                              0x7fffffff,
                                              0x80000000,
                                              0xffffffff,
                                              1ULL << 32,
                                              1ULL << 40,
                                              1ULL << 62,
                                              1ULL << 63,
                                              ~0ULL,
                                              (1ULL << 63) - 1};
  const std::uint64_t value = kValues[below(std::size(kValues))];
  std::string bytes(std::size_t{1} << below(4), '\0');
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(value >> (8 * i));
  if (below(2) == 0) std::reverse(bytes.begin(), bytes.end());
  return bytes;
}

void Mutator::replace_number(std::string& text) {
  const std::size_t from = below(text.size() + 1);
  auto begin = text.find_first_of(kDigits, from);
  if (begin == std::string::npos) begin = text.find_first_of(kDigits);
  if (begin == std::string::npos) return put(text, whole_number());
  const auto end = std::min(text.find_first_not_of(kDigits, begin), text.size());
  text.replace(begin, end - begin, whole_number());
}

/// The front of one input and the back of another.
void Mutator::cross(std::string& text) {
  const std::string& other = one_of(known_);
  const std::size_t from = below(other.size() + 1);
  text.resize(below(text.size() + 1));
  text.append(other, from);
}

void Mutator::change(std::string& text) {
  const auto [begin, length] = range(text);
  switch (below(12)) {
    case 0:
      if (!text.empty()) text[begin] = static_cast<char>(text[begin] ^ (1 << below(8)));
      break;
    case 1:
      if (!text.empty()) text[begin] = static_cast<char>(below(256));
      break;
    case 2:
      for (std::size_t i = 1 + below(4); i > 0; --i)
        text.insert(text.begin() + static_cast<std::ptrdiff_t>(begin), static_cast<char>(below(256)));
      break;
    case 3:
      text.erase(begin, length);
      break;
    case 4:
      put(text, text.substr(begin, length));
      break;
    case 5:
      put(text, integer_bytes());
      break;
    case 6:
      replace_number(text);
      break;
    case 7:  // of the same length, so that offsets stay
      for (std::size_t i = 0; i < length; ++i) text[begin + i] = static_cast<char>(below(256));
      break;
    case 8: {
      const std::string& other = one_of(known_);
      const auto [from, count] = range(other);
      put(text, other.substr(from, count));
      break;
    }
    case 9:
      if (!text.empty()) std::swap(text[begin], text[below(text.size())]);
      break;
    default:
      put(text, words_.empty() ? std::string(1, text.empty() ? '0' : text[begin]) : one_of(words_));
  }
}

}  // namespace firesteel::fuzz
