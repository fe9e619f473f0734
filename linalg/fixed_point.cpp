// SPDX-License-Identifier: Apache-2.0
#include "firesteel/linalg/fixed_point.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

#include "firesteel/core/parallel.hpp"

namespace firesteel {

std::vector<double> fixed_point_scales(std::span<const double> bound, std::span<const std::int64_t> count) {
  constexpr int kBits = 61;
  constexpr int kLargestExponent = 1000;
  std::vector<double> scales(bound.size(), 1.0);
  for (std::size_t j = 0; j < bound.size(); ++j) {
    if (!(bound[j] > 0) || count[j] == 0) continue;
    int exponent = 0;
    std::frexp(bound[j], &exponent);
    const auto terms = static_cast<int>(std::bit_width(static_cast<std::uint64_t>(count[j])));
    scales[j] = std::ldexp(1.0, std::clamp(kBits - terms - exponent, -kLargestExponent, kLargestExponent));
  }
  return scales;
}

std::vector<double> sum_fixed_point(const Context& context, const BlockPartition& partition,
                                    std::span<const double> scale,
                                    FunctionRef<void(Index block, std::span<std::int64_t> sums)> add_block) {
  Communicator& comm = context.comm();
  const Index first = partition.first_block(comm.rank());
  const Index blocks = partition.end_block(comm.rank()) - first;
  std::vector<std::int64_t> total = comm.collectively([&] {
    std::vector<std::vector<std::int64_t>> partial(static_cast<std::size_t>(context.threads()));
    parallel_for(context.threads(), blocks, [&](Index item, int thread) {
      auto& sums = partial[static_cast<std::size_t>(thread)];
      sums.resize(scale.size(), 0);
      add_block(first + item, sums);
    });
    std::vector<std::int64_t> sums(scale.size(), 0);
    for (const auto& own : partial)
      for (std::size_t j = 0; j < own.size(); ++j) sums[j] += own[j];
    return sums;
  });
  comm.allreduce_sum(std::span(total));
  std::vector<double> result(scale.size());
  for (std::size_t j = 0; j < result.size(); ++j) result[j] = static_cast<double>(total[j]) / scale[j];
  return result;
}

}  // namespace firesteel
