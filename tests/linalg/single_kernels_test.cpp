// SPDX-License-Identifier: Apache-2.0
// Kernels in single precision: bit for bit what their headers say, in scalar code; and near the definition.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "firesteel/core/philox.hpp"
#include "firesteel/linalg/factor_kernels.hpp"
#include "firesteel/linalg/logistic_single.hpp"
#include "firesteel/linalg/single_products.hpp"
#include "firesteel/linalg/single_rows.hpp"

namespace firesteel {
namespace {

constexpr std::size_t kTile = static_cast<std::size_t>(kTileRows);
constexpr Index kRows = 77;  // two whole tiles and a part
constexpr Index kTiles = 3;
constexpr double kUnit = std::numeric_limits<float>::epsilon() / 2;

std::size_t at(Index i) { return static_cast<std::size_t>(i); }
double draw(std::uint64_t purpose, Index i) {
  return 4 * philox_uniform(12, purpose, static_cast<std::uint64_t>(i)) - 2;
}

/// Columns around 1000: without a centre float would lose three digits of every product.
struct Example {
  DenseTiles<float> features;
  SparseRows<float> sparse;
  LogisticTargets targets;
  std::vector<float> coefficients;
  std::vector<double> offsets;
  std::vector<float> centre;
  Index columns;
  Index outputs;

  Example(Index d, Index k) : features(kRows, d), columns(d), outputs(k) {
    sparse.columns_count = d;
    for (Index i = 0; i < kRows; ++i) {
      for (Index j = 0; j < d; ++j) {
        features.at(i, j) = static_cast<float>(1000 + draw(1, i * d + j));
        if ((i + j) % 3 == 0) continue;
        sparse.indices.push_back(static_cast<std::int32_t>(j));
        sparse.values.push_back(static_cast<float>(draw(1, i * d + j)));
      }
      sparse.row_begin.push_back(static_cast<Index>(sparse.values.size()));
    }
    targets.target.assign(at(kTiles * kTileRows), 0.0);
    targets.weight.assign(at(kTiles * kTileRows), 0.0);
    for (Index i = 0; i < kRows; ++i) {
      targets.target[at(i)] = k == 1 ? (draw(2, i) > 0 ? 1 : -1) : static_cast<double>(i % k);
      targets.weight[at(i)] = 2.5 + draw(3, i);
    }
    targets.weight[5] = 0;
    for (Index j = 0; j < d; ++j) features.at(5, j) = std::numeric_limits<float>::max();
    for (Index i = 0; i < k * d; ++i) coefficients.push_back(static_cast<float>(draw(4, i)));
    for (Index i = 0; i < k; ++i) offsets.push_back(draw(5, i));
    centre.assign(at(d), 1000.25F);
  }
  SingleOutputs model() const { return {outputs, coefficients, offsets, centre, 0.125}; }
  std::size_t length() const { return at(1 + outputs + outputs * columns); }

  double centred(Index i, Index j) const { return static_cast<double>(features.at(i, j)) - 1000.25; }

