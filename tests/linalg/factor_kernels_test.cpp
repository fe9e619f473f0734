// SPDX-License-Identifier: Apache-2.0
#include "firesteel/linalg/factor_kernels.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "firesteel/core/philox.hpp"
#include "firesteel/linalg/lane_cholesky.hpp"
#include "firesteel/linalg/nonnegative_solve.hpp"

namespace firesteel {
namespace {

constexpr std::size_t at(Index i) { return static_cast<std::size_t>(i); }

double draw(std::uint64_t purpose, std::uint64_t counter) {
  return philox_uniform(11, purpose, counter) - 0.5;
}

AlignedVector<double> random_factors(Index rows, Index rank) {
  AlignedVector<double> factors(at(rows * padded_rank(rank)));
  for (Index r = 0; r < rows; ++r)
    for (Index j = 0; j < rank; ++j)
      factors[at(r * padded_rank(rank) + j)] =
          draw(static_cast<std::uint64_t>(j), static_cast<std::uint64_t>(r));
  return factors;
}

TEST(NormalEquations, are_one_fused_chain_an_entry_for_every_rank) {
  for (const Index rank : {1, 2, 7, 8, 9, 10, 15, 16, 17, 24, 31, 32, 33, 50, 64, 100, 128}) {
    const auto factors = random_factors(40, rank);
    std::vector<std::int32_t> which;
    std::vector<double> weights, coefficients;
    for (std::uint64_t q = 0; q < 150; ++q) {  // several batches, the last one short
      which.push_back(static_cast<std::int32_t>(philox_bits(5, 1, q) % 40));
      weights.push_back(draw(2, q) + 1);
      coefficients.push_back(draw(3, q));
    }
    NormalEquations equations(rank);
    AlignedVector<double> sums(at(equations.size()), 0.0);
    equations.add(factors.data(), which, weights, coefficients, sums.data());
    for (Index i = 0; i <= rank; ++i)
      for (Index j = 0; j < (i < rank ? i + 1 : rank); ++j) {
        double expected = 0;
        for (std::size_t q = 0; q < which.size(); ++q) {
          const double* y = factors.data() + which[q] * padded_rank(rank);
          expected = std::fma(i < rank ? weights[q] * y[i] : coefficients[q], y[j], expected);
        }
        ASSERT_EQ(sums[at(i * equations.stride() + j)], expected) << "rank " << rank << " " << i << " " << j;
      }
  }
}

// Conformance case 24: Spark's ALSSuite, "NormalEquation".
TEST(NormalEquations, equal_the_published_case) {
  AlignedVector<double> factors(24);
  const std::array<double, 6> values{1, 2, 4, 5, 7, 8};
  for (std::size_t r = 0; r < 3; ++r)
    std::copy_n(values.begin() + 2 * r, 2, factors.begin() + 8 * static_cast<int>(r));
  NormalEquations equations(2);
  AlignedVector<double> sums(at(equations.size()), 0.0);
  const std::vector<std::int32_t> which{0, 1, 2};
  equations.add(factors.data(), which, std::vector<double>{1, 2, 1}, std::vector<double>{3, 12, 9},
                sums.data());
  EXPECT_EQ(sums[0], 82);
  EXPECT_EQ(sums[8], 98);
  EXPECT_EQ(sums[9], 118);
  EXPECT_EQ(sums[16], 114);
  EXPECT_EQ(sums[17], 138);
}

TEST(GatheredProducts, sum_lanes_in_the_written_order) {
  for (const Index rank : {1, 5, 8, 10, 32, 70}) {
    const auto factors = random_factors(9, rank);
    AlignedVector<double> x(at(padded_rank(rank)));
    for (Index j = 0; j < rank; ++j) x[at(j)] = draw(77, static_cast<std::uint64_t>(j));
    const std::vector<std::int32_t> which{3, 8, 3, 0};
    std::array<double, 4> products{};
    gathered_products(factors.data(), rank, which, x.data(), products.data());
    for (std::size_t q = 0; q < which.size(); ++q) {
      std::array<double, 8> s{};
      for (Index j = 0; j < rank; ++j)
        s[at(j % 8)] = std::fma(factors[at(which[q] * padded_rank(rank) + j)], x[at(j)], s[at(j % 8)]);
      EXPECT_EQ(products[q], ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7])));
    }
  }
}

// Rows that are brought nearer, whether few, many or none, reach neither sums nor products.
TEST(FactorKernels, what_is_read_next_does_not_reach_the_result) {
  for (const Index rank : {1, 7, 32, 64, 300}) {
    const auto factors = random_factors(200, rank);
    std::vector<std::int32_t> which, later;
    std::vector<double> coefficients;
    for (std::int32_t q = 0; q < 131; ++q) {
      which.push_back(q * 37 % 200);
      later.push_back(q * 91 % 200);
      coefficients.push_back(draw(5, static_cast<std::uint64_t>(q)));
    }
    NormalEquations equations(rank);
    AlignedVector<double> expected(at(equations.size()), 0.0);
    equations.add(factors.data(), which, {}, coefficients, expected.data());
    std::vector<double> products(which.size());
    gathered_products(factors.data(), rank, which, factors.data(), products.data());
    for (const std::size_t known : {1, 3, 40, 131}) {
      const auto next = std::span(later).first(known);
      AlignedVector<double> sums(at(equations.size()), 0.0);
      equations.add(factors.data(), which, {}, coefficients, sums.data(), next);
      EXPECT_EQ(sums, expected);
      std::vector<double> again(which.size());
      gathered_products(factors.data(), rank, which, factors.data(), again.data(), next);
      EXPECT_EQ(again, products);
    }
  }
}

