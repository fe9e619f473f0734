// SPDX-License-Identifier: Apache-2.0
// Hard numbers against answers that are known: the same problem in other units, closed forms, duplicates.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <limits>

#include "firesteel/algorithms/als.hpp"
#include "firesteel/algorithms/kmeans.hpp"
#include "firesteel/algorithms/logistic_regression.hpp"
#include "firesteel/core/philox.hpp"
#include "firesteel/tests/algorithms/als_data.hpp"
#include "firesteel/tests/algorithms/logistic_data.hpp"

namespace firesteel {
namespace {

constexpr Index kRows = 300;
constexpr Index kColumns = 4;

double uniform(Index row, Index column) {
  return philox_uniform(7, static_cast<std::uint64_t>(column), static_cast<std::uint64_t>(row));
}

struct Table {
  std::vector<double> values;
  std::vector<double> labels;
};

/// Overlapping classes; column j in units of 2^-exponents[j].
Table table(std::span<const int> exponents, Index classes = 2) {
  Table made;
  for (Index row = 0; row < kRows; ++row) {
    double score = 0;
    for (Index j = 0; j < kColumns; ++j) {
      const double x = uniform(row, j) - 0.4;
      score += x * static_cast<double>(j % 2 == 0 ? 1 : -1);
      made.values.push_back(std::ldexp(x, exponents[static_cast<std::size_t>(j)]));
    }
    const double level =
        std::floor(static_cast<double>(classes) * (0.5 + 0.3 * score + 0.6 * (uniform(row, 9) - 0.5)));
    made.labels.push_back(std::clamp(level, 0.0, static_cast<double>(classes - 1)));
  }
  return made;
}

class NumbersUnderStress : public testing::Test {
 protected:
  NumbersUnderStress() { setenv("FIRESTEEL_BLOCK_ROWS", "32", 1); }
  Context context_{MPI_COMM_WORLD, {.threads = 2}};
};

/// Fits the same problem in two systems of units and compares; `tolerance` 0: to the last bit.
void compare_units(const Context& context, std::span<const int> units, double tolerance) {
  const std::vector<int> plain(kColumns, 0);
  for (const Index classes : {2, 3})
    for (const char* solver : {"newton", "lbfgs", "owlqn", "lbfgs-newton"})
      for (const double penalty : {0.0, 0.01}) {
        SCOPED_TRACE(std::string(solver) + " classes " + std::to_string(classes) + " penalty " +
                     std::to_string(penalty));
        const LogisticRegression learner{.reg_param = penalty, .solver = solver};
        const Table a = table(plain, classes);
        const Table b = table(units, classes);
        const auto one = learner.fit(pack_slice(context, a.values, kColumns, a.labels));
        const auto other = learner.fit(pack_slice(context, b.values, kColumns, b.labels));
        EXPECT_NEAR(one.summary.objective, other.summary.objective, tolerance);
        for (Index i = 0; i < one.coefficients.rows * kColumns; ++i) {
          const auto at = static_cast<std::size_t>(i);
          const int exponent = units[static_cast<std::size_t>(i % kColumns)];
          EXPECT_NEAR(one.coefficients.values[at], std::ldexp(other.coefficients.values[at], exponent),
                      tolerance);
        }
      }
}

TEST_F(NumbersUnderStress, logistic_in_other_powers_of_two_has_the_same_coefficients_in_those_units) {
  const int moderate[] = {-200, 100, -3, 57};
  compare_units(context_, moderate, 0);
  // Squares over- and underflow here: deviations are taken another way, with other last bits, and where the
  // solver stops within tol (1e-6) may change with them.
  const int extreme[] = {-900, 900, -3, 500};
  compare_units(context_, extreme, 1e-9);
}

TEST_F(NumbersUnderStress, logistic_rows_twice_are_rows_of_weight_two) {
  const int plain[] = {0, 0, 0, 0};
  const Table once = table(plain);
  Table twice = once;
  twice.values.insert(twice.values.end(), once.values.begin(), once.values.end());
  twice.labels.insert(twice.labels.end(), once.labels.begin(), once.labels.end());
  const std::vector<double> weights(once.labels.size(), 2.0);
  const LogisticRegression learner{.tol = 1e-12, .standardization = false};
  const auto a = learner.fit(pack_slice(context_, once.values, kColumns, once.labels, weights));
  const auto b = learner.fit(pack_slice(context_, twice.values, kColumns, twice.labels));
  for (std::size_t j = 0; j < kColumns; ++j)
    EXPECT_NEAR(a.coefficients.values[j], b.coefficients.values[j], 1e-9);  // other order of sums, tol 1e-12
}

TEST_F(NumbersUnderStress, logistic_without_information_predicts_the_share_of_the_classes) {
  // All rows the same, one of 1000 in the second class: the intercept is the log of the odds.
  const std::vector<double> values(1000, 3.5);
  std::vector<double> labels(1000, 0.0);
  labels[321] = 1.0;
  for (const double penalty : {0.0, 0.1}) {
    const auto model =
        LogisticRegression{.reg_param = penalty, .tol = 1e-12}.fit(pack_slice(context_, values, 1, labels));
    EXPECT_EQ(model.coefficients.values[0], 0.0);
    EXPECT_NEAR(model.intercept[0], std::log(1.0 / 999.0), 1e-6);  // tol on the gradient of a flat tail
  }
}

TEST_F(NumbersUnderStress, separable_classes_end_and_say_so) {
  for (const Index classes : {2, 3}) {
    std::vector<double> values;
    std::vector<double> labels;
    for (Index row = 0; row < 90; ++row) {
      const Index label = row % classes;
      values.push_back(static_cast<double>(label) * 10 + uniform(row, 0));
      values.push_back(static_cast<double>(label * label) * 10 + uniform(row, 1));
      labels.push_back(static_cast<double>(label));
    }
    const RowBlocks data = pack_slice(context_, values, 2, labels);
    const auto free = LogisticRegression{}.fit(data);
    EXPECT_TRUE(free.separable);
    for (const double value : free.coefficients.values) EXPECT_TRUE(std::isfinite(value));
    const auto bound = LogisticRegression{.reg_param = 0.1}.fit(data);
    EXPECT_FALSE(bound.separable);
    EXPECT_TRUE(*bound.summary.converged);
  }
}

TEST_F(NumbersUnderStress, kmeans_in_another_power_of_two_is_exactly_the_same) {
  const int plain[] = {0, 0, 0, 0};
  const Table a = table(plain);
  const auto one = KMeans{.k = 5, .tol = 0}.fit(pack_slice(context_, a.values, kColumns, a.labels));
  for (const int exponent : {-450, 450}) {  // squares of distances: 1e-271, 1e271
    const int units[] = {exponent, exponent, exponent, exponent};
    const Table b = table(units);
    const auto other = KMeans{.k = 5, .tol = 0}.fit(pack_slice(context_, b.values, kColumns, b.labels));
    EXPECT_EQ(one.cluster_sizes, other.cluster_sizes);
    EXPECT_EQ(std::ldexp(one.training_cost, 2 * exponent), other.training_cost);
    for (std::size_t i = 0; i < one.cluster_centers.values.size(); ++i)
      EXPECT_EQ(std::ldexp(one.cluster_centers.values[i], exponent), other.cluster_centers.values[i]);
  }
}

TEST_F(NumbersUnderStress, kmeans_with_a_centre_a_row_costs_nothing_and_an_outlier_is_alone) {
  const int plain[] = {0, 0, 0, 0};
  Table rows = table(plain);
  const auto each =
      KMeans{.k = kRows, .max_iter = 50}.fit(pack_slice(context_, rows.values, kColumns, rows.labels));
  EXPECT_EQ(each.training_cost, 0.0);
  EXPECT_EQ(each.cluster_sizes, std::vector<std::int64_t>(kRows, 1));
  rows.values[40 * kColumns] = 1e12;
  const auto two =
      KMeans{.k = 2, .max_iter = 50}.fit(pack_slice(context_, rows.values, kColumns, rows.labels));
  EXPECT_EQ(std::min(two.cluster_sizes[0], two.cluster_sizes[1]), 1);
  const std::size_t lone = two.cluster_sizes[0] == 1 ? 0 : 1;
  EXPECT_EQ(two.cluster_centers.values[lone * kColumns], 1e12);
}

TEST_F(NumbersUnderStress, kmeans_by_cosine_takes_rows_of_any_length) {
  const int plain[] = {0, 0, 0, 0};
  Table rows = table(plain);
  for (Index row = 0; row < kRows; ++row)
    for (Index j = 0; j < kColumns; ++j)
      rows.values[static_cast<std::size_t>(row * kColumns + j)] = (row >> j) % 2 == 0 ? 1 : -1;
  const KMeans learner{.k = 4, .max_iter = 10, .distance_measure = "cosine"};
  const auto one = learner.fit(pack_slice(context_, rows.values, kColumns, rows.labels));
  EXPECT_GT(one.training_cost, 0.0);
  for (const double length : {std::numeric_limits<double>::max(), 1e307, 1e-307, 1e-310, 5e-324}) {
    auto scaled = rows.values;
    for (double& value : scaled) value *= length;
    for (const bool sparse : {false, true}) {
      const RowBlocks dense = pack_slice(context_, scaled, kColumns, rows.labels);
      const auto other = learner.fit(sparse ? to_sparse(dense) : dense);
      EXPECT_NEAR(other.training_cost / one.training_cost, 1.0, 1e-12)
          << length << (sparse ? ", sparse" : "");
      EXPECT_EQ(other.cluster_sizes, one.cluster_sizes) << length << (sparse ? ", sparse" : "");
    }
  }
}

TEST_F(NumbersUnderStress, kmeans_refuses_a_row_so_far_off_that_other_distances_vanish) {
  const int plain[] = {0, 0, 0, 0};
  Table rows = table(plain);
  const KMeans learner{.k = 3, .max_iter = 20};
  rows.values[40 * kColumns + 1] = 1e140;  // whose square does not reach the others' by far
  const auto model = learner.fit(pack_slice(context_, rows.values, kColumns, rows.labels));
  EXPECT_GT(model.training_cost, 1.0);
  for (const double far : {1e200, 1e300, -1e250}) {
    rows.values[40 * kColumns + 1] = far;
    for (const bool sparse : {false, true}) {
      const RowBlocks dense = pack_slice(context_, rows.values, kColumns, rows.labels);
      try {
        learner.fit(sparse ? to_sparse(dense) : dense);
        ADD_FAILURE() << far << (sparse ? ", sparse" : "");
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::bad_input);
        EXPECT_NE(std::string(error.what()).find("vanish in double precision"), std::string::npos)
            << error.what();
      }
    }
  }
}

TEST_F(NumbersUnderStress, logistic_refuses_weights_that_are_next_to_nothing) {
  const int plain[] = {0, 0, 0, 0};
  const Table rows = table(plain);
  RowBlocks data = pack_slice(context_, rows.values, kColumns, rows.labels);
  data.weights.assign(static_cast<std::size_t>((data.local_rows() + kTileRows - 1) / kTileRows * kTileRows),
                      0.0);
  for (const double weight : {5e-324, 1e-310}) {
    std::fill_n(data.weights.begin(), data.local_rows(), weight);
    try {
      LogisticRegression{}.fit(data);
      ADD_FAILURE() << weight;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::bad_input) << error.what();
    }
  }
}