  /// Loss, residual sums and gradient by definition.
  template <class Value>
  std::vector<long double> expected(const Value& value, double* largest_term) const {
    std::vector<long double> sums(length(), 0.0L);
    for (Index i = 0; i < kRows; ++i) {
      const double w = targets.weight[at(i)];
      if (w == 0) continue;
      std::vector<long double> z;
      for (Index k = 0; k < outputs; ++k) {
        z.push_back(offsets[at(k)]);
        for (Index j = 0; j < columns; ++j)
          z.back() += static_cast<long double>(coefficients[at(k * columns + j)]) * value(i, j);
      }
      const long double y = targets.target[at(i)];
      long double total = 0;
      for (const long double margin : z) total += expl(margin);
      sums[0] +=
          outputs == 1 ? w * log1pl(expl(-y * z[0])) : w * (logl(total) - z[static_cast<std::size_t>(y)]);
      for (Index k = 0; k < outputs; ++k) {
        const long double r =
            w * (outputs == 1 ? -y / (1 + expl(y * z[0])) : expl(z[at(k)]) / total - (y == k ? 1.0L : 0.0L));
        sums[at(1 + k)] += r;
        for (Index j = 0; j < columns; ++j)
          sums[at(1 + outputs + k * columns + j)] += r * static_cast<long double>(value(i, j));
      }
    }
    *largest_term = 9;  // weight at most 4.5, |x| at most 2, |residual| at most 1
    return sums;
  }
};

/// Margins of at most 4·d, off by (d + 2)·u of that; residuals by a quarter of it and a rounding, terms by
/// another; sums over 32 rows by eight.
double bound(const Example& example, double term) {
  const auto d = static_cast<double>(example.columns);
  return static_cast<double>(kRows) * term * ((d + 2) * 4 * d + 12) * kUnit;
}

TEST(SingleKernels, loss_and_gradient_are_near_their_definition) {
  for (const Index outputs : {1, 2, 3, 4, 7, 300}) {  // 300: a tile's residuals at a time
    for (const Index columns : {1, 5, 33}) {
      const Example example(columns, outputs);
      AlignedVector<double> z(at(kTiles * kTileRows * outputs));
      AlignedVector<double> scratch;
      std::vector<double> got(example.length());
      double term = 0;
      block_loss_and_gradient(example.features, example.targets, example.model(), {0, kTiles}, z.data(), got,
                              scratch);
      const auto dense = [&](Index i, Index j) { return example.centred(i, j); };
      auto expected = example.expected(dense, &term);
      for (std::size_t i = 0; i < expected.size(); ++i)
        EXPECT_NEAR(got[i], static_cast<double>(expected[i]), bound(example, term))
            << outputs << " " << columns << " " << i;
      EXPECT_EQ(z[5], 0);  // weight 0, and beyond float

      block_loss_and_gradient(example.sparse, example.targets, example.model(), {0, kTiles}, z.data(), got,
                              scratch);
      const auto sparse = [&](Index i, Index j) {
        return (i + j) % 3 == 0 ? 0.0 : static_cast<double>(static_cast<float>(draw(1, i * columns + j)));
      };
      expected = example.expected(sparse, &term);
      for (std::size_t i = 0; i < expected.size(); ++i)
        EXPECT_NEAR(got[i], static_cast<double>(expected[i]), bound(example, term))
            << outputs << " " << columns << " " << i;
    }
  }
}

/// eˣ and the residuals of a row of several classes as the kernel computes them.
float exp_of(float x) {
  x = std::max(x, -86.0F);
  const float shifted = std::fma(x, static_cast<float>(0x1.71547652b82fep+0), 0x1.8p23F);
  const float n = shifted - 0x1.8p23F;
  const auto low = static_cast<float>(0x1.62e42fefa39efp-1 - 0x1.62e4p-1);
  const float r = std::fma(-n, low, std::fma(-n, 0x1.62e4p-1F, x));
  float p = 1.0F / 5040;
  for (const float next : {1.0F / 720, 1.0F / 120, 1.0F / 24, 1.0F / 6, 0.5F, 1.0F, 1.0F})
    p = std::fma(p, r, next);
  return std::ldexp(p, static_cast<int>(n));
}

std::vector<float> softmax_residuals(std::span<const double> z, std::size_t y, double weight, double scale) {
  const double top = *std::max_element(z.begin(), z.end());
  float rest = 0;
  for (std::size_t k = 0; k < z.size(); ++k) rest += k == y ? 0.0F : exp_of(static_cast<float>(z[k] - top));
  const double sum = static_cast<double>(exp_of(static_cast<float>(z[y] - top))) + static_cast<double>(rest);
  const auto weighted = static_cast<float>(weight * scale / sum);
  std::vector<float> residuals;
  for (std::size_t k = 0; k < z.size(); ++k)
    residuals.push_back(k == y ? -(weighted * rest) : weighted * exp_of(static_cast<float>(z[k] - top)));
  return residuals;
}

TEST(SingleKernels, residuals_of_well_fitted_rows_keep_their_digits) {
  Example example(1, 3);
  example.coefficients = {20.0F, 0.0F, -20.0F};
  example.offsets = {0.5, 0.25, 0};
  for (Index i = 0; i < kRows; ++i) {
    example.features.at(i, 0) = example.sparse.values[0] = i % 2 == 0 ? 1001.25F : 999.25F;
    example.targets.target[at(i)] = i % 2 == 0 ? 0 : 2;  // on the right side by about 20
    example.targets.weight[at(i)] = 1;
  }
  AlignedVector<double> z(at(kTiles * kTileRows * 3));
  AlignedVector<double> scratch;
  std::vector<double> got(example.length());
  block_loss_and_gradient(example.features, example.targets, example.model(), {0, kTiles}, z.data(), got,
                          scratch);
  double term = 0;
  const auto expected = example.expected([&](Index i, Index j) { return example.centred(i, j); }, &term);
  ASSERT_LT(expected[0], 1e-6);
  for (std::size_t i = 0; i < expected.size(); ++i)  // a margin's rounding, 20·u, and a few more
    EXPECT_NEAR(got[i] / static_cast<double>(expected[i]), 1.0, 100 * kUnit) << i;
}

/// The margin's chain and the order of a tile's sums, written out: whatever the width of registers.
TEST(SingleKernels, margins_and_tile_sums_have_the_written_bits) {
  for (const Index outputs : {1, 2, 3, 7}) {
    const Index columns = 9;
    const Example example(columns, outputs);
    AlignedVector<double> z(at(kTiles * kTileRows * outputs));
    AlignedVector<double> scratch;
    std::vector<double> got(example.length());
    block_loss_and_gradient(example.features, example.targets, example.model(), {0, kTiles}, z.data(), got,
                            scratch);
    AlignedVector<double> residuals(z.size());
    std::vector<double> unused(at(1 + outputs));
    block_residuals(example.targets, outputs, {0, kTiles}, z.data(), residuals.data(), unused);
    const auto centred = [&](Index i, Index j) {
      return example.features.tile(
                 0)[at(i / kTileRows * kTileRows * columns + j * kTileRows + i % kTileRows)] -
             example.centre[at(j)];
    };
    for (Index k = 0; k < outputs; ++k) {
      for (Index i = 0; i < kRows; ++i) {
        float chain = 0;
        for (Index j = 0; j < columns; ++j)
          chain = std::fma(example.coefficients[at(k * columns + j)], centred(i, j), chain);
        const double expected =
            example.targets.weight[at(i)] > 0 ? static_cast<double>(chain) + example.offsets[at(k)] : 0;
        ASSERT_EQ(z[at((i / kTileRows * outputs + k) * kTileRows + i % kTileRows)], expected);
      }
      for (Index j = 0; j < columns; ++j) {
        double lanes[8] = {};
        for (Index t = 0; t < kTiles; ++t) {
          float sum[16];
          const auto r = [&](Index row) {
            if (outputs == 1) return static_cast<float>(residuals[at(t * kTileRows + row)] * 0.125);
            std::vector<double> margins;
            for (Index c = 0; c < outputs; ++c) margins.push_back(z[at((t * outputs + c) * kTileRows + row)]);
            const auto i = at(t * kTileRows + row);
            return softmax_residuals(margins, static_cast<std::size_t>(example.targets.target[i]),
                                     example.targets.weight[i], 0.125)[at(k)];
          };
          for (Index lane = 0; lane < 16; ++lane)
            sum[lane] = std::fma(r(lane + 16), centred(t * kTileRows + lane + 16, j),
                                 r(lane) * centred(t * kTileRows + lane, j));
          for (Index lane = 0; lane < 8; ++lane)
            lanes[lane] += static_cast<double>(sum[lane] + sum[lane + 8]);
        }
        const double expected = (((lanes[0] + lanes[4]) + (lanes[2] + lanes[6])) +
                                 ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7]))) /
                                0.125;
        ASSERT_EQ(got[at(1 + outputs + k * columns + j)], expected) << outputs << " " << k << " " << j;
      }
    }
  }
}

