// SPDX-License-Identifier: Apache-2.0
// PageRank: the rank of a page is 0.15 + 0.85 · Σ rank(q) / links of q, over the pages q that link to it.
// A file of links has two numbers a line: a page and one that it links to.
// Run:
//   build/release/examples/page_rank datasets/spark-mllib/pagerank_data.txt
//   mpirun -n 3 build/release/examples/page_rank datasets/spark-mllib/pagerank_data.txt
// Prints: page 1 has rank 1.918919
#include <cstdio>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "firesteel/firesteel.hpp"

namespace fs = firesteel;

using Page = fs::Index;

std::pair<Page, Page> link_of(const std::string& line) {
  std::istringstream stream(line);
  std::pair<Page, Page> link;
  if (!(stream >> link.first >> link.second)) throw fs::bad_input("expected two numbers, got '" + line + "'");
  return link;
}

/// What a page hands on: its rank in equal parts, one for each of its links.
std::vector<std::pair<Page, double>> contributions(
    const std::pair<Page, std::pair<std::vector<Page>, double>>& page) {
  const auto& [links, rank] = page.second;
  std::vector<std::pair<Page, double>> parts;
  for (const Page target : links) parts.emplace_back(target, rank / static_cast<double>(links.size()));
  return parts;
}

int main(int argc, char** argv) {
  const fs::Context context;
  try {
    if (argc != 2) throw fs::bad_parameter("usage: page_rank FILE");
    // Wide operations keep their result in memory: the file is read once.
    const auto links = fs::read_lines(context, argv[1]).map(link_of).group_by_key();
    fs::Dataset<std::pair<Page, double>> ranks = links.map_values([](const auto&) { return 1.0; });
    constexpr int kIterations = 100;
    for (int i = 0; i < kIterations; ++i)
      ranks = links.join(ranks)
                  .flat_map(contributions)
                  .reduce_by_key([](double a, double b) { return a + b; })
                  .map_values([](double sum) { return 0.15 + 0.85 * sum; });
    for (const auto& [page, rank] : ranks.collect())
      if (context.rank() == 0) std::printf("page %ld has rank %.6f\n", static_cast<long>(page), rank);
  } catch (const fs::Error& error) {
    // Every rank has the same error; one says it.
    if (context.rank() == 0) std::fprintf(stderr, "page_rank: %s\n", error.what());
    return static_cast<int>(error.code());
  }
}
