// SPDX-License-Identifier: Apache-2.0
#include "firesteel/linalg/normal_operator.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "firesteel/core/philox.hpp"
#include "firesteel/linalg/factor_kernels.hpp"
#include "firesteel/linalg/single_operator.hpp"
#include "firesteel/linalg/single_products.hpp"

namespace firesteel {
namespace {

constexpr std::size_t at(Index i) { return static_cast<std::size_t>(i); }

double draw(std::uint64_t purpose, std::uint64_t counter) {
  return philox_uniform(17, purpose, counter) - 0.5;
}

/// Rows of `rank` random numbers, zeros behind.
AlignedVector<double> random_rows(Index rows, Index rank, std::uint64_t purpose) {
  AlignedVector<double> values(at(rows * padded_rank(rank)));
  for (Index r = 0; r < rows; ++r)
    for (Index j = 0; j < rank; ++j)
      values[at(r * padded_rank(rank) + j)] = draw(purpose, static_cast<std::uint64_t>(r * 1000 + j));
  return values;
}

/// The dot product as the header says it is summed.
double lane_dot(const double* x, const double* y, Index stride) {
  std::array<double, 8> s{};
  for (Index j = 0; j < stride; ++j) s[at(j % 8)] = std::fma(x[j], y[j], s[at(j % 8)]);
  return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
}

TEST(NormalOperator, adds_rows_in_one_fused_chain_a_coordinate) {
  for (const Index rank : {1, 7, 8, 9, 16, 24, 31, 32, 40, 64, 100}) {
    const Index stride = padded_rank(rank);
    const auto factors = random_rows(30, rank, 1);
    const auto x = random_rows(1, rank, 2);
    for (const Index count : {0, 1, 5, 8, 21, 64}) {
      std::vector<std::int32_t> which;
      std::vector<double> weights, coefficients;
      for (std::uint64_t q = 0; q < 100; ++q) {  // what stands behind `count` is not used
        which.push_back(static_cast<std::int32_t>(philox_bits(5, 1, q) % 30));
        weights.push_back(draw(3, q));
        coefficients.push_back(draw(4, q));
      }
      auto out = random_rows(1, rank, 5);
      auto expected = out;
      for (std::size_t q = 0; q < at(count); ++q) {
        const double* y = factors.data() + which[q] * stride;
        const double scale = std::fma(weights[q], lane_dot(y, x.data(), stride), coefficients[q]);
        for (Index j = 0; j < stride; ++j) expected[at(j)] = std::fma(scale, y[j], expected[at(j)]);
      }
      add_normal_products({factors.data(), rank, which, count}, weights.data(), coefficients.data(), x.data(),
                          out.data());
      EXPECT_EQ(out, expected) << "rank " << rank << ", " << count << " rows";
    }
  }
}

/// As the header of the single-precision form says.
float single_lane_dot(const float* x, const float* y, Index stride) {
  std::array<float, 16> s{};
  for (Index j = 0; j < stride; ++j) s[at(j % 16)] = std::fma(x[j], y[j], s[at(j % 16)]);
  for (std::size_t half = 8; half > 0; half /= 2)
    for (std::size_t lane = 0; lane < half; ++lane) s[lane] += s[lane + half];
  return s[0];
}

TEST(NormalOperator, single_precision_sums_32_rows_in_float_and_these_in_double) {
  for (const Index rank : {1, 15, 16, 17, 40, 64, 100, 130}) {
    const Index stride = padded_single(rank);
    AlignedVector<float> factors(at(30 * stride)), x(at(stride)), scratch(at(stride));
    for (Index r = 0; r < 30; ++r)
      for (Index j = 0; j < rank; ++j)
        factors[at(r * stride + j)] = static_cast<float>(draw(14, static_cast<std::uint64_t>(r * 1000 + j)));
    for (Index j = 0; j < rank; ++j) x[at(j)] = static_cast<float>(draw(15, static_cast<std::uint64_t>(j)));
    for (const Index count : {1, 32, 75}) {
      std::vector<std::int32_t> which;
      std::vector<float> weights, coefficients;
      for (std::uint64_t q = 0; q < 80; ++q) {
        which.push_back(static_cast<std::int32_t>(philox_bits(6, 1, q) % 30));
        weights.push_back(static_cast<float>(draw(16, q)));
        coefficients.push_back(static_cast<float>(draw(17, q)));
      }
      AlignedVector<double> out(at(stride), 0.3), expected = out;
      for (Index first = 0; first < count; first += 32) {
        std::vector<float> run(at(stride), 0.0F);
        for (Index q = first; q < std::min(count, first + 32); ++q) {
          const float* y = factors.data() + which[at(q)] * stride;
          const float scale =
              std::fma(weights[at(q)], single_lane_dot(y, x.data(), stride), 0.5F * coefficients[at(q)]);
          for (Index j = 0; j < stride; ++j) run[at(j)] = std::fma(scale, y[j], run[at(j)]);
        }
        for (Index j = 0; j < stride; ++j) expected[at(j)] += 0.25 * static_cast<double>(run[at(j)]);
      }
      add_single_normal_products({factors.data(), rank, count, which},
                                 {weights.data(), coefficients.data(), 0.5F}, {}, x.data(), 0.25,
                                 scratch.data(), out.data());
      EXPECT_EQ(out, expected) << "rank " << rank << ", " << count << " rows";
    }
  }
}

TEST(NormalOperator, single_dot_products_are_summed_by_lanes) {
  for (const Index rank : {15, 64, 100, 130}) {
    const Index stride = padded_single(rank);
    AlignedVector<float> factors(at(30 * stride)), x(at(stride)), scratch(at(stride));
    for (Index r = 0; r < 30; ++r)
      for (Index j = 0; j < rank; ++j)
        factors[at(r * stride + j)] = static_cast<float>(draw(14, static_cast<std::uint64_t>(r * 1000 + j)));
    for (Index j = 0; j < rank; ++j) x[at(j)] = static_cast<float>(draw(15, static_cast<std::uint64_t>(j)));
    std::vector<std::int32_t> which;
    for (std::uint64_t q = 0; q < 75; ++q)
      which.push_back(static_cast<std::int32_t>(philox_bits(6, 1, q) % 30));
    for (const Index count : {0, 1, 34, 75}) {
      std::vector<float> dots(at(count)), expected;
      single_dots({factors.data(), rank, count, which}, x.data(), dots.data());
      for (const std::int32_t row : std::span(which).first(at(count)))
        expected.push_back(single_lane_dot(factors.data() + row * stride, x.data(), stride));
      EXPECT_EQ(dots, expected) << "rank " << rank;
      // Without coefficients, and with other rows on their way, the sums are those of coefficients of 0.
      const std::vector<float> weights(75, 0.75F), zeros(75, 0.0F);
      AlignedVector<double> out(at(stride), 0.0), same = out;
      add_single_normal_products({factors.data(), rank, count, which}, {weights.data()},
                                 {factors.data(), which}, x.data(), 1, scratch.data(), out.data());
      add_single_normal_products({factors.data(), rank, count, which}, {weights.data(), zeros.data(), 1}, {},
                                 x.data(), 1, scratch.data(), same.data());
      EXPECT_EQ(out, same) << "rank " << rank;
    }
  }
}

TEST(NormalOperator, single_precision_sums_32_rows_of_a_matrix_in_float) {
  for (const Index rank : {1, 13, 32, 64, 100, 130})
    for (Index vectors = 1; vectors <= kGramVectors; ++vectors) {
      const Index stride = padded_single(rank);
      AlignedVector<float> gram(at(rank * stride)), x(at(vectors * stride));
      for (Index i = 0; i < rank; ++i) {
        for (Index n = 0; n < vectors; ++n)
          x[at(n * stride + i)] = static_cast<float>(draw(18, static_cast<std::uint64_t>(n * 1000 + i)));
        for (Index j = 0; j < rank; ++j)
          gram[at(i * stride + j)] = static_cast<float>(draw(19, static_cast<std::uint64_t>(i * 1000 + j)));
      }
      AlignedVector<double> out(at(vectors * stride), 0.3), expected = out;
      std::vector<SingleGramProduct> products;
      for (Index n = 0; n < vectors; ++n) {
        products.push_back({x.data() + n * stride, 0.5, out.data() + n * stride});
        for (Index j = 0; j < rank; ++j)
          for (Index first = 0; first < rank; first += 32) {
            float sum = 0;
            for (Index i = first; i < std::min(rank, first + 32); ++i)
              sum = std::fma(x[at(n * stride + i)], gram[at(i * stride + j)], sum);
            expected[at(n * stride + j)] += 0.5 * static_cast<double>(sum);
          }
      }
      add_single_gram_products(gram, rank, products);
      EXPECT_EQ(out, expected) << "rank " << rank << ", " << vectors << " vectors";
    }
}

TEST(NormalOperator, weighs_ratings_as_it_says) {
  std::vector<double> ratings{0, -2, 3};
  for (std::uint64_t q = 0; q < 20; ++q) ratings.push_back(100 * draw(20, q));
  std::vector<float> weights(ratings.size()), coefficients(ratings.size());
  weigh_ratings(ratings, 0.7, 0.125, 0.25, weights.data(), coefficients.data());
  for (std::size_t q = 0; q < ratings.size(); ++q) {
    const double weight = 0.7 * std::fabs(ratings[q]);
    EXPECT_EQ(weights[q], static_cast<float>(weight * 0.125));
    EXPECT_EQ(coefficients[q], static_cast<float>((ratings[q] > 0 ? 1 + weight : 0) * 0.25));
  }
}

TEST(NormalOperator, multiplies_by_a_shifted_matrix) {
  for (const Index rank : {1, 8, 13, 32, 72, 100}) {
    const Index stride = padded_rank(rank);
    const auto gram = random_rows(rank, rank, 6);
    const auto x = random_rows(1, rank, 7);
    AlignedVector<double> out(at(stride), 5.0);
    shifted_gram_product(gram, rank, 0.75, x.data(), out.data());
    for (Index j = 0; j < stride; ++j) {
      double expected = 0.75 * x[at(j)];
      for (Index i = 0; i < rank; ++i) expected = std::fma(x[at(i)], gram[at(i * stride + j)], expected);
      EXPECT_EQ(out[at(j)], expected) << "rank " << rank << ", " << j;
    }
    shifted_gram_product({}, rank, 0.75, x.data(), out.data());
    for (Index j = 0; j < stride; ++j) EXPECT_EQ(out[at(j)], 0.75 * x[at(j)]);
  }
}

TEST(NormalOperator, steps_of_conjugate_gradients_are_fused_and_summed_by_lanes) {
  for (const Index rank : {3, 8, 50}) {
    const Index stride = padded_rank(rank);
    const auto p = random_rows(1, rank, 8);
    const auto product = random_rows(1, rank, 9);
    auto x = random_rows(1, rank, 10);
    auto r = random_rows(1, rank, 11);
    auto direction = p;
    const auto x_before = x;
    const auto r_before = r;
    const double square = step_along(rank, 0.3, p.data(), product.data(), x.data(), r.data());
    for (Index j = 0; j < stride; ++j) {
      EXPECT_EQ(x[at(j)], std::fma(0.3, p[at(j)], x_before[at(j)]));
      EXPECT_EQ(r[at(j)], std::fma(-0.3, product[at(j)], r_before[at(j)]));
    }
    EXPECT_EQ(square, lane_dot(r.data(), r.data(), stride));
    EXPECT_EQ(square, factor_dot(rank, r.data(), r.data()));
    turn_direction(rank, 0.7, r.data(), direction.data());
    for (Index j = 0; j < stride; ++j) EXPECT_EQ(direction[at(j)], std::fma(0.7, p[at(j)], r[at(j)]));
  }
}

}  // namespace
}  // namespace firesteel
