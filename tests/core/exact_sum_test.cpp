// SPDX-License-Identifier: Apache-2.0
#include "firesteel/core/exact_sum.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "firesteel/core/philox.hpp"

namespace firesteel {
namespace {

ExactSum sum_of(const std::vector<double>& values) {
  ExactSum sum;
  for (const double value : values) sum.add(value);
  return sum;
}

TEST(ExactSum, is_that_of_integers_where_doubles_are_integers) {
  std::vector<double> values;
  __extension__ __int128 expected = 0;
  for (std::uint64_t i = 0; i < 10'000; ++i) {
    const auto value = static_cast<std::int64_t>(philox_bits(1, 2, i)) >> 11;  // 53 bits with their sign
    expected += value;
    values.push_back(static_cast<double>(value));
  }
  EXPECT_EQ(sum_of(values).rounded().high, static_cast<double>(expected));
}

TEST(ExactSum, does_not_depend_on_order_and_parts) {
  std::vector<double> values;
  for (std::uint64_t i = 0; i < 2'000; ++i)
    values.push_back(
        std::ldexp(philox_uniform(3, 4, i) - 0.5, static_cast<int>(philox_bits(5, 6, i) % 200) - 100));
  const double expected = sum_of(values).rounded().high;
  std::reverse(values.begin(), values.end());
  ExactSum parts = sum_of({values.begin(), values.begin() + 700});
  parts.add(sum_of({values.begin() + 700, values.end()}));
  EXPECT_EQ(parts.rounded().high, expected);
  std::sort(values.begin(), values.end());
  EXPECT_EQ(sum_of(values).rounded().high, expected);
}

TEST(ExactSum, keeps_what_cancels_and_what_is_tiny) {
  constexpr double kMax = std::numeric_limits<double>::max();
  constexpr double kTiny = std::numeric_limits<double>::denorm_min();
  EXPECT_EQ(sum_of({kMax, 1, -kMax}).rounded().high, 1);
  EXPECT_EQ(sum_of({kMax, kMax, -kMax, kTiny, -kMax, kTiny}).rounded().high, 2 * kTiny);
  EXPECT_EQ(sum_of({}).rounded().high, 0);
  const auto both = sum_of({1, 0x1p-60}).rounded();
  EXPECT_EQ(both.high, 1);
  EXPECT_EQ(both.low, 0x1p-60);
  // A half way between two doubles goes to the even one, unless anything lies below.
  EXPECT_EQ(sum_of({1, 0x1p-53}).rounded().high, 1);
  EXPECT_EQ(sum_of({1, 0x1p-53, 0x1p-1000}).rounded().high, std::nextafter(1.0, 2.0));
  EXPECT_EQ(sum_of({-1, -0x1p-53, -0x1p-1000}).rounded().high, std::nextafter(-1.0, -2.0));
}

TEST(ExactSum, squares_are_exact) {
  ExactSum sum;
  sum.add_square(0x1p53 - 1);  // 2^106 − 2^54 + 1
  sum.add(-0x1p106);
  sum.add(0x1p54);
  EXPECT_EQ(sum.rounded().high, 1);
  ExactSum far;
  far.add_square(0x1p1000);
  far.add_square(-0x1p-500);
  EXPECT_TRUE(std::isinf(far.rounded().high));  // beyond double
}

TEST(ExactSum, infinite_and_undefined_values_are_what_they_are) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  EXPECT_EQ(sum_of({1, kInfinity}).rounded().high, kInfinity);
  EXPECT_EQ(sum_of({-kInfinity, 5}).rounded().high, -kInfinity);
  EXPECT_TRUE(std::isnan(sum_of({-kInfinity, kInfinity}).rounded().high));
  EXPECT_TRUE(std::isnan(sum_of({std::nan("")}).rounded().high));
}

}  // namespace
}  // namespace firesteel
