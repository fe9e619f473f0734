// SPDX-License-Identifier: Apache-2.0
// The words of a text file that occur most often.
// Run:
//   build/release/examples/word_count LICENSE
//   mpirun -n 2 build/release/examples/word_count LICENSE
//   mpirun -n 3 build/release/examples/word_count LICENSE
// Prints: 100 the
#include <cstdio>
#include <string>
#include <string_view>

#include "firesteel/firesteel.hpp"

namespace fs = firesteel;

/// Calls word(text) for each word of a line, in small letters.
const auto words_of = [](std::string_view line, const auto& word) {
  thread_local std::string small;  // one for all lines of a thread
  small = line;
  for (char& c : small) c = static_cast<char>(c | 0x20);
  const auto is_letter = [](char c) { return c >= 'a' && c <= 'z'; };
  fs::for_each_word(small, is_letter, word);
};

int main(int argc, char** argv) {
  const fs::Context context;
  try {
    if (argc != 2) throw fs::bad_parameter("usage: word_count FILE");
    const auto words = fs::read_line_views(context, argv[1]).flat_map_to<std::string_view>(words_of);
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
