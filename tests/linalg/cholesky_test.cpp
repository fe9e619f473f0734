// SPDX-License-Identifier: Apache-2.0
#include "firesteel/linalg/cholesky.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include "firesteel/core/philox.hpp"

namespace firesteel {
namespace {

/// Symmetric, with a diagonal that outweighs its row: positive definite.
std::vector<double> example_matrix(std::size_t n) {
  std::vector<double> matrix(n * n);
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t j = 0; j <= i; ++j) {
      const double draw = 2 * philox_uniform(3, 1, i * n + j) - 1;
      matrix[i * n + j] = matrix[j * n + i] = i == j ? static_cast<double>(n) + draw : draw;
    }
  return matrix;
}

TEST(Cholesky, factor_and_solution_are_those_of_plain_loops) {
  for (const std::size_t n : {1U, 2U, 7U, 33U, 150U}) {
    const std::vector<double> matrix = example_matrix(n);
    std::vector<long double> expected(matrix.begin(), matrix.end());
    for (std::size_t i = 0; i < n; ++i)
      for (std::size_t j = 0; j <= i; ++j) {
        long double& entry = expected[i * n + j];
        for (std::size_t t = 0; t < j; ++t) entry -= expected[i * n + t] * expected[j * n + t];
        entry = i == j ? std::sqrt(entry) : entry / expected[j * n + j];
      }
    std::vector<double> factor = matrix;
    ASSERT_TRUE(cholesky_factor(factor, static_cast<Index>(n)));
    // n roundings of numbers up to √n.
    for (std::size_t i = 0; i < n; ++i)
      for (std::size_t j = 0; j <= i; ++j)
        ASSERT_NEAR(factor[i * n + j], static_cast<double>(expected[i * n + j]), 1e-13);

    std::vector<double> x(n, 1.0);
    cholesky_solve(factor, static_cast<Index>(n), x);
    for (std::size_t i = 0; i < n; ++i) {
      long double product = 0;
      for (std::size_t j = 0; j < n; ++j) product += static_cast<long double>(matrix[i * n + j]) * x[j];
      EXPECT_NEAR(static_cast<double>(product), 1.0, 1e-13);
    }
  }
}

TEST(Cholesky, reads_the_lower_triangle_only) {
  std::vector<double> whole = example_matrix(40);
  std::vector<double> lower = whole;
  for (std::size_t i = 0; i < 40; ++i)
    for (std::size_t j = i + 1; j < 40; ++j) lower[i * 40 + j] = std::numeric_limits<double>::quiet_NaN();
  ASSERT_TRUE(cholesky_factor(whole, 40));
  ASSERT_TRUE(cholesky_factor(lower, 40));
  for (std::size_t i = 0; i < 40; ++i)
    for (std::size_t j = 0; j <= i; ++j) EXPECT_EQ(lower[i * 40 + j], whole[i * 40 + j]);
}

TEST(Cholesky, tells_of_matrices_that_are_singular_indefinite_or_not_numbers) {
  const auto factors = [](std::vector<double> matrix) { return cholesky_factor(matrix, 2); };
  EXPECT_TRUE(factors({1, 1, 1, 1 + 1e-12}));
  EXPECT_FALSE(factors({1, 1, 1, 1 + 1e-14}));
  EXPECT_FALSE(factors({1, 1, 1, 1}));
  EXPECT_FALSE(factors({1, 2, 2, 1}));
  EXPECT_FALSE(factors({0, 0, 0, 1}));
  EXPECT_FALSE(factors({1, 0, std::numeric_limits<double>::quiet_NaN(), 1}));
  EXPECT_FALSE(factors({std::numeric_limits<double>::infinity(), 0, 0, 1}));
}

/// Stored from one machine: another cache, compiler or optimisation must give the same bits. 300 is several
/// of Eigen's blocks.
TEST(Cholesky, has_the_bits_it_always_had) {
  std::vector<double> factor = example_matrix(300);
  ASSERT_TRUE(cholesky_factor(factor, 300));
  std::vector<double> x(300, 1.0);
  cholesky_solve(factor, 300, x);
  std::uint64_t hash = 0;
  const auto add = [&](double value) {
    hash = (hash ^ std::bit_cast<std::uint64_t>(value)) * 0x9E3779B97F4A7C15;
  };
  for (std::size_t i = 0; i < 300; ++i)
    for (std::size_t j = 0; j <= i; ++j) add(factor[i * 300 + j]);
  for (const double value : x) add(value);
  EXPECT_EQ(hash, 11659354206423459176U);
}

}  // namespace
}  // namespace firesteel
