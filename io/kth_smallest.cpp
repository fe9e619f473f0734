// SPDX-License-Identifier: Apache-2.0
#include "firesteel/io/kth_smallest.hpp"

#include <algorithm>

#include "firesteel/core/error.hpp"

namespace firesteel {

namespace {
constexpr std::size_t kDigits = 256;
constexpr int kDigitBits = 8;
}  // namespace

std::vector<std::uint64_t> kth_smallest(Communicator& comm,
                                        std::span<const std::vector<std::uint64_t>> sorted,
                                        std::span<const KthTarget> targets) {
  std::vector<std::uint64_t> prefixes(targets.size(), 0);
  std::vector<Index> left;
  for (const auto& target : targets) left.push_back(target.k);
  std::vector<std::int64_t> counts;
  for (int shift = 64 - kDigitBits; shift >= 0; shift -= kDigitBits) {
    comm.collectively([&] {
      counts.assign(targets.size() * kDigits, 0);
      for (std::size_t t = 0; t < targets.size(); ++t) {
        const auto& keys = sorted[targets[t].group];
        auto begin = std::lower_bound(keys.begin(), keys.end(), prefixes[t]);
        for (std::size_t digit = 0; digit < kDigits && begin != keys.end(); ++digit) {
          const std::uint64_t last =
              prefixes[t] + (std::uint64_t{digit} << shift) + ((std::uint64_t{1} << shift) - 1);
          const auto end = std::upper_bound(begin, keys.end(), last);
          counts[t * kDigits + digit] = end - begin;
          begin = end;
        }
      }
    });
    comm.allreduce_sum(std::span(counts));
    comm.collectively([&] {
      for (std::size_t t = 0; t < targets.size(); ++t) {
        std::size_t digit = 0;
        while (digit < kDigits && left[t] >= counts[t * kDigits + digit])
          left[t] -= counts[t * kDigits + digit++];
        if (digit == kDigits) throw internal_error("an element beyond the last was asked for");
        prefixes[t] += std::uint64_t{digit} << shift;
      }
    });
  }
  return prefixes;
}

}  // namespace firesteel
