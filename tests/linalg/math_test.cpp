// SPDX-License-Identifier: Apache-2.0
#include "firesteel/linalg/math.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "firesteel/core/philox.hpp"
#include "firesteel/linalg/vector_kernels.hpp"

namespace firesteel {
namespace {

/// Distance in units of the last place of `expected` (long double reference).
double ulps(double got, long double expected) {
  if (got == static_cast<double>(expected)) return 0;
  const auto rounded = static_cast<double>(expected);
  const double unit = std::nextafter(std::abs(rounded), HUGE_VAL) - std::abs(rounded);
  return static_cast<double>(std::abs((static_cast<long double>(got) - expected) / unit));
}

double uniform(double low, double high, std::uint64_t i) {
  return low + (high - low) * philox_uniform(7, 1, i);
}

TEST(Math, exp_is_within_one_and_a_half_ulps) {
  double worst = 0;
  for (std::uint64_t i = 0; i < 200000; ++i) {
    const double x = uniform(i % 2 == 0 ? -2 : -745, i % 2 == 0 ? 2 : 709.7, i);
    worst = std::max(worst, ulps(math::exp(x), expl(x)));
  }
  EXPECT_LE(worst, 1.5);
  EXPECT_EQ(math::exp(0.0), 1.0);
  EXPECT_EQ(math::exp(710.0), HUGE_VAL);
  EXPECT_EQ(math::exp(-746.0), 0.0);
  EXPECT_EQ(math::exp(-HUGE_VAL), 0.0);
  EXPECT_TRUE(std::isnan(math::exp(std::nan(""))));
}

TEST(Math, log_and_log1p_are_within_one_and_a_half_ulps) {
  double worst_log = 0;
  double worst_log1p = 0;
  for (std::uint64_t i = 0; i < 200000; ++i) {
    const double x = std::ldexp(uniform(1, 2, i), static_cast<int>(i % 2000) - 1000);
    worst_log = std::max(worst_log, ulps(math::log(x), logl(x)));
    const double near = uniform(0.5, 1.5, i);
    worst_log = std::max(worst_log, ulps(math::log(near), logl(near)));
    const double y =
        i % 2 == 0 ? uniform(-0.999, 3, i) : std::ldexp(uniform(-1, 1, i), -static_cast<int>(i % 900));
    worst_log1p = std::max(worst_log1p, ulps(math::log1p(y), log1pl(y)));
  }
  EXPECT_LE(worst_log, 1.5);
  EXPECT_LE(worst_log1p, 1.5);
  EXPECT_EQ(math::log(1.0), 0.0);
  EXPECT_EQ(math::log(0.0), -HUGE_VAL);
  EXPECT_LE(ulps(math::log(0x1p-1074), logl(0x1p-1074L)), 1.5);
  EXPECT_TRUE(std::isnan(math::log(-1.0)));
  EXPECT_EQ(math::log1p(-1.0), -HUGE_VAL);
  EXPECT_EQ(math::log1p(HUGE_VAL), HUGE_VAL);
}

TEST(Math, sigmoid_and_softplus_do_not_overflow) {
  for (const double x : {-800.0, -40.0, -1.0, 0.0, 1.0, 40.0, 800.0}) {
    EXPECT_NEAR(math::sigmoid(x), static_cast<double>(1 / (1 + expl(-x))), 2e-16);
    EXPECT_NEAR(math::softplus(x), x > 0 ? x + std::log1p(std::exp(-x)) : std::log1p(std::exp(x)),
                1e-15 * std::abs(x));
    EXPECT_TRUE(std::isfinite(math::softplus(x)));
  }
}

TEST(VectorKernels, agree_with_plain_loops) {
  for (const std::size_t size : {0U, 1U, 7U, 8U, 9U, 4096U, 4099U, 10001U}) {
    std::vector<double> x(size);
    std::vector<double> y(size);
    long double expected = 0;
    for (std::size_t i = 0; i < size; ++i) {
      x[i] = uniform(-1, 1, i);
      y[i] = uniform(-1, 1, i + size);
      expected += static_cast<long double>(x[i]) * y[i];
    }
    // 10,001 products below 1, rounded to 2⁻⁵³ each.
    EXPECT_NEAR(dot(x, y), static_cast<double>(expected), 1e-12);
    auto sum = y;
    add_scaled(0.3, x, sum);
    for (std::size_t i = 0; i < size; ++i) EXPECT_EQ(sum[i], std::fma(0.3, x[i], y[i]));
    std::vector<float> rounded(size);
    round_scaled(x, 0.25, rounded.data());
    double largest = 0;
    for (std::size_t i = 0; i < size; ++i) {
      EXPECT_EQ(rounded[i], static_cast<float>(0.25 * x[i]));
      largest = std::max(largest, std::fabs(x[i]));
    }
    for (std::size_t i = 0; i < size; i += 5) x[i] = i % 2 == 0 ? HUGE_VAL : std::nan("");  // do not count
    EXPECT_LE(largest_finite(x), largest);
    for (std::size_t i = 1; i < size; i += 31) {
      x[i] = i % 2 == 0 ? 7.5 : -7.5;
      EXPECT_EQ(largest_finite(x), 7.5);
      x[i] = 0;
    }
  }
}

}  // namespace
}  // namespace firesteel