TEST(SingleKernels, rows_of_the_hessian_are_scaled_and_laid_out_by_row) {
  for (const Index columns : {1, 4, 15, 16, 17}) {
    const Example example(columns, 1);
    AlignedVector<float> root(at(kTiles * kTileRows), 0.0F);
    for (Index i = 0; i < kRows; ++i) root[at(i)] = i == 5 ? 0.0F : static_cast<float>(2.5 + draw(6, i));
    const std::vector<float> scale(at(columns), 0.3F);
    const std::vector<float> shift(at(columns), 0.1F);
    const std::vector<float> none(at(columns), 0.0F);
    const Index stride = padded_single(columns + 1);
    AlignedVector<float> rows(at(kTiles * kTileRows * stride), 7.0F);
    fill_single_rows(example.features, {root, example.centre, scale, shift}, {0, kTiles}, stride,
                     rows.data());
    AlignedVector<float> sparse(rows.size(), 7.0F);
    fill_single_rows(example.sparse, {root, none, scale, shift}, {0, kTiles}, stride, sparse.data());
    for (Index i = 0; i < kTiles * kTileRows; ++i)
      for (Index j = 0; j < stride; ++j) {
        float expected = 0;
        float of_sparse = 0;
        if (j < columns && i < kRows && i != 5) {
          expected = root[at(i)] * std::fma(example.features.at(i, j) - 1000.25F, 0.3F, 0.1F);
          const float x = (i + j) % 3 == 0 ? 0.0F : static_cast<float>(draw(1, i * columns + j));
          of_sparse = root[at(i)] * (x * 0.3F + 0.1F);
        } else if (j == columns) {
          expected = of_sparse = root[at(i)];
        }
        ASSERT_EQ(rows[at(i * stride + j)], expected) << i << " " << j;
        ASSERT_EQ(sparse[at(i * stride + j)], of_sparse) << i << " " << j;
      }
  }
}

