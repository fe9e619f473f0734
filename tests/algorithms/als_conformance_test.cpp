// SPDX-License-Identifier: Apache-2.0
// Published numbers: Spark's ALSSuite (its generators rebuilt) and MovieLens latest-small.
#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "firesteel/algorithms/als.hpp"
#include "firesteel/tests/algorithms/als_data.hpp"

namespace firesteel {
namespace {

using test::RatingRows;

/// The generator of java.util.Random, as its documentation defines it.
class JavaRandom {
 public:
  explicit JavaRandom(std::int64_t seed) : state_((static_cast<std::uint64_t>(seed) ^ 0x5DEECE66D) & kMask) {}
  std::int32_t next_int() { return static_cast<std::int32_t>(static_cast<std::uint32_t>(next(32))); }
  float next_float() { return static_cast<float>(next(24)) / static_cast<float>(1 << 24); }
  double next_double() {
    const std::uint64_t high = next(26) << 27;
    return static_cast<double>(high + next(27)) * 0x1p-53;
  }
  double next_gaussian() {
    if (has_spare_) {
      has_spare_ = false;
      return spare_;
    }
    double a = 0, b = 0, s = 0;
    do {
      a = 2 * next_double() - 1;
      b = 2 * next_double() - 1;
      s = a * a + b * b;
    } while (s >= 1 || s == 0);
    const double scale = std::sqrt(-2 * std::log(s) / s);
    spare_ = b * scale;
    has_spare_ = true;
    return a * scale;
  }

