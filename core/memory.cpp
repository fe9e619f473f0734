// SPDX-License-Identifier: Apache-2.0
#include "firesteel/core/memory.hpp"

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <limits>
#include <optional>
#include <sstream>
#include <string_view>

#include "firesteel/core/error.hpp"

namespace firesteel {

namespace {

constexpr Index kUnknown = std::numeric_limits<Index>::max();
constexpr double kNotWorthALook = 64 << 20;

/// The files of a memory cgroup, which v1 and v2 name differently.
struct CgroupFiles {
  const char* limit;
  const char* usage;
  const char* inactive;  ///< lines of memory.stat
  const char* active;
};
constexpr CgroupFiles kFirstVersion{"memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file",
                                    "total_active_file"};
constexpr CgroupFiles kSecondVersion{"memory.max", "memory.current", "inactive_file", "active_file"};

/// The number that a file consists of; nullopt for "max", or where there is no such file.
std::optional<Index> number_in(const std::string& path) {
  std::ifstream file(path);
  Index number = 0;
  return file >> number ? std::optional(number) : std::nullopt;
}

/// The number after a word at the beginning of a line; 0 where there is none.
Index number_after(const std::string& path, std::string_view word) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string name;
    Index number = 0;
    if (words >> name >> number && name == word) return number;
  }
  return 0;
}

Index left_in(const std::string& directory, const CgroupFiles& files) {
  const auto limit = number_in(directory + "/" + files.limit);
  const auto usage = number_in(directory + "/" + files.usage);
  if (!limit || !usage) return kUnknown;
  const std::string stat = directory + "/memory.stat";
  const Index cache = number_after(stat, files.inactive) + number_after(stat, files.active);
  return std::max<Index>(0, *limit - std::max<Index>(0, *usage - cache));
}

/// The least that a cgroup and those around it leave. A container may see its own as the root.
Index left_around(const std::string& base, std::string path, const CgroupFiles& files) {
  Index left = kUnknown;
  for (;; path.erase(path.rfind('/'))) {
    while (path.ends_with('/')) path.pop_back();
    left = std::min(left, left_in(base + path, files));
    if (path.rfind('/') == std::string::npos) return left;
  }
}

bool lists_memory(const std::string& controllers) {
  return ("," + controllers + ",").find(",memory,") != std::string::npos;
}

}  // namespace

Index available_memory(const std::string& root) {
  Index available = kUnknown;
  if (const Index kib = number_after(root + "/proc/meminfo", "MemAvailable:"); kib > 0)
    available = kib * 1024;
  // Lines hierarchy:controllers:path; v2 has hierarchy 0 and no controllers.
  std::ifstream cgroups(root + "/proc/self/cgroup");
  for (std::string line; std::getline(cgroups, line);) {
    const auto first = line.find(':');
    const auto second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const std::string path = line.substr(second + 1);
    const std::string base = root + "/sys/fs/cgroup";
    if (controllers.empty())
      available = std::min(available, left_around(base, path, kSecondVersion));
    else if (lists_memory(controllers))
      available = std::min(available, left_around(base + "/memory", path, kFirstVersion));
  }
  return available;
}

void require_memory(int ranks_of_host, double bytes, Index available, const std::string& what) {
  const double needed = bytes * ranks_of_host;
  if (needed <= static_cast<double>(available)) return;
  char text[64];
  std::snprintf(text, sizeof text, "%.0f", bytes);
  const std::string ranks =
      ranks_of_host == 1 ? "" : " for each of " + std::to_string(ranks_of_host) + " ranks";
  throw Error(
      ErrorCode::out_of_memory,
      "out of memory: " + what + " need at least " + text + " bytes" + ranks + ", but this host has " +
          std::to_string(available) +
          " available (MemAvailable and the memory cgroup's limit): use fewer columns, or a host with "
          "more memory");
}

void require_memory(const Communicator& comm, double bytes, const std::string& what) {
  if (bytes * comm.node_size() < kNotWorthALook) return;
  require_memory(comm.node_size(), bytes, available_memory(), what);
}

}  // namespace firesteel
