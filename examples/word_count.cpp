// SPDX-License-Identifier: Apache-2.0
// The words of a text file that occur most often.
// Run:
//   build/release/examples/word_count LICENSE
//   mpirun -n 2 build/release/examples/word_count LICENSE
//   mpirun -n 3 build/release/examples/word_count LICENSE
// Prints: 100 the
#include <cctype>
#include <cstdio>
#include <sstream>
#include <string>
#include <vector>

#include "firesteel/firesteel.hpp"

namespace fs = firesteel;

/// The words of a line, in small letters.
std::vector<std::string> words_of(std::string line) {
  for (char& c : line)
    c = std::isalpha(static_cast<unsigned char>(c))
            ? static_cast<char>(std::tolower(static_cast<unsigned char>(c)))
            : ' ';
  std::istringstream stream(line);
  std::vector<std::string> words;
  for (std::string word; stream >> word;) words.push_back(word);
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
