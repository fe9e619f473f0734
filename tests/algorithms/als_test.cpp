// SPDX-License-Identifier: Apache-2.0
#include "firesteel/algorithms/als.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "firesteel/algorithms/als_blocks.hpp"
#include "firesteel/tests/algorithms/als_data.hpp"
#include "firesteel/tests/reference/als.hpp"

namespace firesteel {
namespace {

using test::RatingRows;

constexpr std::size_t at(Index i) { return static_cast<std::size_t>(i); }

std::string digest(const AlsModel& model) {
  Record record;
  model.to_record(record);
  summary_to_record(model.summary, record);
  return record.sha256();
}

double metric(const Metrics& metrics, std::string_view name) {
  for (const auto& [key, value] : metrics)
    if (key == name) return value;
  ADD_FAILURE() << "no metric " << name;
  return 0;
}

/// One half-step from the model's item factors must give its user factors, and the objective its definition.
void compare_with_reference(const Als& als, const RatingRows& rows, double tolerance) {
  Context context;
  const AlsModel model = als.fit(test::ratings_of(context, rows));
  reference::AlsProblem problem{.ratings = rows.ratings,
                                .rank = at(als.rank),
                                .reg_param = als.reg_param,
                                .implicit_prefs = als.implicit_prefs,
                                .alpha = als.alpha,
                                .nonnegative = als.nonnegative};
  const auto positions = [](const IdList& list, const std::vector<std::int64_t>& ids) {
    const auto found = find_ids(list, ids, 1);
    return std::vector<std::int64_t>(found.begin(), found.end());
  };
  problem.users = positions(model.user_ids, rows.users);
  problem.items = positions(model.item_ids, rows.items);
  const auto matrix = [&](const std::vector<double>& values) {
    reference::Rows result;
    for (std::size_t i = 0; i < values.size(); i += at(als.rank))
      result.push_back(test::slice(values, i, i + at(als.rank)));
    return result;
  };
  const auto u = matrix(model.user_factors);
  const auto v = matrix(model.item_factors);
  const auto expected = reference::half_step(problem, problem.users, problem.items, v, u.size());
  for (std::size_t i = 0; i < u.size(); ++i)
    for (std::size_t j = 0; j < u[i].size(); ++j)
      EXPECT_NEAR(u[i][j], expected[i][j], tolerance * std::max(1.0, std::fabs(expected[i][j])));
  const double objective = reference::objective(problem, u, v);
  EXPECT_NEAR(model.summary.objective, objective, 1e-11 * objective);

  // One iteration more: the items from the users.
  Als longer = als;
  ++longer.max_iter;
  const AlsModel next = longer.fit(test::ratings_of(context, rows));
  const auto next_items = reference::half_step(problem, problem.items, problem.users, u, v.size());
  for (std::size_t i = 0; i < v.size(); ++i)
    for (std::size_t j = 0; j < v[i].size(); ++j)
      EXPECT_NEAR(next.item_factors[i * at(als.rank) + j], next_items[i][j],
                  tolerance * std::max(1.0, std::fabs(next_items[i][j])));
  for (std::size_t i = 1; i < next.summary.objective_history.size(); ++i)
    EXPECT_LE(next.summary.objective_history[i], next.summary.objective_history[i - 1] * (1 + 1e-12));
}

RatingRows distinct_pairs(const RatingRows& rows) {
  RatingRows kept;
  std::set<std::pair<std::int64_t, std::int64_t>> seen;
  for (std::size_t r = 0; r < rows.size(); ++r)
    if (seen.emplace(rows.users[r], rows.items[r]).second)
      kept.add(rows.users[r], rows.items[r], rows.ratings[r] - 2);
  return kept;
}

// Normal equations of a few ratings are solved to about 1e-12 at these penalties.
TEST(Als, explicit_half_steps_equal_plain_loops) {
  const auto rows = test::random_ratings(1, 900, 60, 25);
  compare_with_reference({.rank = 3, .max_iter = 3}, rows, 1e-9);
  compare_with_reference({.rank = 9, .max_iter = 2, .reg_param = 0.5}, rows, 1e-9);
  compare_with_reference({.rank = 1, .max_iter = 1, .reg_param = 0.01}, rows, 1e-9);
}

TEST(Als, implicit_half_steps_equal_plain_loops) {
  const auto rows = distinct_pairs(test::random_ratings(2, 700, 50, 25));
  ASSERT_TRUE(std::any_of(rows.ratings.begin(), rows.ratings.end(), [](double r) { return r < 0; }));
  compare_with_reference({.rank = 4, .max_iter = 3, .implicit_prefs = true}, rows, 1e-9);
  compare_with_reference({.rank = 8, .max_iter = 2, .reg_param = 0.3, .implicit_prefs = true, .alpha = 40},
                         rows, 1e-9);
}

TEST(Als, nonnegative_half_steps_equal_plain_loops) {
  const auto rows = distinct_pairs(test::random_ratings(3, 500, 40, 20));
  const Als als{.rank = 3, .max_iter = 2, .nonnegative = true};
  compare_with_reference(als, rows, 1e-8);
  Context context;
  const auto model = als.fit(test::ratings_of(context, rows));
  EXPECT_TRUE(
      std::all_of(model.user_factors.begin(), model.user_factors.end(), [](double x) { return x >= 0; }));
  EXPECT_TRUE(
      std::any_of(model.user_factors.begin(), model.user_factors.end(), [](double x) { return x == 0; }));
  compare_with_reference({.rank = 3, .max_iter = 2, .implicit_prefs = true, .nonnegative = true}, rows, 1e-8);
}

TEST(Als, model_is_the_same_bytes_for_any_ranks_and_threads) {
  const auto rows = test::random_ratings(4, 4000, 300, 150);
  for (const Als& als :
       {Als{.rank = 10, .max_iter = 3}, Als{.rank = 5, .max_iter = 3, .implicit_prefs = true},
        Als{.rank = 12, .max_iter = 2, .reg_param = 0, .nonnegative = true, .seed = 9}}) {
    Context alone(MPI_COMM_SELF, {.threads = 1});
    const auto reference = digest(als.fit(test::ratings_of(alone, rows)));
    for (const int threads : {1, 2, 4}) {
      Context world({.threads = threads});
      EXPECT_EQ(digest(als.fit(test::ratings_of(world, rows))), reference) << threads << " threads";
    }
  }
}

/// Of the factors alone.
std::string factor_digest(const AlsModel& model) {
  Record record;
  record.set_vector("user_factors", model.user_factors);
  record.set_vector("item_factors", model.item_factors);
  return record.sha256();
}

// For every machine, compiler and instruction set: the tests run this with AVX2 and AVX-512 kernels.
TEST(Als, model_has_the_bytes_it_always_had) {
  Context context;
  const auto rows = test::random_ratings(5, 3000, 200, 100);
  EXPECT_EQ(factor_digest(Als{.rank = 10, .max_iter = 4}.fit(test::ratings_of(context, rows))),
            "0ca2b3216d9b4cc5a3ed41300dd0cab7d3e4f49ffd64a8c28716f7fce36fee16");
  EXPECT_EQ(factor_digest(
                Als{.rank = 17, .max_iter = 2, .implicit_prefs = true}.fit(test::ratings_of(context, rows))),
            "dfe7dcfe6d9e6ed32c4776b2396857fbe1f8f29fb55c0dd46da37d0dbeba48de");
}

TEST(Als, rows_longer_than_a_chunk_are_summed_alike_everywhere) {
  RatingRows rows;
  for (std::int64_t r = 0; r < 9500; ++r) rows.add(r, r % 7 == 0 ? 2 : 1, static_cast<double>(r % 9) - 3.7);
  Context alone(MPI_COMM_SELF, {.threads = 1});
  Context world({.threads = 3});
  const Als als{.rank = 2, .max_iter = 2};
  const auto model = als.fit(test::ratings_of(alone, rows));
  EXPECT_EQ(digest(als.fit(test::ratings_of(world, rows))), digest(model));
  // Item 1 in long double from the users of the iteration before.
  Als first = als;
  first.max_iter = 1;
  const auto before = first.fit(test::ratings_of(alone, rows));
  long double a00 = 0, a10 = 0, a11 = 0, b0 = 0, b1 = 0;
  for (std::size_t r = 0; r < rows.size(); ++r) {
    if (rows.items[r] != 1) continue;
    const double* y = before.user_factors.data() + 2 * r;  // user ids are row numbers
    a00 += y[0] * y[0] + 0.1L;
    a10 += y[1] * y[0];
    a11 += y[1] * y[1] + 0.1L;
    b0 += rows.ratings[r] * y[0];
    b1 += rows.ratings[r] * y[1];
  }
  const long double determinant = a00 * a11 - a10 * a10;
  EXPECT_NEAR(model.item_factors[0], static_cast<double>((a11 * b0 - a10 * b1) / determinant), 1e-11);
  EXPECT_NEAR(model.item_factors[1], static_cast<double>((a00 * b1 - a10 * b0) / determinant), 1e-11);
}

TEST(Als, more_ranks_than_users_and_a_single_rating) {
  Context context;
  RatingRows rows;
  rows.add(7, 9, 3.5);
  const auto model = Als{.rank = 3, .max_iter = 5, .reg_param = 1e-6}.fit(test::ratings_of(context, rows));
  EXPECT_EQ(model.num_users(), 1);
  EXPECT_NEAR(metric(model.evaluate(test::ratings_of(context, rows)), "rmse"), 0, 1e-3);
  EXPECT_EQ(model.summary.rows, 1);
  EXPECT_FALSE(model.summary.converged.has_value());
  EXPECT_EQ(model.summary.iterations, 5);
}

TEST(Als, both_of_a_pair_rated_twice_count) {
  Context context;
  const auto base = test::random_ratings(6, 400, 30, 15);
  auto twice = base;
  twice.add(base.users[0], base.items[0], 5);
  twice.add(base.users[0], base.items[0], 1);
  const auto model = Als{.rank = 3}.fit(test::ratings_of(context, twice));
  EXPECT_EQ(model.num_ratings, 402);
  compare_with_reference({.rank = 3, .max_iter = 2}, twice, 1e-9);
  // The order in which they stand is part of the data; the sum they make is not changed by it beyond
  // rounding.
  std::swap(twice.ratings[400], twice.ratings[401]);
  const auto swapped = Als{.rank = 3}.fit(test::ratings_of(context, twice));
  EXPECT_NEAR(swapped.summary.objective, model.summary.objective, 1e-9 * model.summary.objective);
}

TEST(Als, without_penalty_singular_systems_give_finite_factors_that_fit) {
  Context context;
  RatingRows rows;  // each user rates once: every system is singular
  for (std::int64_t r = 0; r < 50; ++r) rows.add(r, r, 1 + static_cast<double>(r % 5));
  rows.add(50, 50, 0);
  const auto model = Als{.rank = 4, .reg_param = 0}.fit(test::ratings_of(context, rows));
  for (const double factor : model.user_factors) ASSERT_TRUE(std::isfinite(factor));
  EXPECT_LT(metric(model.evaluate(test::ratings_of(context, rows)), "rmse"), 1e-6);
}

TEST(Als, text_ids_give_the_model_of_their_order) {
  const auto rows = test::random_ratings(7, 600, 40, 20);
  Context alone(MPI_COMM_SELF);
  Context world;
  const auto as_text = [](const ColumnValues& ids) {
    std::vector<std::string> texts;
    for (const std::int64_t id : std::get<std::vector<std::int64_t>>(ids))
      texts.push_back(std::to_string(id) + "u");
    return ColumnValues(texts);
  };
  const auto text_ratings = [&](const Context& context) {
    auto data = test::ratings_of(context, rows);
    data.users = as_text(data.users);
    return data;
  };
  const auto model = Als{}.fit(text_ratings(world));
  EXPECT_EQ(digest(model), digest(Als{}.fit(text_ratings(alone))));
  const auto& ids = std::get<std::vector<std::string>>(model.user_ids);
  EXPECT_TRUE(std::is_sorted(ids.begin(), ids.end()));
  EXPECT_EQ(std::set<std::string>(ids.begin(), ids.end()).size(), ids.size());
  EXPECT_LT(metric(model.evaluate(text_ratings(world)), "rmse"), 1.5);
}

TEST(Als, unknown_users_and_items_are_nan_or_dropped_and_kinds_of_ids_meet_as_text) {
  Context context;
  RatingRows rows;
  for (std::int64_t u = 0; u < 6; ++u)
    for (std::int64_t i = 0; i < 4; ++i) rows.add(u, i, static_cast<double>(1 + (u + i) % 5));
  auto model = Als{.rank = 2}.fit(test::ratings_of(context, rows));
  Ratings data{.context = context, .rows = 4 * context.size(), .first_row = 4 * context.rank()};
  data.users = std::vector<std::string>{"3", "03", "5", "99"};
  data.items = std::vector<std::int64_t>{2, 2, -7, 1};
  data.ratings = {1, 2, 3, 4};
  data.has_ratings = true;
  data.user_name = "who";
  auto table = model.predict(data);
  ASSERT_EQ(table.columns.size(), 3U);
  EXPECT_EQ(table.columns[0].name, "who");
  EXPECT_EQ(table.columns[1].name, "item");
  const auto& predictions = std::get<std::vector<double>>(table.columns[2].values);
  const double expected =
      model.user_factors[6] * model.item_factors[4] + model.user_factors[7] * model.item_factors[5];
  EXPECT_EQ(predictions[0], expected);
  for (std::size_t r = 1; r < 4; ++r) EXPECT_TRUE(std::isnan(predictions[r]));
  model.parameters.cold_start_strategy = "drop";
  table = model.predict(data);
  EXPECT_EQ(std::get<std::vector<std::string>>(table.columns[0].values), std::vector<std::string>{"3"});
  EXPECT_EQ(table.local_rows(), 1);
  const auto metrics = model.evaluate(data);
  EXPECT_EQ(metric(metrics, "rows_scored"), context.size());
  EXPECT_NEAR(metric(metrics, "mae"), std::fabs(1 - expected), 1e-12);
  EXPECT_TRUE(std::isnan(metric(metrics, "r2")));
}

TEST(Als, columns_of_different_lengths_are_told_at_scoring_too) {
  Context context;
  const auto rows = test::random_ratings(8, 300, 20, 10);
  Ratings data = test::ratings_of(context, rows);
  for (const bool implicit : {false, true}) {
    const auto model = Als{.rank = 3, .max_iter = 1, .implicit_prefs = implicit}.fit(data);
    Ratings cut = data;
    if (!cut.ratings.empty() && context.rank() == context.size() - 1) cut.ratings.pop_back();
    EXPECT_THROW(model.evaluate(cut), Error);
    EXPECT_THROW(model.predict(cut), Error);
  }
}

TEST(Als, record_brings_the_model_back_and_damage_is_told) {
  Context context;
  const auto rows = test::random_ratings(8, 300, 20, 10);
  const auto model = Als{.rank = 3, .implicit_prefs = true, .seed = 5}.fit(test::ratings_of(context, rows));
  Record record;
  model.to_record(record);
  const auto back = AlsModel::from_record(record);
  EXPECT_EQ(back.user_ids, model.user_ids);
  EXPECT_EQ(back.item_factors, model.item_factors);
  EXPECT_EQ(back.parameters.seed, 5U);
  EXPECT_EQ(back.predictions(test::ratings_of(context, rows)),
            model.predictions(test::ratings_of(context, rows)));
  const auto with = [&](std::string_view name, RecordValue value) {
    Record changed;
    for (const auto& [key, old] : record.entries()) changed.set(key, key == name ? value : old);
    return changed;
  };
  auto ids = std::get<std::vector<std::int64_t>>(model.user_ids);
  const auto users = static_cast<Index>(ids.size());
  std::swap(ids[0], ids[1]);
  EXPECT_THROW(AlsModel::from_record(with("user_ids", RecordArray<std::int64_t>{{users}, ids})), Error);
  const auto shorter = test::slice(model.user_factors, 3, model.user_factors.size());
  EXPECT_THROW(AlsModel::from_record(with("user_factors", RecordArray<double>{{users - 1, 3}, shorter})),
               Error);
  EXPECT_THROW(AlsModel::from_record(with("parameters/rank", Index{4})), Error);
}

ErrorCode code_of(const Als& als, const Ratings& data) {
  try {
    als.fit(data);
  } catch (const Error& error) {
    return error.code();
  }
  return ErrorCode::internal;
}

TEST(Als, bad_parameters_and_bad_data_are_told_on_all_ranks) {
  Context context;
  const auto rows = test::random_ratings(9, 100, 10, 10);
  const auto data = test::ratings_of(context, rows);
  EXPECT_EQ(code_of({.rank = 0}, data), ErrorCode::bad_parameter);
  EXPECT_EQ(code_of({.reg_param = -1}, data), ErrorCode::bad_parameter);
  EXPECT_EQ(code_of({.cold_start_strategy = "zero"}, data), ErrorCode::bad_parameter);
  EXPECT_EQ(code_of({}, test::ratings_of(context, {})), ErrorCode::bad_input);
  auto without = data;
  without.ratings.clear();
  without.has_ratings = false;
  EXPECT_EQ(code_of({}, without), ErrorCode::bad_input);
  auto broken = data;  // on the last rank alone
  if (context.rank() == context.size() - 1) broken.ratings.back() = std::nan("");
  EXPECT_EQ(code_of({}, broken), ErrorCode::bad_input);
  auto huge = data;
  for (double& rating : huge.ratings) rating *= 1e300;
  EXPECT_EQ(code_of({}, huge), ErrorCode::bad_input);
  auto mixed = data;  // numbers on one rank, texts on another; one rank: fractions
  if (context.size() == 1)
    mixed.users = std::vector<double>(at(column_size(data.users)), 1.5);
  else if (context.rank() == context.size() - 1)
    mixed.users = std::vector<std::string>(at(column_size(data.users)), "a");
  EXPECT_EQ(code_of({}, mixed), ErrorCode::bad_input);
  auto ragged = data;
  if (context.rank() == context.size() - 1) ragged.ratings.pop_back();
  EXPECT_EQ(code_of({}, ragged), ErrorCode::bad_input);
}

TEST(Als, implicit_without_ratings_takes_ones) {
  Context context;
  auto rows = test::random_ratings(10, 200, 20, 10);
  auto data = test::ratings_of(context, rows);
  std::fill(data.ratings.begin(), data.ratings.end(), 1.0);
  const Als als{.rank = 2, .max_iter = 2, .implicit_prefs = true};
  const auto with_ones = digest(als.fit(data));
  data.ratings.clear();
  data.has_ratings = false;
  const auto model = als.fit(data);
  EXPECT_EQ(digest(model), with_ones);
  EXPECT_EQ(metric(model.evaluate(data), "rows_scored"), 200);
}

TEST(Als, each_factor_row_is_sent_once_to_each_rank_that_needs_it) {
  Context context;
  const auto rows = test::random_ratings(11, 3000, 300, 200);
  const auto data = test::ratings_of(context, rows);
  const auto bytes = [&] {
    const auto& traffic = context.comm().traffic();
    const auto entry = traffic.find("alltoallv");
    return entry == traffic.end() ? Index{0} : entry->second.bytes_sent;
  };
  const Index start = bytes();
  const auto model = Als{.rank = 6, .max_iter = 0}.fit(data);  // set-up and the gather of the first objective
  const Index without_iterations = bytes() - start;
  Als{.rank = 6, .max_iter = 3}.fit(data);
  const Index iterations = bytes() - start - 2 * without_iterations;

  // The formula, from the data alone: pairs (entity, rank that holds a rating of it), without the own.
  const auto users = index_ids(context, data.users, "user");
  const auto items = index_ids(context, data.items, "item");
  const auto sides = deal_ratings(
      context, {users.index, items.index, data.ratings, model.num_users(), model.num_items()}, 6);
  const auto user_of = find_ids(model.user_ids, rows.users, 1);
  const auto item_of = find_ids(model.item_ids, rows.items, 1);
  std::set<std::pair<std::int32_t, int>> users_sent, items_sent;
  for (std::size_t r = 0; r < rows.size(); ++r) {
    const int user_rank = sides.by_user.partition.owner(user_of[r] / kEntityBlockRows);
    const int item_rank = sides.by_item.partition.owner(item_of[r] / kEntityBlockRows);
    if (user_rank == item_rank) continue;
    if (user_rank == context.rank()) users_sent.emplace(user_of[r], item_rank);
    if (item_rank == context.rank()) items_sent.emplace(item_of[r], user_rank);
  }
  EXPECT_EQ(iterations, 3 * 6 * 8 * static_cast<Index>(users_sent.size() + items_sent.size()));
  if (context.size() > 1) {
    EXPECT_GT(context.comm().sum(iterations), 0);
  }
}

}  // namespace
}  // namespace firesteel
