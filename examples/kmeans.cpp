// SPDX-License-Identifier: Apache-2.0
// Clusters of rows that your program makes itself: three clouds of points in the plane, drawn by row number,
// so that they are the same points on any ranks. Run:
//   build/release/examples/kmeans
//   mpirun -n 2 build/release/examples/kmeans
//   mpirun -n 3 build/release/examples/kmeans
// Prints: cost 1658.3056409212427 after 2 iterations

#include <array>
#include <cstdio>

#include "firesteel/firesteel.hpp"

namespace fs = firesteel;

struct Point {
  double x;
  double y;
};

/// Uniform in a unit square around one of three corners.
Point draw(fs::Index row) {
  constexpr std::array<Point, 3> kCorners{{{0, 0}, {5, 0}, {0, 5}}};
  const Point& corner = kCorners[static_cast<std::size_t>(row % 3)];
  const auto counter = static_cast<std::uint64_t>(row);
  return {corner.x + fs::philox_uniform(42, 0, counter), corner.y + fs::philox_uniform(42, 1, counter)};
}

int main() {
  const fs::Context context;
  try {
    const auto points = fs::generate(context, 9999, draw);
    const auto rows = fs::pack(points, 2, [](const Point& p, fs::PackedRow& row) {
      row.features[0] = p.x;
      row.features[1] = p.y;
    });
    const auto model = fs::KMeans{.k = 3, .tol = 1e-6, .seed = 7}.fit(rows);
    if (context.rank() != 0) return 0;
    std::printf("cost %.17g after %ld iterations\n", model.training_cost,
                static_cast<long>(model.summary.iterations));
    for (std::size_t c = 0; c < 3; ++c)
      std::printf("centre (%.4f, %.4f) of %ld points\n", model.cluster_centers.values[2 * c],
                  model.cluster_centers.values[2 * c + 1], static_cast<long>(model.cluster_sizes[c]));
  } catch (const fs::Error& error) {
    if (context.rank() == 0) std::fprintf(stderr, "kmeans: %s\n", error.what());
    return static_cast<int>(error.code());
  }
}
