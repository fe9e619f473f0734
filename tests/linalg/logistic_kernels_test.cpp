// SPDX-License-Identifier: Apache-2.0
// Kernels against plain loops over rows.
#include "firesteel/linalg/logistic_kernels.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "firesteel/core/philox.hpp"
#include "firesteel/linalg/cholesky.hpp"
#include "firesteel/linalg/line_search.hpp"
#include "firesteel/linalg/moment_kernels.hpp"

namespace firesteel {
namespace {

constexpr Index kRows = 77;  // two whole tiles and a part
constexpr Index kTiles = 3;

double draw(std::uint64_t purpose, Index i) {
  return 4 * philox_uniform(11, purpose, static_cast<std::uint64_t>(i)) - 2;
}

struct Example {
  DenseTiles<double> features;
  LogisticTargets targets;
  std::vector<double> coefficients;
  std::vector<double> offsets;

  Example(Index columns, Index outputs) : features(kRows, columns) {
    for (Index i = 0; i < kRows; ++i)
      for (Index j = 0; j < columns; ++j) features.at(i, j) = draw(1, i * columns + j);
    targets.target.assign(kTiles * kTileRows, 0.0);
    targets.weight.assign(kTiles * kTileRows, 0.0);
    for (std::size_t i = 0; i < kRows; ++i) {
      const auto row = static_cast<Index>(i);
      targets.target[i] = outputs == 1 ? (draw(2, row) > 0 ? 1 : -1) : static_cast<double>(row % outputs);
      targets.weight[i] = 2.5 + draw(3, row);
    }
    for (Index i = 0; i < outputs * columns; ++i) coefficients.push_back(draw(4, i));
    for (Index k = 0; k < outputs; ++k) offsets.push_back(draw(5, k));
  }
  LinearOutputs model() const { return {static_cast<Index>(offsets.size()), coefficients, offsets}; }

