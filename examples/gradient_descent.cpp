// SPDX-License-Identifier: Apache-2.0
// An iterative algorithm of your own: least squares by gradient descent on the red wines, whose quality
// (0 … 10) is explained by eleven measurements. One aggregate() an iteration; the digits are the same for any
// number of ranks and threads.
// Run:
//   build/release/examples/gradient_descent datasets/wine-quality/winequality-red.csv
//   mpirun -n 2 build/release/examples/gradient_descent datasets/wine-quality/winequality-red.csv
//   mpirun -n 4 build/release/examples/gradient_descent datasets/wine-quality/winequality-red.csv
// Prints: RMSE 0.64557506706920409
#include <array>
#include <cmath>
#include <cstdio>
#include <sstream>
#include <stdexcept>
#include <string>

#include "firesteel/firesteel.hpp"

namespace fs = firesteel;

constexpr std::size_t kColumns = 12;  // eleven measurements, then the quality
using Row = std::array<double, kColumns>;

Row parse(const std::string& line) {
  Row row{};
  std::istringstream stream(line);
  std::string field;
  for (double& value : row) {
    if (!std::getline(stream, field, ','))
      throw std::runtime_error("expected 12 numbers, got '" + line + "'");
    value = std::stod(field);
  }
  return row;
}

Row plus(Row a, const Row& b) {
  for (std::size_t j = 0; j < kColumns; ++j) a[j] += b[j];
  return a;
}

int main(int argc, char** argv) {
  const fs::Context context;
  try {
    if (argc != 2) throw fs::bad_parameter("usage: gradient_descent FILE");
    const auto raw = fs::read_lines(context, argv[1]).map(parse).cache();
    const auto n = static_cast<double>(raw.count());
    Row mean = raw.aggregate(Row{}, plus, plus);
    for (double& m : mean) m /= n;
    Row scale = raw.map([&](Row x) {
                     for (std::size_t j = 0; j < kColumns; ++j) x[j] = (x[j] - mean[j]) * (x[j] - mean[j]);
                     return x;
                   })
                    .aggregate(Row{}, plus, plus);
    for (double& s : scale) s = std::sqrt(s / n);
    const auto rows = raw.map([=](Row x) {
                           for (std::size_t j = 0; j < kColumns; ++j) x[j] = (x[j] - mean[j]) / scale[j];
                           return x;
                         })
                          .cache();

    Row w{};  // weights of standardised measurements
    double mse = 0;
    for (int iteration = 0; iteration < 1000; ++iteration) {
      // The gradient in the first entries, the squared error in the last.
      const Row sum = rows.map([&](const Row& x) {
                            double residual = -x[kColumns - 1];
                            for (std::size_t j = 0; j + 1 < kColumns; ++j) residual += w[j] * x[j];
                            Row g{};
                            for (std::size_t j = 0; j + 1 < kColumns; ++j) g[j] = residual * x[j];
                            g[kColumns - 1] = residual * residual;
                            return g;
                          })
                          .aggregate(Row{}, plus, plus);
      for (std::size_t j = 0; j + 1 < kColumns; ++j) w[j] -= 0.5 * sum[j] / n;
      mse = sum[kColumns - 1] / n;
    }
    if (context.rank() == 0) std::printf("RMSE %.17g\n", std::sqrt(mse) * scale[kColumns - 1]);
  } catch (const fs::Error& error) {
    if (context.rank() == 0) std::fprintf(stderr, "gradient_descent: %s\n", error.what());
    return static_cast<int>(error.code());
  }
}
