// SPDX-License-Identifier: Apache-2.0
#include "firesteel/core/machine.hpp"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <fstream>
#include <iterator>
#include <limits>

namespace firesteel {

namespace {

constexpr Index kUnlimited = std::numeric_limits<Index>::max();

std::string file_text(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

/// The whole number that a file begins with; kUnlimited for "max", an absent file or what no Index holds.
Index number_in(const std::string& path) {
  std::ifstream file(path);
  Index value = 0;
  return file >> value ? value : kUnlimited;
}

void tighten(MemoryRoom& room, Index limit, Index used, const char* source) {
  if (limit == kUnlimited || limit <= 0) return;
  const Index available = limit > used ? limit - used : 0;
  if (!room.source.empty() && room.available <= available) return;
  room = {limit, available, source};
}

/// The limits of one group and of all above it.
void tighten_by_groups(MemoryRoom& room, const std::string& root, std::string group, const char* limit_file,
                       const char* usage_file) {
  while (true) {
    const std::string directory = root + (group == "/" ? "" : group) + "/";
    const Index used = number_in(directory + usage_file);
    tighten(room, number_in(directory + limit_file), used == kUnlimited ? 0 : used, "cgroup");
    const auto slash = group.rfind('/');
    if (group.size() <= 1 || slash == std::string::npos) return;
    group.resize(slash == 0 ? 1 : slash);
  }
}

void tighten_by_cgroup(MemoryRoom& room) {
  std::ifstream list("/proc/self/cgroup");
  for (std::string line; std::getline(list, line);) {
    const auto first = line.find(':');
    const auto second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const std::string group = line.substr(second + 1);
    if (controllers.empty())
      tighten_by_groups(room, "/sys/fs/cgroup", group, "memory.max", "memory.current");
    else if (controllers == "memory")
      tighten_by_groups(room, "/sys/fs/cgroup/memory", group, "memory.limit_in_bytes",
                        "memory.usage_in_bytes");
  }
}

}  // namespace

Index kilobytes_behind(std::string_view text, std::string_view key) noexcept {
  for (auto found = text.find(key); found != std::string_view::npos; found = text.find(key, found + 1)) {
    if (found != 0 && text[found - 1] != '\n') continue;
    const auto digits = text.find_first_not_of(" \t", found + key.size());
    if (digits == std::string_view::npos) return -1;
    Index kilobytes = 0;
    const auto result = std::from_chars(text.data() + digits, text.data() + text.size(), kilobytes);
    if (result.ec != std::errc() || kilobytes < 0 || kilobytes > kUnlimited / 1024) return -1;
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

MemoryRoom memory_room() {
  MemoryRoom room;
  const std::string machine = file_text("/proc/meminfo");
  const Index total = kilobytes_behind(machine, "MemTotal:");
  const Index available = kilobytes_behind(machine, "MemAvailable:");
  if (total > 0) tighten(room, total, available >= 0 ? total - available : 0, "machine");
  tighten_by_cgroup(room);
  rlimit limit{};
  if (getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY) {
    const Index used = kilobytes_behind(file_text("/proc/self/status"), "VmSize:");
    tighten(room, static_cast<Index>(limit.rlim_cur), std::max<Index>(0, used), "ulimit -v");
  }
  return room;
}

}  // namespace firesteel
