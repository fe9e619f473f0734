// SPDX-License-Identifier: Apache-2.0
// main() of a fuzz target as an ordinary test: runs the files and the files of the folders that it is given,
// on all ranks together.
#include <mpi.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "support.hpp"

int main(int argc, char** argv) {
  namespace fs = std::filesystem;
  std::vector<fs::path> files;
  for (int i = 1; i < argc; ++i) {
    if (fs::is_directory(argv[i]))
      for (const auto& entry : fs::directory_iterator(argv[i])) files.push_back(entry.path());
    else
      files.emplace_back(argv[i]);
  }
  std::sort(files.begin(), files.end());
  const bool speaks = firesteel::fuzz::everyone().rank() == 0;
  if (files.empty()) firesteel::fuzz::broken("no inputs");
  for (const auto& file : files) {
    std::ifstream stream(file, std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(stream), {}};
    if (speaks) std::fprintf(stderr, "%s\n", file.filename().c_str());
    LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
  }
  if (speaks) std::printf("%zu inputs on %d ranks\n", files.size(), firesteel::fuzz::everyone().size());
  return 0;
}