  /// Loss, residual sums and gradient by definition, in long double.
  std::vector<long double> expected() const {
    const auto outputs = static_cast<Index>(offsets.size());
    const Index columns = features.columns();
    std::vector<long double> sums(static_cast<std::size_t>(1 + outputs + outputs * columns), 0.0L);
    for (Index i = 0; i < kRows; ++i) {
      const auto row = static_cast<std::size_t>(i);
      std::vector<long double> z;
      for (Index k = 0; k < outputs; ++k) {
        z.push_back(offsets[static_cast<std::size_t>(k)]);
        for (Index j = 0; j < columns; ++j)
          z.back() += static_cast<long double>(coefficients[static_cast<std::size_t>(k * columns + j)]) *
                      features.at(i, j);
      }
      const long double y = targets.target[row];
      const long double w = targets.weight[row];
      long double total = 0;
      for (const long double value : z) total += expl(value);
      sums[0] +=
          outputs == 1 ? w * log1pl(expl(-y * z[0])) : w * (logl(total) - z[static_cast<std::size_t>(y)]);
      for (Index k = 0; k < outputs; ++k) {
        const auto own = static_cast<std::size_t>(k);
        const long double r =
            w * (outputs == 1 ? -y / (1 + expl(y * z[0])) : expl(z[own]) / total - (y == k ? 1.0L : 0.0L));
        sums[1 + own] += r;
        for (Index j = 0; j < columns; ++j)
          sums[static_cast<std::size_t>(1 + outputs + k * columns + j)] += r * features.at(i, j);
      }
    }
    return sums;
  }
};

SparseRows<double> sparse_of(const DenseTiles<double>& dense) {
  SparseRows<double> rows;
  rows.columns_count = dense.columns();
  for (Index i = 0; i < dense.local_rows(); ++i) {
    for (Index j = 0; j < dense.columns(); ++j) {
      rows.indices.push_back(static_cast<std::int32_t>(j));
      rows.values.push_back(dense.at(i, j));
    }
    rows.row_begin.push_back(static_cast<Index>(rows.values.size()));
  }
  return rows;
}

TEST(LogisticKernels, loss_and_gradient_agree_with_their_definition) {
  // With 130 outputs groups are of one tile.
  for (const Index outputs : {1, 2, 3, 7, 130}) {
    for (const Index columns : {1, 5, 33}) {
      const Example example(columns, outputs);
      const auto expected = example.expected();
      AlignedVector<double> z(static_cast<std::size_t>(kTiles * kTileRows * outputs));
      AlignedVector<double> scratch;
      std::vector<double> dense(expected.size());
      std::vector<double> sparse(expected.size());
      block_loss_and_gradient(example.features, example.targets, example.model(), {0, kTiles}, z.data(),
                              dense, scratch);
      block_loss_and_gradient(sparse_of(example.features), example.targets, example.model(), {0, kTiles},
                              z.data(), sparse, scratch);
      for (std::size_t i = 0; i < expected.size(); ++i) {
        // 77 terms of up to 60 (a hundred in the loss of many classes), rounded to 2⁻⁵³ each.
        EXPECT_NEAR(dense[i], static_cast<double>(expected[i]), 1e-11)
            << outputs << " " << columns << " " << i;
        EXPECT_NEAR(sparse[i], static_cast<double>(expected[i]), 1e-11)
            << outputs << " " << columns << " " << i;
      }
    }
  }
}

TEST(LogisticKernels, moments_of_classes_agree_with_their_definition) {
  for (const Index outputs : {2, 3, 10}) {
    const Example example(4, outputs);
    AlignedVector<double> z(static_cast<std::size_t>(kTiles * kTileRows * outputs));
    AlignedVector<double> scratch;
    block_margins(example.features, example.model(), {0, kTiles}, z.data());
    const auto count = static_cast<std::size_t>(outputs);
    std::vector<long double> expected(count * (count + 1) / 2 + count, 0.0L);
    for (std::size_t row = 0; row < kRows; ++row) {
      std::vector<long double> p;
      long double total = 0;
      for (std::size_t k = 0; k < count; ++k) {
        p.push_back(expl(z[(row / 32 * count + k) * 32 + row % 32]));
        total += p.back();
      }
      for (std::size_t a = 0; a < count; ++a) {
        const long double weighted = example.targets.weight[row] * p[a] / total;
        for (std::size_t b = 0; b <= a; ++b) expected[a * (a + 1) / 2 + b] += weighted * p[b] / total;
        expected[count * (count + 1) / 2 + a] += weighted;
      }
    }
    std::vector<double> moments(expected.size());
    block_class_moments(example.targets, outputs, {0, kTiles}, z.data(), moments, scratch);
    for (std::size_t i = 0; i < moments.size(); ++i)
      EXPECT_NEAR(moments[i], static_cast<double>(expected[i]), 1e-12) << outputs << " " << i;
  }
}

/// Losses of rows of weight 1 come from a product: they must keep their digits where each is tiny, and be
/// large where margins are.
TEST(LogisticKernels, rows_without_weights_have_weight_one_and_margins_may_be_left_out) {
  for (const double scale : {1e-3, 1.0, 40.0}) {
    Example example(5, 1);
    for (double& value : example.coefficients) value *= scale;
    example.offsets[0] = 0;
    AlignedVector<double> z(kTiles * kTileRows);
    AlignedVector<double> scratch;
    block_margins(example.features, example.model(), {0, kTiles}, z.data());
    for (std::size_t i = 0; i < kRows; ++i) {
      example.targets.weight[i] = 1;
      if (scale > 1) example.targets.target[i] = z[i] > 0 ? 1 : -1;  // all right, most by far
    }
    std::vector<double> given(7);
    std::vector<double> none(7);
    std::vector<double> unkept(7);
    const auto sum = [&](double* margins, std::vector<double>& statistic) {
      block_loss_and_gradient(example.features, example.targets, example.model(), {0, kTiles}, margins,
                              statistic, scratch);
    };
    sum(z.data(), given);
    example.targets.weight.clear();
    example.targets.rows = kRows;
    sum(z.data(), none);
    sum(nullptr, unkept);
    EXPECT_EQ(unkept, none);
    // 77 losses of one sign, each rounded a few times.
    EXPECT_NEAR(none[0] / given[0], 1.0, 1e-14);
    for (std::size_t i = 1; i < none.size(); ++i) EXPECT_EQ(none[i], given[i]);
  }
}

TEST(LogisticKernels, losses_of_a_product_keep_the_digits_of_tiny_ones) {
  constexpr Index kMany = 200;  // tiles: the product is begun again after 128
  DenseTiles<double> features(kMany * kTileRows, 1);
  LogisticTargets targets;
  targets.rows = kMany * kTileRows;
  long double expected[2] = {};
  for (Index i = 0; i < targets.rows; ++i) {
    features.at(i, 0) = 20 + draw(1, i);
    targets.target.push_back(1);
    for (const int sign : {0, 1})
      expected[sign] += log1pl(expl((sign == 0 ? -1.0L : 1.0L) * features.at(i, 0)));
  }
  AlignedVector<double> scratch;
  for (const int sign : {0, 1}) {
    const std::vector<double> coefficients{sign == 0 ? 1.0 : -1.0};  // losses of 2e-9, and of 20
    const std::vector<double> offsets{0.0};
    std::vector<double> statistic(3);
    block_loss_and_gradient(features, targets, {1, coefficients, offsets}, {0, kMany}, nullptr, statistic,
                            scratch);
    // 800 steps a lane, each rounded to 2⁻⁵³, all of one sign.
    EXPECT_NEAR(statistic[0] / static_cast<double>(expected[sign]), 1.0, 2e-13);
  }
}

TEST(LogisticKernels, slope_on_a_line_is_the_difference_quotient) {
  for (const Index outputs : {1, 3}) {
    Example example(4, outputs);
    const auto size = static_cast<std::size_t>(kTiles * kTileRows * outputs);
    AlignedVector<double> z(size);
    AlignedVector<double> trial(size);
    AlignedVector<double> scratch;
    block_margins(example.features, example.model(), {0, kTiles}, z.data());
    for (double& value : example.coefficients) value = 0.3 - value;
    block_margins(example.features, example.model(), {0, kTiles}, trial.data());
    const auto at = [&](double t) {
      std::vector<double> sums(2);
      block_loss_on_line(example.targets, outputs, {0, kTiles}, z.data(), trial.data(), t, sums, scratch);
      return LinePoint{sums[0], sums[1]};
    };
    const double h = 1e-5;
    // Central differences: error of order h²·|f‴|, here below 1e-6 relative.
    EXPECT_NEAR((at(0.4 + h).value - at(0.4 - h).value) / (2 * h) / at(0.4).slope, 1.0, 1e-6);
  }
}

TEST(LogisticKernels, gram_agrees_with_plain_sums_and_its_cholesky_factor_solves) {
  for (const Index columns : {1, 3, 4, 9}) {
    const Example example(columns, 1);
    const std::vector<double> root(kTiles * kTileRows, 0.5);
    const std::vector<double> centre(static_cast<std::size_t>(columns), 0.25);
    const std::vector<double> scale(static_cast<std::size_t>(columns), 2.0);
    AlignedVector<double> filled;
    const Index used = fill_columns(example.features, root, centre, scale, true, {0, kTiles}, filled);
    ASSERT_EQ(used, columns + 1);
    const Index n = kTiles * kTileRows;
    std::vector<double> gram(static_cast<std::size_t>(used * (used + 1) / 2));
    gram_of_columns(filled.data(), n, used, gram);
    std::vector<double> matrix(static_cast<std::size_t>(used * used));
    for (Index j = 0; j < used; ++j)
      for (Index k = 0; k <= j; ++k) {
        long double sum = 0;
        for (Index i = 0; i < n; ++i)
          sum += static_cast<long double>(filled[static_cast<std::size_t>(j * n + i)]) *
                 filled[static_cast<std::size_t>(k * n + i)];
        const double got = gram[static_cast<std::size_t>(j * (j + 1) / 2 + k)];
        EXPECT_NEAR(got, static_cast<double>(sum), 1e-12);
        matrix[static_cast<std::size_t>(j * used + k)] = matrix[static_cast<std::size_t>(k * used + j)] = got;
      }
    auto factor = matrix;
    ASSERT_TRUE(cholesky_factor(factor, used));
    std::vector<double> x(static_cast<std::size_t>(used), 1.0);
    cholesky_solve(factor, used, x);
    for (std::size_t j = 0; j < x.size(); ++j) {
      double product = 0;
      for (std::size_t k = 0; k < x.size(); ++k) product += matrix[j * x.size() + k] * x[k];
      EXPECT_NEAR(product, 1.0, 1e-10);
    }
  }
  std::vector<double> singular{1, 1, 1, 1};
  EXPECT_FALSE(cholesky_factor(singular, 2));
}

TEST(LineSearch, finds_a_wolfe_step_near_and_far) {
  for (const double minimum : {0.01, 0.5, 3.0, 5000.0}) {
    const auto at = [&](double t) { return LinePoint{(t - minimum) * (t - minimum), 2 * (t - minimum)}; };
    const double t = wolfe_step(at(0), at(1), {.slope_ratio = 0.1}, at);
    EXPECT_NEAR(t / minimum, 1.0, 0.1);
  }
}

}  // namespace
}  // namespace firesteel