/// Solves one system in the given lane; the other lanes hold `other` times the unit matrix.
std::vector<double> solve_in_lane(const std::vector<double>& packed, const std::vector<double>& b, Index lane,
                                  double other, double* pivot = nullptr) {
  const auto rank = static_cast<Index>(b.size());
  AlignedVector<double> matrices(packed.size() * 8);
  AlignedVector<double> rhs(b.size() * 8, 1.0);
  for (Index i = 0; i < rank; ++i)
    for (std::size_t l = 0; l < 8; ++l) matrices[at(packed_size(i) + i) * 8 + l] = other;
  for (std::size_t p = 0; p < packed.size(); ++p) matrices[p * 8 + at(lane)] = packed[p];
  for (std::size_t i = 0; i < b.size(); ++i) rhs[i * 8 + at(lane)] = b[i];
  std::array<double, 8> pivots{};
  solve_lanes(matrices, rhs, rank, pivots);
  if (pivot != nullptr) *pivot = pivots[at(lane)];
  std::vector<double> x;
  for (std::size_t i = 0; i < b.size(); ++i) x.push_back(rhs[i * 8 + at(lane)]);
  return x;
}

/// Σ_q y yᵀ + 0.1 I of random rows, packed.
std::vector<double> random_system(Index rank, std::uint64_t seed) {
  std::vector<double> packed;
  for (Index i = 0; i < rank; ++i)
    for (Index j = 0; j <= i; ++j) {
      double sum = i == j ? 0.1 : 0;
      for (std::uint64_t q = 0; q < 20; ++q)
        sum += draw(static_cast<std::uint64_t>(i) + seed, q) * draw(static_cast<std::uint64_t>(j) + seed, q);
      packed.push_back(sum);
    }
  return packed;
}

double entry(const std::vector<double>& packed, Index i, Index j) {
  return packed[at(packed_size(std::max(i, j)) + std::min(i, j))];
}

TEST(LaneCholesky, solves_and_does_not_see_its_batch_mates) {
  for (const Index rank : {1, 2, 3, 9, 10, 19, 32, 64}) {
    const auto packed = random_system(rank, 100);
    std::vector<double> b;
    for (Index i = 0; i < rank; ++i) b.push_back(draw(9, static_cast<std::uint64_t>(i)));
    const auto x = solve_in_lane(packed, b, 0, 1.0);
    for (Index lane = 1; lane < 8; ++lane)
      EXPECT_EQ(solve_in_lane(packed, b, lane, lane == 5 ? 0.0 : 1e9), x);
    for (Index i = 0; i < rank; ++i) {
      double residual = -b[at(i)];
      for (Index j = 0; j < rank; ++j) residual += entry(packed, i, j) * x[at(j)];
      EXPECT_NEAR(residual, 0, 1e-11);  // condition of at most a few hundred
    }
  }
}

// Conformance case 24: Spark's ALSSuite, "CholeskySolver".
TEST(LaneCholesky, equals_the_published_case) {
  const auto x = solve_in_lane({3, 9, 29}, {29, 99}, 3, 1.0);
  EXPECT_NEAR(x[0], -8.333333, 1e-6);
  EXPECT_NEAR(x[1], 6, 1e-6);
  const auto y = solve_in_lane({4.5, 9, 30.5}, {29, 99}, 3, 1.0);
  EXPECT_NEAR(y[0], -.1155556, 1e-6);
  EXPECT_NEAR(y[1], 3.28, 1e-6);
}

TEST(LaneCholesky, tells_of_singular_matrices) {
  double pivot = 1;
  solve_in_lane({1, 2, 4}, {1, 2}, 2, 1.0, &pivot);
  EXPECT_LT(pivot, 1e-12);
  solve_in_lane({0}, {0}, 2, 1.0, &pivot);
  EXPECT_EQ(pivot, 0);
  solve_in_lane({3, 9, 29}, {29, 99}, 2, 1.0, &pivot);
  EXPECT_NEAR(pivot, (29 - 81.0 / 3) / 29, 1e-12);
}

TEST(NonnegativeSolve, meets_the_conditions_of_the_minimum) {
  std::size_t clipped = 0;
  for (std::uint64_t trial = 0; trial < 200; ++trial) {
    const auto rank = static_cast<Index>(1 + trial % 13);
    const auto packed = random_system(rank, trial * 31);
    std::vector<double> a(at(rank * rank)), b;
    for (Index i = 0; i < rank; ++i) {
      for (Index j = 0; j < rank; ++j) a[at(i * rank + j)] = entry(packed, i, j);
      b.push_back(draw(trial + 7000, static_cast<std::uint64_t>(i)));
    }
    auto x = solve_in_lane(packed, b, 0, 1.0);
    solve_nonnegative(a, b, rank, x);
    for (Index i = 0; i < rank; ++i) {
      double gradient = -b[at(i)];
      for (Index j = 0; j < rank; ++j) gradient += entry(packed, i, j) * x[at(j)];
      EXPECT_GE(x[at(i)], 0);
      EXPECT_GE(gradient, -1e-11);  // rounding at a condition of a few hundred
      if (x[at(i)] > 0) {
        EXPECT_NEAR(gradient, 0, 1e-11);
      }
      clipped += x[at(i)] == 0;
    }
  }
  EXPECT_GT(clipped, 100U);
}

}  // namespace
}  // namespace firesteel