TEST(SingleKernels, products_are_one_chain_in_float_for_each_32_rows) {
  for (const Index rank : {1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 50, 64, 100}) {
    const Index stride = padded_single(rank);
    AlignedVector<float> factors(at(40 * stride), 0.0F);
    for (Index r = 0; r < 40; ++r)
      for (Index j = 0; j < rank; ++j)
        factors[at(r * stride + j)] = static_cast<float>(draw(7, r * rank + j));
    for (const bool weighted : {false, true}) {
      std::vector<std::int32_t> which;
      std::vector<float> weights, coefficients;
      for (Index q = 0; q < 150; ++q) {  // several batches, the last one short
        which.push_back(static_cast<std::int32_t>(philox_bits(5, 1, at(q)) % 40));
        weights.push_back(static_cast<float>(2.5 + draw(8, q)));
        coefficients.push_back(static_cast<float>(draw(9, q)));
      }
      SingleNormalEquations equations(rank);
      AlignedVector<double> sums(at(equations.size()), 0.5);
      equations.add(factors.data(), which, weighted ? weights : std::vector<float>{}, coefficients,
                    sums.data());
      for (Index i = 0; i <= rank; ++i)
        for (Index j = 0; j < (i < rank ? i + 1 : rank); ++j) {
          double expected = 0.5;
          for (std::size_t first = 0; first < which.size(); first += kTile) {
            float chain = 0;
            for (std::size_t q = first; q < std::min(which.size(), first + kTile); ++q) {
              const float* y = factors.data() + which[q] * stride;
              const float left = i < rank ? (weighted ? weights[q] : 1.0F) * y[i] : coefficients[q];
              chain = std::fma(left, y[j], chain);
            }
            expected += static_cast<double>(chain);
          }
          ASSERT_EQ(sums[at(i * stride + j)], expected) << "rank " << rank << " " << i << " " << j;
        }
    }
  }
}

}  // namespace
}  // namespace firesteel
