// SPDX-License-Identifier: Apache-2.0
// One fault of the kind that its argument names, in a process that has used MPI and threads as all others do.
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <string>

#include "firesteel/core/context.hpp"
#include "firesteel/core/parallel.hpp"

namespace {

/// Hides a value from the optimiser, which would remove the fault.
template <class T>
T opaque(T value) {
  volatile T hidden = value;
  return hidden;
}

int race(int threads) {
  int sum = 0;
  firesteel::parallel_for(threads, 100'000, [&](firesteel::Index, int) { ++sum; });
  return sum;
}

int overrun() {
  int* values = opaque(new int[4]());
  const int past = values[opaque(4)];
  delete[] values;
  return past;
}

void leak() { static_cast<void>(opaque(std::malloc(1234))); }

int overflow() { return opaque(std::numeric_limits<int>::max()) + opaque(1); }

}  // namespace

int main(int argc, char** argv) {
  const std::string fault = argc > 1 ? argv[1] : "";
  MPI_Init(&argc, &argv);
  int result = 0;
  {
    const firesteel::Context context({.threads = 4});
    if (fault == "race") result = race(4);
    if (fault == "overrun") result = overrun();
    if (fault == "leak") leak();
    if (fault == "overflow") result = overflow();
  }
  MPI_Finalize();
  std::printf("%s: %d\n", fault.c_str(), result);
  return 0;
}
