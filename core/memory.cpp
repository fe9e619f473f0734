// SPDX-License-Identifier: Apache-2.0
#include "firesteel/core/memory.hpp"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <limits>
#include <optional>
#include <sstream>

#include "firesteel/core/communicator.hpp"
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

std::string text_of(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

void tighten(MemoryRoom& room, Index limit, Index used, const char* source) {
  const Index available = std::max<Index>(0, limit - std::max<Index>(0, used));
  if (!room.source.empty() && room.available <= available) return;
  room = {limit, available, source};
}

void tighten_by_group(MemoryRoom& room, const std::string& directory, const CgroupFiles& files) {
  const auto limit = number_in(directory + "/" + files.limit);
  const auto usage = number_in(directory + "/" + files.usage);
  if (!limit || !usage) return;
  const std::string stat = directory + "/memory.stat";
  const Index cache = number_after(stat, files.inactive) + number_after(stat, files.active);
  tighten(room, *limit, *usage - cache, "cgroup");
}

/// By a cgroup and those around it. A container may see its own as the root.
void tighten_by_groups(MemoryRoom& room, const std::string& base, std::string path,
                       const CgroupFiles& files) {
  for (;; path.erase(path.rfind('/'))) {
    while (path.ends_with('/')) path.pop_back();
    tighten_by_group(room, base + path, files);
    if (path.rfind('/') == std::string::npos) return;
  }
}

bool lists_memory(const std::string& controllers) {
  return ("," + controllers + ",").find(",memory,") != std::string::npos;
}

}  // namespace

Index kilobytes_behind(std::string_view text, std::string_view key) noexcept {
  for (auto found = text.find(key); found != std::string_view::npos; found = text.find(key, found + 1)) {
    if (found != 0 && text[found - 1] != '\n') continue;
    const auto digits = text.find_first_not_of(" \t", found + key.size());
    if (digits == std::string_view::npos) return -1;
    Index kilobytes = 0;
    const auto result = std::from_chars(text.data() + digits, text.data() + text.size(), kilobytes);
    if (result.ec != std::errc() || kilobytes < 0 || kilobytes > kUnknown / 1024) return -1;
    return kilobytes * 1024;
  }
  return -1;
}

ProcessMemory process_memory() noexcept {
  // No allocation: this is asked between two collectives, where nothing may be thrown.
  std::array<char, 4096> buffer{};
  const int file = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
  if (file < 0) return {};
  const ssize_t got = read(file, buffer.data(), buffer.size());
  close(file);
  const std::string_view status(buffer.data(), static_cast<std::size_t>(std::max<ssize_t>(0, got)));
  return {std::max<Index>(0, kilobytes_behind(status, "VmRSS:")),
          std::max<Index>(0, kilobytes_behind(status, "VmHWM:"))};
}

MemoryRoom host_memory_room(const std::string& root) {
  MemoryRoom room;
  const std::string machine = text_of(root + "/proc/meminfo");
  const Index available = kilobytes_behind(machine, "MemAvailable:");
  const Index total = std::max(available, kilobytes_behind(machine, "MemTotal:"));
  if (available >= 0) tighten(room, total, total - available, "machine");
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
      tighten_by_groups(room, base, path, kSecondVersion);
    else if (lists_memory(controllers))
      tighten_by_groups(room, base + "/memory", path, kFirstVersion);
  }
  return room;
}

MemoryRoom process_memory_room() {
  MemoryRoom room = host_memory_room();
  rlimit limit{};
  if (getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
    tighten(room, static_cast<Index>(std::min<rlim_t>(limit.rlim_cur, kUnknown)),
            kilobytes_behind(text_of("/proc/self/status"), "VmSize:"), "ulimit -v");
  return room;
}

Index available_memory(const std::string& root) {
  const MemoryRoom room = host_memory_room(root);
  return room.source.empty() ? kUnknown : room.available;
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
