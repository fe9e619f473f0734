// SPDX-License-Identifier: Apache-2.0
// The words of a text file that occur most often.
// Run:
//   build/release/examples/word_count LICENSE
//   mpirun -n 2 build/release/examples/word_count LICENSE
//   mpirun -n 3 build/release/examples/word_count LICENSE
// Prints: 100 the
#include <cstdio>
#include <string>
#include <vector>

#include "firesteel/firesteel.hpp"

namespace fs = firesteel;

/// The words of a line, in small letters.
std::vector<std::string> words_of(const std::string& line) {
  std::vector<std::string> words;
  std::string word;
  const auto end_word = [&] {
    if (!word.empty()) words.push_back(word);
    word.clear();
  };
  for (const char c : line) {
    const auto small = static_cast<char>(c | 0x20);
    if (small >= 'a' && small <= 'z')
      word += small;
    else
      end_word();
  }
  end_word();
  return words;
}

int main(int argc, char** argv) {
  const fs::Context context;
  try {
    if (argc != 2) throw fs::bad_parameter("usage: word_count FILE");
    const auto words = fs::read_lines(context, argv[1]).flat_map(words_of);
    const auto most = words.count_by_value().take_ordered(
        10, [](const auto& a, const auto& b) { return a.second > b.second; });
    if (context.rank() == 0)
      for (const auto& [word, count] : most) std::printf("%5ld %s\n", static_cast<long>(count), word.c_str());
  } catch (const fs::Error& error) {
    // Every rank has the same error; one says it.
    if (context.rank() == 0) std::fprintf(stderr, "word_count: %s\n", error.what());
    return static_cast<int>(error.code());
  }
}
