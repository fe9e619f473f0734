// SPDX-License-Identifier: Apache-2.0
// Where a fit of k-means spends its time: CPU milliseconds of one thread until the first iteration ends, for
// a later iteration, after the last one, and for the comparison of rows with centres alone. Rows lie around k
// means; the first k rows are the initial centres. One JSON row on stdout. Run:
// kmeans_iterations [rows] [columns] [k] [double] [iterations]
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <vector>

#include "firesteel/algorithms/kmeans.hpp"
#include "firesteel/linalg/nearest_centres.hpp"
#include "firesteel/linalg/simd.hpp"

namespace {

using namespace firesteel;

constexpr Index kAtOnce = 16;  // tiles

double cpu_ms() {
  timespec time{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return 1e3 * static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_nsec);
}

class Stopwatch final : public Monitor {
 public:
  std::vector<double> times;  ///< at the end of each iteration
  void iteration(const IterationReport&) override { times.push_back(cpu_ms()); }
};

Index argument(int argc, char** argv, int position, Index otherwise) {
  return argc > position ? std::strtoll(argv[position], nullptr, 10) : otherwise;
}

/// About normal: the sum of four 16-bit numbers, centred, deviation 1. `state` is a counter (splitmix64).
double noise(std::uint64_t& state) {
  std::uint64_t z = state += 0x9e3779b97f4a7c15U;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
  z ^= z >> 31;
  double sum = 0;
  for (int part = 0; part < 64; part += 16) sum += static_cast<double>((z >> part) & 0xffff);
  return (sum * 0x1p-16 - 2) * 1.7320508075688772;
}

std::vector<double> make_values(Index rows, Index columns, Index k) {
  std::uint64_t state = 1;
  std::vector<double> means(static_cast<std::size_t>(k * columns));
  for (double& value : means) value = 1.5 * noise(state);
  std::vector<double> values;
  values.reserve(static_cast<std::size_t>(rows * columns));
  for (Index row = 0; row < rows; ++row) {
    const auto cluster = static_cast<Index>((state >> 32) % static_cast<std::uint64_t>(k));
    for (Index j = 0; j < columns; ++j)
      values.push_back(means[static_cast<std::size_t>(cluster * columns + j)] + noise(state));
  }
  return values;
}

template <class Scalar>
double scan_ms(const DenseTiles<Scalar>& tiles, const Matrix& centres) {
  const std::vector<double> shift(static_cast<std::size_t>(tiles.columns()), 0.0);
  const PackedCentres<Scalar> packed(centres.values, tiles.columns(), shift, 0);
  const std::vector<SearchBounds<Scalar>> bounds(static_cast<std::size_t>(kAtOnce));
  std::vector<std::int32_t> labels(static_cast<std::size_t>(kAtOnce * kTileRows));
  std::vector<std::uint32_t> unsure(static_cast<std::size_t>(kAtOnce));
  double best = 1e300;
  for (int repetition = 0; repetition < 7; ++repetition) {
    const double start = cpu_ms();
    for (Index t = 0; t < tiles.tiles(); t += kAtOnce)
      find_nearest<Scalar>(
          {tiles.tile(t), kTileRows * tiles.columns(), kTileRows, std::min(kAtOnce, tiles.tiles() - t)},
          packed, bounds.data(), labels.data(), unsure.data(), nullptr);
    best = std::min(best, cpu_ms() - start);
  }
  return best;
}

template <class Scalar>
void measure(Index rows, Index columns, Index k, Index iterations) {
  const auto stopwatch = std::make_shared<Stopwatch>();
  const Context context({.threads = 1, .monitor = stopwatch});
  const RowBlocks data =
      pack_rows(context, {.values = make_values(rows, columns, k), .columns = columns}, sizeof(Scalar) == 4);
  const auto& tiles = std::get<DenseTiles<Scalar>>(data.features);
  KMeans learner{.max_iter = iterations, .tol = 0};
  learner.init = {k, columns, {}};
  for (Index c = 0; c < k; ++c)
    for (Index j = 0; j < columns; ++j) learner.init.values.push_back(static_cast<double>(tiles.at(c, j)));
  std::vector<double> steps;
  double fit = 1e300;
  double first = 1e300;
  double last = 1e300;
  double objective = 0;
  for (int repetition = 0; repetition < 3; ++repetition) {
    stopwatch->times.clear();
    const double start = cpu_ms();
    const KMeansModel model = learner.fit(data);
    const double end = cpu_ms();
    const auto& times = stopwatch->times;
    fit = std::min(fit, end - start);
    first = std::min(first, times.front() - start);
    last = std::min(last, end - times.back());
    for (std::size_t i = 1; i < times.size(); ++i) steps.push_back(times[i] - times[i - 1]);
    objective = model.training_cost;
  }
  std::sort(steps.begin(), steps.end());
  const double flops = 2.0 * static_cast<double>(rows * columns * k);
  const double step = steps.front();
  const double scan = scan_ms(tiles, learner.init);
  std::printf(
      "{\"learner\":\"kmeans\",\"rows\":%lld,\"columns\":%lld,\"k\":%lld,\"single\":%s,\"simd\":\"%s\","
      "\"fit_ms\":%.1f,\"until_first_iteration_ms\":%.1f,\"best_iteration_ms\":%.2f,"
      "\"median_iteration_ms\":%.2f,\"after_last_iteration_ms\":%.1f,\"scan_ms\":%.2f,"
      "\"iteration_gflops\":%.1f,\"scan_gflops\":%.1f,\"objective\":%.17g}\n",
      static_cast<long long>(rows), static_cast<long long>(columns), static_cast<long long>(k),
      sizeof(Scalar) == 4 ? "true" : "false", simd_name().c_str(), fit, first, step, steps[steps.size() / 2],
      last, scan, 1e-6 * flops / step, 1e-6 * flops / scan, objective);
}

}  // namespace

int main(int argc, char** argv) {
  const Index rows = argument(argc, argv, 1, 1'000'000);
  const Index columns = argument(argc, argv, 2, 32);
  const Index k = argument(argc, argv, 3, 100);
  const Index iterations = argument(argc, argv, 5, 10);
  if (argument(argc, argv, 4, 0) != 0)
    measure<double>(rows, columns, k, iterations);
  else
    measure<float>(rows, columns, k, iterations);
  return 0;
}
