// SPDX-License-Identifier: Apache-2.0
// A fit whose step throws on one rank, ended as the command line ends its own jobs.
// Usage: throwing_step RANK ITERATION collectively|alone|memory|thread|destructor
#include <cstdlib>
#include <string>
#include <thread>

#include "firesteel/cli/ending.hpp"
#include "firesteel/cli/launch.hpp"
#include "firesteel/core/dataset.hpp"
#include "firesteel/core/fit_loop.hpp"

namespace {

using namespace firesteel;

struct Counter {
  Index max_iter = 1'000'000;
  void describe(ParameterVisitor& visitor) {
    visitor.integer("max_iter", max_iter, at_least(0), "iterations");
  }
};

struct CounterState {
  Index count = 0;
  void describe(StateVisitor& visitor) { visitor.replicated("count", count); }
};

void find_no_memory() { throw std::bad_alloc(); }

/// As a library does whose destructor allocates.
struct ThrowingDestructor {
  ~ThrowingDestructor() { find_no_memory(); }
};

void fail(const std::string& how) {
  if (how == "memory") throw std::bad_alloc();
  if (how == "thread") std::thread([] { throw std::bad_alloc(); }).join();
  if (how == "destructor") const ThrowingDestructor thrower;
  throw std::runtime_error("thrown by a step");
}

void fit(const Context& context, int rank, Index iteration, const std::string& how) {
  const RowBlocks data = pack_rows(context, {.values = std::vector<double>(4, 1.0), .columns = 1});
  CounterState state;
  run_fit_loop(data, "counter", Counter{}, 0.0, state, [&](CounterState& now, Index number) -> Step {
    const bool mine = context.rank() == rank && number == iteration;
    if (how == "collectively")
      context.comm().collectively([&] {
        if (mine) throw std::runtime_error("thrown by a step");
      });
    else if (mine)
      fail(how);
    now.count += context.comm().sum(1);
    return {.objective = static_cast<double>(now.count)};
  });
}

}  // namespace

int main(int count, char** words) {
  if (count != 4) return static_cast<int>(ErrorCode::bad_parameter);
  cli::prepare_ending(true);
  cli::prepare_mpi_environment();
  const Context context;
  try {
    fit(context, std::atoi(words[1]), std::atoi(words[2]), words[3]);
  } catch (...) {
    cli::end_ranks(context.comm(), to_error(std::current_exception()));
  }
  return 0;
}
