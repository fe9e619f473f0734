// SPDX-License-Identifier: Apache-2.0
// An inverted index: for each word the documents that have it and how often, most often first.
// Run:
//   build/release/examples/inverted_index README.md CONTRIBUTING.md CHANGELOG.md
//   mpirun -n 3 build/release/examples/inverted_index README.md CONTRIBUTING.md CHANGELOG.md
// Prints: checkpoint: CHANGELOG.md
#include <algorithm>
#include <cctype>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "firesteel/firesteel.hpp"

namespace fs = firesteel;

using Posting = std::pair<std::string, fs::Index>;  // document, number of occurrences

/// The words of a line, in small letters.
std::vector<std::string> words_of(const std::string& line) {
  std::vector<std::string> words(1);
  for (const char c : line) {
    const auto byte = static_cast<unsigned char>(c);
    if (std::isalpha(byte))
      words.back() += static_cast<char>(std::tolower(byte));
    else if (!words.back().empty())
      words.emplace_back();
  }
  if (words.back().empty()) words.pop_back();
  return words;
}

/// (word, (document, count)) of one document.
fs::Dataset<std::pair<std::string, Posting>> index_document(const fs::Context& context,
                                                            const std::string& document) {
  return fs::read_lines(context, document)
      .flat_map(words_of)
      .count_by_value()
      .map_values([document](fs::Index count) { return Posting(document, count); });
}

int main(int argc, char** argv) {
  const fs::Context context;
  try {
    if (argc < 2) throw fs::bad_parameter("usage: inverted_index FILE...");
    auto postings = index_document(context, argv[1]);
    for (int i = 2; i < argc; ++i) postings = postings.union_(index_document(context, argv[i]));

    const auto index = postings.group_by_key().map_values([](std::vector<Posting> documents) {
      std::stable_sort(documents.begin(), documents.end(),
                       [](const Posting& a, const Posting& b) { return a.second > b.second; });
      return documents;
    });
    const auto entries = index.collect_on(0);
    for (const auto& [word, documents] : entries) {
      std::printf("%s:", word.c_str());
      for (const auto& [document, count] : documents)
        std::printf(" %s (%ld)", document.c_str(), static_cast<long>(count));
      std::printf("\n");
    }
  } catch (const fs::Error& error) {
    // Every rank has the same error; one says it.
    if (context.rank() == 0) std::fprintf(stderr, "inverted_index: %s\n", error.what());
    return static_cast<int>(error.code());
  }
}
