// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fstream>
#include <limits>
#include <string>

#include "firesteel/core/context.hpp"

namespace firesteel {

constexpr double kGiB = 1 << 30;

/// GiB that processes can still take (MemAvailable of rank 0's machine). Collective.
inline double available_gib(const Context& context) {
  std::ifstream file("/proc/meminfo");
  double kilobytes = 0;
  for (std::string word; file >> word;)
    if (word == "MemAvailable:") {
      file >> kilobytes;
      break;
    }
  return context.comm().broadcast_value(kilobytes * 1024 / kGiB, 0);
}

}  // namespace firesteel
