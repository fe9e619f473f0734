// SPDX-License-Identifier: Apache-2.0
// CPU seconds of fits of logistic regression on random dense rows in double and single precision, in turn on
// the same data: medians, and their ratio. One JSON row on stdout. Run, alone or under mpirun:
// logistic_precision [rows] [columns] [classes] [solver] [rounds] [threads]
#include <time.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "firesteel/algorithms/logistic_regression.hpp"
#include "firesteel/core/philox.hpp"
#include "firesteel/linalg/simd.hpp"

namespace {

using namespace firesteel;

double cpu_s() {
  timespec time{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

Index argument(int argc, char** argv, int position, Index otherwise) {
  return argc > position ? std::strtoll(argv[position], nullptr, 10) : otherwise;
}

RowBlocks random_rows(const Context& context, Index rows, Index columns, Index classes, bool single) {
  std::vector<double> values;
  std::vector<double> labels;
  for (Index row = rows * context.rank() / context.size(); row < rows * (context.rank() + 1) / context.size();
       ++row) {
    double z = 0;
    for (Index j = 0; j < columns; ++j) {
      const double x =
          philox_uniform(3, static_cast<std::uint64_t>(j), static_cast<std::uint64_t>(row)) - 0.5;
      values.push_back(x);
      z += x * (j % 3 == 0 ? 1.0 : -0.5);
    }
    const double noise = philox_uniform(3, 1'000'000, static_cast<std::uint64_t>(row)) - 0.5;
    const double share = std::clamp(0.5 + 0.3 * z + noise, 0.0, 0.999);
    labels.push_back(std::floor(share * static_cast<double>(classes)));
  }
  return pack_rows(context, {.values = values, .columns = columns, .labels = labels}, single);
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

}  // namespace

int main(int argc, char** argv) {
  const Index rows = argument(argc, argv, 1, 1'000'000);
  const Index columns = argument(argc, argv, 2, 50);
  const Index classes = argument(argc, argv, 3, 2);
  const std::string solver = argc > 4 ? argv[4] : "auto";
  const Index rounds = argument(argc, argv, 5, 5);
  const Context context({.threads = static_cast<int>(argument(argc, argv, 6, 1))});
  const LogisticRegression learner{.reg_param = 1e-5, .solver = solver};
  std::vector<double> seconds[2];
  Index iterations[2] = {};
  double objective[2] = {};
  const RowBlocks data[2] = {random_rows(context, rows, columns, classes, false),
                             random_rows(context, rows, columns, classes, true)};
  for (Index round = 0; round < rounds; ++round)
    for (const std::size_t single : {0, 1}) {
      const double start = cpu_s();
      const auto model = learner.fit(data[single]);
      seconds[single].push_back(cpu_s() - start);
      iterations[single] = model.summary.iterations;
      objective[single] = model.summary.objective;
    }
  if (context.rank() != 0) return 0;
  std::printf(
      "{\"rows\":%lld,\"columns\":%lld,\"classes\":%lld,\"solver\":\"%s\",\"ranks\":%d,\"threads\":%d,"
      "\"simd\":\"%s\",\"cpu_s\":{\"double\":%.4f,\"single\":%.4f},\"ratio\":%.2f,"
      "\"iterations\":[%lld,%lld],\"gap\":%.1e}\n",
      static_cast<long long>(rows), static_cast<long long>(columns), static_cast<long long>(classes),
      solver.c_str(), context.size(), context.threads(), simd_name().c_str(), median(seconds[0]),
      median(seconds[1]), median(seconds[0]) / median(seconds[1]), static_cast<long long>(iterations[0]),
      static_cast<long long>(iterations[1]), objective[1] / objective[0] - 1);
  return 0;
}
