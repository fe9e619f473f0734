// SPDX-License-Identifier: Apache-2.0
// ALS with --solver cg: against the exact solver, and one answer.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "firesteel/algorithms/als.hpp"
#include "firesteel/algorithms/als_blocks.hpp"
#include "firesteel/tests/algorithms/als_data.hpp"

namespace firesteel {
namespace {

using test::RatingRows;

std::string digest(const AlsModel& model) {
  Record record;
  model.to_record(record);
  summary_to_record(model.summary, record);
  return record.sha256();
}

std::string factor_digest(const AlsModel& model) {
  Record record;
  record.set_vector("user_factors", model.user_factors);
  record.set_vector("item_factors", model.item_factors);
  return record.sha256();
}

Als with_steps(Als als, Index steps) {
  als.solver = "cg";
  als.cg_steps = steps;
  return als;
}

double largest_difference(const std::vector<double>& a, const std::vector<double>& b) {
  double largest = 0;
  for (std::size_t i = 0; i < a.size(); ++i) largest = std::max(largest, std::fabs(a[i] - b[i]));
  return largest;
}

const std::vector<Als> kProblems{
    {.rank = 5, .max_iter = 3},
    {.rank = 8, .max_iter = 2, .reg_param = 0.02},
    {.rank = 9, .max_iter = 2, .implicit_prefs = true},
    {.rank = 20, .max_iter = 2, .reg_param = 0.01, .implicit_prefs = true, .alpha = 10}};

TEST(AlsConjugateGradients, come_to_the_exact_solution_as_steps_grow) {
  Context context;
  const auto data = test::ratings_of(context, test::random_ratings(1, 1500, 80, 30));
  for (const Als& als : kProblems) {
    const auto exact = als.fit(data);
    double before = INFINITY;
    for (const Index steps : {1, 4, 60}) {
      const auto model = with_steps(als, steps).fit(data);
      const double difference = std::max(largest_difference(model.user_factors, exact.user_factors),
                                         largest_difference(model.item_factors, exact.item_factors));
      EXPECT_LT(difference, before) << steps << " steps, rank " << als.rank;
      before = difference;
    }
    EXPECT_LT(before, 1e-7);  // a residual of 2^-40 at conditions of up to some thousands
  }
}

TEST(AlsConjugateGradients, objective_falls_with_every_iteration_and_ends_near_the_exact_one) {
  Context context;
  const auto data = test::ratings_of(context, test::random_ratings(2, 4000, 200, 60));
  for (Als als : kProblems) {
    als.max_iter = 12;
    const double exact = als.fit(data).summary.objective;
    for (const auto& [steps, allowed] : {std::pair{1, 2.5}, {3, 1.2}, {10, 1.01}}) {
      const auto summary = with_steps(als, steps).fit(data).summary;
      const auto& history = summary.objective_history;
      for (std::size_t i = 1; i < history.size(); ++i) EXPECT_LE(history[i], history[i - 1] * (1 + 1e-12));
      EXPECT_LT(summary.objective, allowed * exact) << steps;  // few steps need more iterations than twelve
    }
  }
}

TEST(AlsConjugateGradients, in_single_precision_come_to_the_same_within_its_rounding) {
  Context context;
  const auto rows = test::random_ratings(3, 3000, 150, 60);
  for (const Als& als : kProblems)
    for (const double size : {1.0, 1e60}) {  // beyond what floats hold; implicit: conditions of 1e60
      auto data = test::ratings_of(context, rows);
      for (double& rating : data.ratings) rating *= size;
      const auto exact = with_steps(als, 4).fit(data);
      data.single_precision = true;
      const auto single = with_steps(als, 4).fit(data);
      // 2^-24, and some digits that few steps lose.
      EXPECT_NEAR(single.summary.objective, exact.summary.objective, 1e-5 * exact.summary.objective)
          << "rank " << als.rank << ", ratings of " << size;
      EXPECT_NE(single.user_factors, exact.user_factors);
    }
}

TEST(AlsConjugateGradients, model_is_the_same_bytes_for_any_ranks_and_threads) {
  const auto rows = test::random_ratings(4, 4000, 300, 150);
  for (const Als& als : {with_steps({.rank = 10, .max_iter = 3}, 3),
                         with_steps({.rank = 21, .max_iter = 3, .implicit_prefs = true}, 3)}) {
    Context alone(MPI_COMM_SELF, {.threads = 1});
    for (const bool single : {false, true}) {
      auto data = test::ratings_of(alone, rows);
      data.single_precision = single;
      const auto reference = digest(als.fit(data));
      for (const int threads : {1, 2, 4}) {
        Context world({.threads = threads});
        data = test::ratings_of(world, rows);
        data.single_precision = single;
        EXPECT_EQ(digest(als.fit(data)), reference) << threads << " threads";
      }
    }
  }
}

// 80,000 ratings of one item: so many chunks that threads share it.
TEST(AlsConjugateGradients, rows_longer_than_a_chunk_are_summed_alike_everywhere) {
  RatingRows rows;
  for (std::int64_t r = 0; r < 90'000; ++r)
    rows.add(r % 3'001, r % 9 == 0 ? 1 + r % 5 : 0, static_cast<double>(r % 11) - 3.7);
  Context alone(MPI_COMM_SELF, {.threads = 1});
  Context world({.threads = 3});
  for (const bool implicit : {false, true}) {
    const auto exact = Als{.rank = 2, .max_iter = 2, .implicit_prefs = implicit};
    const Als als = with_steps(exact, 30);
    const auto model = als.fit(test::ratings_of(alone, rows));
    EXPECT_EQ(digest(als.fit(test::ratings_of(world, rows))), digest(model));
    const auto expected = exact.fit(test::ratings_of(alone, rows));
    EXPECT_LT(largest_difference(model.item_factors, expected.item_factors),
              1e-8);  // of conditions below 1e3
  }
}

// For every machine, compiler and instruction set: the tests run this with AVX2 and AVX-512 kernels.
TEST(AlsConjugateGradients, model_has_the_bytes_it_always_had) {
  Context context;
  auto data = test::ratings_of(context, test::random_ratings(5, 3000, 200, 100));
  EXPECT_EQ(factor_digest(with_steps({.rank = 10, .max_iter = 4}, 3).fit(data)),
            "a61711817f71defb0f898f6551986d32e2595a0210207fa8ebeec83a67543859");
  EXPECT_EQ(factor_digest(with_steps({.rank = 17, .max_iter = 2, .implicit_prefs = true}, 3).fit(data)),
            "69096eee20ec46c347b19d3f500ef531558a74283354fe52a9e6bca8e81db2d0");
  data.single_precision = true;
  EXPECT_EQ(factor_digest(with_steps({.rank = 17, .max_iter = 2, .implicit_prefs = true}, 3).fit(data)),
            "14a2cff9cf1af672346116b61bd66f3b586caf355efb766eed21d4a683be0c5b");
}

TEST(AlsConjugateGradients, an_entity_without_a_right_hand_side_has_factors_of_zero) {
  Context context;
  auto rows = test::random_ratings(6, 500, 30, 15);
  rows.add(7, rows.items[0], -1);
  rows.add(7, rows.items[1], 0);
  const auto model =
      with_steps({.rank = 3, .max_iter = 1, .implicit_prefs = true}, 1).fit(test::ratings_of(context, rows));
  const auto found = find_ids(model.user_ids, std::vector<std::int64_t>{7}, 1);
  for (std::size_t j = 0; j < 3; ++j)
    EXPECT_EQ(model.user_factors[static_cast<std::size_t>(found[0]) * 3 + j], 0);
}

TEST(AlsConjugateGradients, without_penalty_singular_systems_give_finite_factors_that_fit) {
  Context context;
  RatingRows rows;  // each user rates once: every system is singular
  for (std::int64_t r = 0; r < 50; ++r) rows.add(r, r, 1 + static_cast<double>(r % 5));
  const auto data = test::ratings_of(context, rows);
  const auto model = with_steps({.rank = 4, .reg_param = 0}, 10).fit(data);
  for (const double factor : model.user_factors) ASSERT_TRUE(std::isfinite(factor));
  EXPECT_LT(model.summary.objective, 1e-12);
}

TEST(AlsConjugateGradients, models_without_a_solver_are_read_as_of_the_exact_one) {
  Context context;
  const auto data = test::ratings_of(context, test::random_ratings(9, 100, 10, 10));
  Record record;
  with_steps({.rank = 2}, 5).fit(data).to_record(record);
  EXPECT_EQ(AlsModel::from_record(record).parameters.solver, "cg");
  EXPECT_EQ(AlsModel::from_record(record).parameters.cg_steps, 5);
  Record earlier;
  for (const auto& [name, value] : record.entries())
    if (name != "parameters/solver" && name != "parameters/cg_steps") earlier.set(name, value);
  EXPECT_EQ(AlsModel::from_record(earlier).parameters.solver, "cholesky");
  EXPECT_EQ(AlsModel::from_record(earlier).user_factors, AlsModel::from_record(record).user_factors);
}

TEST(AlsConjugateGradients, cannot_keep_factors_nonnegative) {
  Context context;
  const auto data = test::ratings_of(context, test::random_ratings(9, 100, 10, 10));
  Als als = with_steps({.nonnegative = true}, 3);
  try {
    als.fit(data);
    FAIL() << "was accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::bad_parameter);
  }
}

}  // namespace
}  // namespace firesteel
