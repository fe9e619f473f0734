// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "firesteel/core/context.hpp"

namespace firesteel {

/// A directory of the job's own, removed at the end.
class Scratch {
 public:
  explicit Scratch(const Context& context) : context_(context) {
    std::string name = (std::filesystem::temp_directory_path() / "firesteel-test-XXXXXX").string();
    if (context.rank() == 0 && ::mkdtemp(name.data()) == nullptr) std::abort();
    path_ = context_.comm().broadcast_text(name, 0);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch() {
    context_.comm().barrier();
    std::error_code ignored;
    if (context_.rank() == 0) std::filesystem::remove_all(path_, ignored);
  }

  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  const std::string& path() const { return path_; }

  /// What lies in the directory, in byte order.
  std::vector<std::string> names() const {
    std::vector<std::string> all;
    for (const auto& entry : std::filesystem::directory_iterator(path_))
      all.push_back(entry.path().filename().string());
    std::sort(all.begin(), all.end());
    return all;
  }

  /// Rank 0 writes a file, all wait for it.
  void put(const std::string& name, const std::string& bytes) const {
    context_.comm().barrier();
    if (context_.rank() == 0) std::ofstream(*this / name, std::ios::binary) << bytes;
    context_.comm().barrier();
  }

 private:
  Context context_;
  std::string path_;
};

inline std::string slurp(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

}  // namespace firesteel
