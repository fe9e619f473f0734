// SPDX-License-Identifier: Apache-2.0
// Seconds an iteration of ALS on random ratings, many of them by busy users and of popular items (as those of
// bench/harness/data.py, but the same pair may come twice): elapsed, and CPU time of one rank, which other
// jobs disturb less. One JSON row on stdout. Run, alone or under mpirun: als_iterations [ratings] [users]
// [items] [rank] [threads] [implicit] [single] [cg_steps]
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <vector>

#include "firesteel/algorithms/als.hpp"
#include "firesteel/core/philox.hpp"
#include "firesteel/linalg/simd.hpp"

namespace {

using namespace firesteel;

double cpu_s() {
  timespec time{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

class Stopwatch final : public Monitor {
 public:
  std::vector<double> seconds;
  std::vector<double> cpu_seconds;
  void iteration(const IterationReport& report) override {
    const double now = cpu_s();
    if (last_ > 0) cpu_seconds.push_back(now - last_);
    seconds.push_back(report.seconds);
    last_ = now;
  }

 private:
  double last_ = 0;
};

Index argument(int argc, char** argv, int position, Index otherwise) {
  return argc > position ? std::strtoll(argv[position], nullptr, 10) : otherwise;
}

}  // namespace

int main(int argc, char** argv) {
  const Index rows = argument(argc, argv, 1, 5'000'000);
  const Index users = argument(argc, argv, 2, 70'000);
  const Index items = argument(argc, argv, 3, 10'000);
  const Index rank = argument(argc, argv, 4, 32);
  const auto stopwatch = std::make_shared<Stopwatch>();
  Context context({.threads = static_cast<int>(argument(argc, argv, 5, 0)), .monitor = stopwatch});
  Ratings data{.context = context, .rows = rows, .has_ratings = true};
  data.first_row = rows * context.rank() / context.size();
  std::vector<std::int64_t> user_of, item_of;
  for (Index r = data.first_row; r < rows * (context.rank() + 1) / context.size(); ++r) {
    const auto row = static_cast<std::uint64_t>(r);
    const double user = philox_uniform(1, 1, row), item = philox_uniform(1, 2, row);
    user_of.push_back(static_cast<Index>(user * user * static_cast<double>(users)));
    item_of.push_back(static_cast<Index>(item * item * item * static_cast<double>(items)));
    data.ratings.push_back(1 + 4 * philox_uniform(1, 3, row));
  }
  data.single_precision = argument(argc, argv, 7, 0) != 0;
  data.users = std::move(user_of);
  data.items = std::move(item_of);
  const Index cg_steps = argument(argc, argv, 8, 0);  // 0: Cholesky
  const Als als{.rank = rank,
                .max_iter = 5,
                .implicit_prefs = argument(argc, argv, 6, 0) != 0,
                .solver = cg_steps > 0 ? "cg" : "cholesky",
                .cg_steps = std::max<Index>(cg_steps, 1)};
  als.fit(data);
  if (context.rank() != 0) return 0;
  auto& seconds = stopwatch->seconds;
  auto& cpu_seconds = stopwatch->cpu_seconds;
  std::sort(seconds.begin(), seconds.end());
  std::sort(cpu_seconds.begin(), cpu_seconds.end());
  std::printf(
      "{\"learner\":\"als\",\"implicit\":%s,\"single\":%s,\"solver\":\"%s\",\"ratings\":%lld,\"users\":%lld,"
      "\"items\":%lld,"
      "\"rank\":%lld,"
      "\"ranks\":%d,\"threads\":%d,\"simd\":\"%s\",\"seconds_an_iteration\":{\"best\":%.4f,\"median\":%.4f,"
      "\"cpu\":%.4f}}"
      "\n",
      als.implicit_prefs ? "true" : "false", data.single_precision ? "true" : "false", als.solver.c_str(),
      static_cast<long long>(rows), static_cast<long long>(users), static_cast<long long>(items),
      static_cast<long long>(rank), context.size(), context.threads(), simd_name().c_str(), seconds.front(),
      seconds[seconds.size() / 2], cpu_seconds.front());
  return 0;
}