TEST_F(NumbersUnderStress, als_of_zero_ratings_is_zero_and_negative_ratings_mirror_positive_ones) {
  test::RatingRows zero;
  test::RatingRows plus;
  test::RatingRows minus;
  for (Index row = 0; row < 200; ++row) {
    const auto user = row % 3 == 0 ? std::numeric_limits<std::int64_t>::min() + row % 11
                                   : std::numeric_limits<std::int64_t>::max() - row % 17;
    const double rating = 1 + 4 * uniform(row, 2);
    zero.add(user, row % 13, 0);
    plus.add(user, row % 13, rating);
    minus.add(user, row % 13, -rating);
  }
  const Als learner{.rank = 3};
  const auto nothing = learner.fit(test::ratings_of(context_, zero));
  EXPECT_EQ(nothing.summary.objective, 0.0);
  for (const double value : nothing.user_factors) EXPECT_EQ(value, 0.0);
  const auto a = learner.fit(test::ratings_of(context_, plus));
  const auto b = learner.fit(test::ratings_of(context_, minus));
  EXPECT_EQ(a.summary.objective, b.summary.objective);  // one side of factors changes its sign, exactly
  for (std::size_t i = 0; i < a.item_factors.size(); ++i) EXPECT_EQ(a.item_factors[i], -b.item_factors[i]);
}

}  // namespace
}  // namespace firesteel
