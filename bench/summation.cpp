// SPDX-License-Identifier: Apache-2.0
// What one answer costs: the column sums of a matrix, summed as they come (one running vector), by the
// canonical tree over blocks, and by int64 fixed point. One thread, CPU seconds, best of the repetitions of
// each, taken in turn. Run: summation [rows] [columns]
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "firesteel/core/canonical_sum.hpp"
#include "firesteel/core/context.hpp"
#include "firesteel/core/philox.hpp"
#include "firesteel/core/row_blocks.hpp"

namespace {

using namespace firesteel;

constexpr int kRepetitions = 7;

double cpu_s() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

/// Adds to out[j] the sum of column j over the tiles [begin, end): 32 lanes, folded at the end.
template <class Sum, class Convert>
void sum_tiles(const DenseTiles<double>& tiles, std::pair<Index, Index> range, Convert convert,
               std::span<Sum> out) {
  for (Index column = 0; column < tiles.columns(); ++column) {
    Sum lanes[kTileRows] = {};
    for (Index t = range.first; t < range.second; ++t) {
      const double* values = tiles.tile(t) + column * kTileRows;
      for (Index lane = 0; lane < kTileRows; ++lane) lanes[lane] += convert(values[lane]);
    }
    for (const Sum lane : lanes) out[static_cast<std::size_t>(column)] += lane;
  }
}

double identity(double value) { return value; }
std::int64_t fixed_point(double value) { return static_cast<std::int64_t>(value * 0x1p40); }

}  // namespace

int main(int argc, char** argv) {
  const Index rows = argc > 1 ? std::atoll(argv[1]) : 500'000;
  const Index columns = argc > 2 ? std::atoll(argv[2]) : 100;
  const Context context({.threads = 1});
  const Index block_rows = choose_block_rows(columns, sizeof(double), false);
  const auto partition = BlockPartition::even(rows, block_rows, context.size());
  DenseTiles<double> tiles(partition.local_rows(context.rank()), columns);
  for (Index row = 0; row < tiles.local_rows(); ++row)
    for (Index column = 0; column < columns; ++column)
      tiles.at(row, column) =
          philox_uniform(0, static_cast<std::uint64_t>(column), static_cast<std::uint64_t>(row));

  const Index first_block = partition.first_block(context.rank());
  const Index end_block = partition.end_block(context.rank());
  const auto tiles_of = [&](Index block) {
    const Index begin = (block - first_block) * block_rows / kTileRows;
    return std::pair(begin, std::min(tiles.tiles(), begin + block_rows / kTileRows));
  };
  CanonicalSum canonical(context.comm(), partition, columns, 1);
  std::vector<double> plain(static_cast<std::size_t>(columns));
  std::vector<std::int64_t> fixed(static_cast<std::size_t>(columns));
  const auto as_it_comes = [&] {
    for (Index block = first_block; block < end_block; ++block)
      sum_tiles(tiles, tiles_of(block), identity, std::span(plain));
  };
  const auto by_tree = [&] {
    canonical([&](Index block, std::span<double> out) {
      std::fill(out.begin(), out.end(), 0.0);
      sum_tiles(tiles, tiles_of(block), identity, out);
    });
  };
  const auto in_fixed_point = [&] {
    for (Index block = first_block; block < end_block; ++block)
      sum_tiles(tiles, tiles_of(block), fixed_point, std::span(fixed));
  };
  double best[3] = {1e9, 1e9, 1e9};
  const auto time = [](auto&& body, double& best_s) {
    const double start_s = cpu_s();
    body();
    best_s = std::min(best_s, cpu_s() - start_s);
  };
  for (int repetition = 0; repetition < kRepetitions; ++repetition) {
    time(as_it_comes, best[0]);
    time(by_tree, best[1]);
    time(in_fixed_point, best[2]);
  }
  const double bytes = static_cast<double>(tiles.local_rows() * columns) * sizeof(double);
  std::printf(
      "{\"rows\": %lld, \"columns\": %lld, \"block_rows\": %lld, \"bytes\": %.0f, "
      "\"as_it_comes_cpu_seconds\": %.6f, "
      "\"canonical_tree_cpu_seconds\": %.6f, \"int64_fixed_point_cpu_seconds\": %.6f}\n",
      static_cast<long long>(rows), static_cast<long long>(columns), static_cast<long long>(block_rows),
      bytes, best[0], best[1], best[2]);
}
