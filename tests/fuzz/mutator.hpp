// SPDX-License-Identifier: Apache-2.0
// New inputs from known ones, for the replay programs' --seconds: what libFuzzer does without looking at what
// an input reaches.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace firesteel::fuzz {

/// The words of a dictionary of AFL and libFuzzer: one a line, "…" with \xNN, \\ and \" for bytes.
std::vector<std::string> read_dictionary(const std::string& path);

/// The n-th input of a seed is the same on every machine.
class Mutator {
 public:
  /// `known` has at least one input; none that is made is longer than `longest` bytes.
  Mutator(std::uint64_t seed, std::vector<std::string> known, std::vector<std::string> words,
          std::size_t longest);
  std::string input(std::uint64_t n);

 private:
  /// The next of the bits of SplitMix64.
  std::uint64_t draw() {
    std::uint64_t bits = state_ += 0x9e3779b97f4a7c15ULL;
    bits = (bits ^ (bits >> 30)) * 0xbf58476d1ce4e5b9ULL;
    bits = (bits ^ (bits >> 27)) * 0x94d049bb133111ebULL;
    return bits ^ (bits >> 31);
  }
  std::size_t below(std::size_t count) { return static_cast<std::size_t>(draw() % count); }
  const std::string& one_of(const std::vector<std::string>& texts) { return texts[below(texts.size())]; }
  /// A range of `text`, mostly short.
  std::pair<std::size_t, std::size_t> range(const std::string& text);
  void put(std::string& text, const std::string& bytes);
  std::string whole_number();
  std::string integer_bytes();
  void replace_number(std::string& text);
  void cross(std::string& text);
  void change(std::string& text);

  std::uint64_t seed_;
  std::vector<std::string> known_;
  std::vector<std::string> words_;
  std::size_t longest_;
  std::uint64_t state_ = 0;
};

}  // namespace firesteel::fuzz