 private:
  static constexpr std::uint64_t kMask = (std::uint64_t{1} << 48) - 1;
  std::uint64_t next(int bits) {
    state_ = (state_ * 0x5DEECE66D + 0xB) & kMask;
    return state_ >> (48 - bits);
  }
  std::uint64_t state_;
  double spare_ = 0;
  bool has_spare_ = false;
};

struct JavaFactors {
  std::vector<std::int32_t> ids;
  std::vector<std::vector<float>> rows;
};
JavaFactors java_factors(std::size_t size, std::size_t rank, JavaRandom& random) {
  std::set<std::int32_t> ids;
  while (ids.size() < size) ids.insert(random.next_int());
  JavaFactors factors{{ids.begin(), ids.end()}, {}};
  for (std::size_t i = 0; i < size; ++i) {
    auto& row = factors.rows.emplace_back();
    for (std::size_t j = 0; j < rank; ++j) row.push_back(-1.0F + random.next_float() * 2.0F);
  }
  return factors;
}

struct Generated {
  RatingRows training, test;
};
Generated generate(std::size_t rank, double noise) {
  JavaRandom random(11);
  const auto users = java_factors(20, rank, random);
  const auto items = java_factors(40, rank, random);
  Generated data;
  for (std::size_t u = 0; u < users.ids.size(); ++u)
    for (std::size_t i = 0; i < items.ids.size(); ++i) {
      const double x = random.next_double();
      if (x >= 0.9) continue;
      float rating = 0;
      for (std::size_t j = 0; j < rank; ++j) rating += users.rows[u][j] * items.rows[i][j];
      if (x < 0.6)
        data.training.add(users.ids[u], items.ids[i],
                          rating + static_cast<float>(noise * random.next_gaussian()));
      else
        data.test.add(users.ids[u], items.ids[i], rating);
    }
  return data;
}

double rmse(const Als& als, const RatingRows& training, const RatingRows& test_rows,
            double* scored = nullptr) {
  Context context;
  const auto metrics =
      als.fit(test::ratings_of(context, training)).evaluate(test::ratings_of(context, test_rows));
  if (scored != nullptr) *scored = metrics.at(0).second;
  EXPECT_EQ(metrics.at(0).first, "rows_scored");
  EXPECT_EQ(metrics.at(1).first, "rmse");
  return metrics.at(1).second;
}

// Case 24; 10 iterations, because that is what Spark's test runs (trap T2).
TEST(AlsConformance, recovers_low_rank_matrices_as_sparks_tests_ask) {
  const auto exact = generate(1, 0);
  EXPECT_EQ(exact.training.size(), 442U);
  EXPECT_EQ(exact.test.size(), 270U);
  EXPECT_LT(rmse({.rank = 1, .reg_param = 1e-5}, exact.training, exact.test), .001);
  EXPECT_LT(rmse({.rank = 2, .reg_param = 1e-5}, exact.training, exact.test), .001);
  const auto noisy = generate(1, 0.01);
  EXPECT_LT(rmse({.rank = 1, .reg_param = 0.01}, noisy.training, noisy.test), .02);
  EXPECT_LT(rmse({.rank = 2, .reg_param = 0.01}, noisy.training, noisy.test), .02);
  const auto rank_two = generate(2, 0.01);
  EXPECT_EQ(rank_two.training.size(), 444U);
  EXPECT_EQ(rank_two.test.size(), 267U);
  EXPECT_LT(rmse({.rank = 2, .reg_param = 0.01}, rank_two.training, rank_two.test), .03);
  EXPECT_LT(rmse({.rank = 3, .reg_param = 0.01}, rank_two.training, rank_two.test), .03);
}

// Case 24: recommendForAllUsers of three users and four items.
TEST(AlsConformance, recommends_the_published_items) {
  AlsModel model;
  model.parameters.rank = 2;
  model.user_ids = std::vector<std::int64_t>{0, 1, 2};
  model.item_ids = std::vector<std::int64_t>{3, 4, 5, 6};
  model.user_factors = {6, 4, 3, 4, 3, 6};
  model.item_factors = {5, 6, 6, 2, 3, 6, 4, 1};
  Context context;
  const auto column = [&](const ColumnTable& table, std::size_t c) {
    return context.comm().allgatherv(
        std::span<const double>(std::get<std::vector<double>>(table.columns[c].values)));
  };
  const auto ids = [&](const ColumnTable& table, std::size_t c) {
    return context.comm().allgatherv(
        std::span<const std::int64_t>(std::get<std::vector<std::int64_t>>(table.columns[c].values)));
  };
  const auto all = model.recommend(context, 10, false);
  EXPECT_EQ(column(all, 2), (std::vector<double>{54, 44, 42, 28, 39, 33, 26, 16, 51, 45, 30, 18}));
  EXPECT_EQ(ids(all, 0), (std::vector<std::int64_t>{0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2}));
  EXPECT_EQ(ids(all, 1), (std::vector<std::int64_t>{3, 4, 5, 6, 3, 5, 4, 6, 3, 5, 4, 6}));
  const auto two = model.recommend(context, 2, true);
  EXPECT_EQ(ids(two, 1), (std::vector<std::int64_t>{3, 3, 4, 4, 5, 5, 6, 6}));
  EXPECT_EQ(ids(two, 0), (std::vector<std::int64_t>{0, 2, 0, 2, 2, 0, 0, 2}));
  EXPECT_EQ(column(two, 2), (std::vector<double>{54, 51, 44, 30, 45, 42, 28, 18}));
}

TEST(AlsConformance, ties_go_to_the_smaller_id) {
  AlsModel model;
  model.parameters.rank = 1;
  model.user_ids = std::vector<std::string>{"ann"};
  std::vector<std::int64_t> items;
  for (std::int64_t i = 0; i < 100; ++i) items.push_back(i);
  model.item_ids = items;
  model.user_factors = {1};
  model.item_factors.assign(100, 2);
  model.item_factors[77] = 3;
  Context context;
  const auto table = model.recommend(context, 4, false);
  const auto& best = std::get<std::vector<std::int64_t>>(table.columns[1].values);
  EXPECT_EQ(context.comm().allgatherv(std::span<const std::int64_t>(best)),
            (std::vector<std::int64_t>{77, 0, 1, 2}));
}

// Spark 3.5.8: .8614 on the 9,707 of 10,084 test rows whose user and item are known.
TEST(AlsConformance, movielens_error_is_on_a_par_with_mllib) {
  const auto [training, test_rows] = test::read_movielens("datasets/ml-latest-small/ratings.csv");
  ASSERT_EQ(test_rows.size(), 10084U);
  double scored = 0;
  EXPECT_NEAR(rmse({}, training, test_rows, &scored), .8614, .8614 * .005);
  EXPECT_EQ(scored, 9707);
}

/// map@10 and ndcg@10 of one user by hand: items 0 … 11 scored 12 … 1; relevant are 1, 3 and 30 (unknown).
TEST(AlsConformance, ranking_metrics_follow_their_definition) {
  AlsModel model;
  model.parameters.rank = 1;
  model.parameters.implicit_prefs = true;
  model.user_ids = std::vector<std::int64_t>{4, 5, 6};
  std::vector<std::int64_t> items;
  for (std::int64_t i = 0; i < 12; ++i) items.push_back(i);
  model.item_ids = items;
  model.user_factors = {1, -1, 1};
  for (int i = 0; i < 12; ++i) model.item_factors.push_back(12 - i);
  Context context;
  RatingRows rows;
  rows.add(4, 1, 2);
  rows.add(4, 3, 1);
  rows.add(4, 3, 7);   // twice: one relevant item
  rows.add(4, 0, 0);   // not liked
  rows.add(4, 30, 5);  // unknown
  rows.add(5, 11, 1);  // ranked first
  rows.add(6, 2, -1);  // a user without relevant items
  rows.add(9, 2, 1);   // unknown
  const auto metrics = model.evaluate(test::ratings_of(context, rows));
  EXPECT_EQ(metrics.at(0).second, 6);
  const double map_of_four = (1.0 / 2 + 2.0 / 4) / 2;
  const double gain = 1 / std::log2(3) + 1 / std::log2(5);
  EXPECT_EQ(metrics.at(1).first, "map_at_10");
  EXPECT_NEAR(metrics.at(1).second, (map_of_four + 1) / 2, 1e-15);
  EXPECT_EQ(metrics.at(2).first, "ndcg_at_10");
  EXPECT_NEAR(metrics.at(2).second, (gain / (1 + 1 / std::log2(3)) + 1) / 2, 1e-15);
}

}  // namespace
}  // namespace firesteel
