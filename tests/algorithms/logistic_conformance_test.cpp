// SPDX-License-Identifier: Apache-2.0
// Published numbers of Spark's LogisticRegressionSuite, with the values recomputed to nine digits.
#include <gtest/gtest.h>

#include <array>

#include "firesteel/algorithms/logistic_regression.hpp"
#include "firesteel/tests/algorithms/logistic_data.hpp"
#include "firesteel/tests/reference/spark_random.hpp"

namespace firesteel {
namespace {

constexpr std::array kMean{5.843, 3.057, 3.758, 1.199};
constexpr std::array kVariance{0.6856, 0.1899, 3.116, 0.581};
constexpr Index kRows = 10000;

RowBlocks binary_data(const Context& context) {
  constexpr std::array kWeights{-0.57997, 0.912083, -0.371077, -0.819866, 2.688191};
  const auto data = reference::spark_logistic_data(kWeights, kMean, kVariance, kRows, 42);
  return pack_slice(context, data.values, data.columns, data.labels, reference::spark_rand(kRows, 42, 4));
}

RowBlocks multinomial_data(const Context& context) {
  constexpr std::array kWeights{-0.57997, 0.912083, -0.371077, -0.819866, 2.688191,
                                -0.16624, -0.84355, -0.048509, -0.301789, 4.170682};
  const auto data = reference::spark_logistic_data(kWeights, kMean, kVariance, kRows, 42);
  return pack_slice(context, data.values, data.columns, data.labels, reference::spark_rand(kRows, 42, 4));
}

void expect_near(std::span<const double> got, std::span<const double> expected, double tolerance) {
  ASSERT_EQ(got.size(), expected.size());
  for (std::size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], expected[i], tolerance) << "entry " << i;
}

TEST(SparkRandom, gives_the_published_first_values) {
  EXPECT_EQ(reference::XorShiftRandom(0).next_double(), 0.7604953758285915);
  EXPECT_EQ(reference::JavaRandom(42).next_double(), 0.7275636800328681);
}

/// Reference values have nine digits; the fits end at a gradient of 1e-12.
constexpr double kDigits = 1e-7;

class EverySolver : public testing::TestWithParam<std::string> {};

TEST_P(EverySolver, fits_binary_data_without_penalty) {
  const Context context;
  const RowBlocks data = binary_data(context);
  const auto model = LogisticRegression{.max_iter = 1000, .tol = 1e-11, .solver = GetParam()}.fit(data);
  expect_near(model.coefficients.values, std::array{-0.566810852, 0.881920191, -0.388261598, -0.789129887},
              kDigits);
  expect_near(model.intercept, std::array{2.71154694}, kDigits);
  EXPECT_TRUE(*model.summary.converged) << model.summary.stop_reason;
}

TEST_P(EverySolver, fits_binary_data_without_intercept) {
  const Context context;
  const RowBlocks data = binary_data(context);
  const auto model =
      LogisticRegression{.max_iter = 1000, .tol = 1e-11, .fit_intercept = false, .solver = GetParam()}.fit(
          data);
  expect_near(model.coefficients.values, std::array{-0.3475866, 1.27658061, -0.353672038, -0.731433236},
              kDigits);
  EXPECT_EQ(model.intercept, std::vector<double>{0.0});
}

TEST_P(EverySolver, leaves_only_the_intercept_under_a_strong_l1_penalty) {
  if (GetParam() == "lbfgs") return;  // refuses L1, tested elsewhere
  const Context context;
  const RowBlocks data = binary_data(context);
  const auto model =
      LogisticRegression{.reg_param = 6, .elastic_net_param = 1, .solver = GetParam()}.fit(data);
  EXPECT_EQ(model.coefficients.values, std::vector<double>(4, 0.0));
  expect_near(model.intercept, std::array{-0.2521953}, kDigits);
  EXPECT_EQ(model.summary.iterations, 0);
  EXPECT_EQ(model.summary.stop_reason, "gradient");
}

TEST_P(EverySolver, fits_three_classes_without_pivot) {
  const Context context;
  const RowBlocks data = multinomial_data(context);
  const auto model = LogisticRegression{.max_iter = 2000, .tol = 1e-11, .solver = GetParam()}.fit(data);
  expect_near(model.coefficients.values,
              std::array{0.245748832, -0.0405467435, 0.149636695, 0.375036371, -0.326698129, 0.893938227,
                         -0.236351957, -0.463130894, 0.0809492967, -0.853391484, 0.0867152614, 0.0880945228},
              kDigits);
  expect_near(model.intercept, std::array{-2.22347417, 0.367432754, 1.85604142}, kDigits);
  EXPECT_TRUE(*model.summary.converged) << model.summary.stop_reason;
}

INSTANTIATE_TEST_SUITE_P(Logistic, EverySolver, testing::Values("newton", "lbfgs", "owlqn", "lbfgs-newton"),
                         [](const auto& solver) {
                           std::string name = solver.param;
                           std::erase(name, '-');
                           return name;
                         });

}  // namespace
}  // namespace firesteel
