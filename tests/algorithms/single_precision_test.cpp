// SPDX-License-Identifier: Apache-2.0
// Fits in single precision against plain loops in double, and where they end.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <set>
#include <sstream>

#include "firesteel/algorithms/als.hpp"
#include "firesteel/algorithms/logistic_regression.hpp"
#include "firesteel/core/philox.hpp"
#include "firesteel/tests/algorithms/als_data.hpp"
#include "firesteel/tests/algorithms/logistic_data.hpp"
#include "firesteel/tests/reference/als.hpp"

namespace firesteel {
namespace {

constexpr double kEpsilon = std::numeric_limits<float>::epsilon();

std::size_t at(Index i) { return static_cast<std::size_t>(i); }
double draw(std::uint64_t purpose, Index i) {
  return 2 * philox_uniform(19, purpose, static_cast<std::uint64_t>(i)) - 1;
}

/// All rows, on every rank. Values are floats, so that only arithmetic differs between precisions.
struct Table {
  Index columns = 6;
  Index classes = 2;
  std::vector<double> values;
  std::vector<double> labels;
  std::vector<double> weights;
};

/// Column j has mean shift·j and deviation about 1/(j + 1); every fifth value of column 0 is 0.
Table table_of(Index rows, Index classes, double shift) {
  Table table{.classes = classes};
  for (Index i = 0; i < rows; ++i) {
    double z = 0;
    for (Index j = 0; j < table.columns; ++j) {
      const double x = (draw(1, i * table.columns + j) + 0.3 * draw(2, i)) / static_cast<double>(j + 1);
      z += x * static_cast<double>(j + 1) * (j % 2 == 0 ? 1 : -1);
      table.values.push_back(
          i % 5 == 0 && j == 0 ? 0.0
                               : static_cast<double>(static_cast<float>(x + shift * static_cast<double>(j))));
    }
    const double share = 1 / (1 + std::exp(-2 * z)) + 0.5 * draw(3, i);
    table.labels.push_back(
        std::clamp(std::floor(share * static_cast<double>(classes)), 0.0, static_cast<double>(classes - 1)));
    table.weights.push_back(i % 11 == 3 ? 0.0 : 1 + 0.5 * draw(4, i));
  }
  return table;
}

RowBlocks pack(const Context& context, const Table& table, bool single) {
  return pack_slice(context, table.values, table.columns, table.labels, table.weights, single);
}

/// The same rows as CSR of floats, zeros left out.
RowBlocks sparse_singles(const Context& context, const Table& table) {
  RowBlocks data = to_sparse(pack(context, table, false));
  const auto& rows = std::get<SparseRows<double>>(data.features);
  SparseRows<float> singles;
  singles.columns_count = rows.columns_count;
  singles.row_begin = rows.row_begin;
  singles.indices = rows.indices;
  for (const double value : rows.values) singles.values.push_back(static_cast<float>(value));
  data.features = std::move(singles);
  return data;
}

/// f of a model's coefficients by its definition, L2 on coefficients times deviations or on them as they are.
double objective(const Table& table, const LogisticRegressionModel& model) {
  const auto d = at(table.columns);
  const std::size_t outputs = model.intercept.size();
  double loss = 0, total = 0, squares = 0;
  std::vector<double> mean(d, 0.0), variance(d, 0.0);
  for (std::size_t i = 0; i < table.labels.size(); ++i) {
    const double w = table.weights[i];
    total += w;
    squares += w * w;
    std::vector<double> z;
    for (std::size_t k = 0; k < outputs; ++k) {
      z.push_back(model.intercept[k]);
      for (std::size_t j = 0; j < d; ++j)
        z.back() += model.coefficients.values[k * d + j] * table.values[i * d + j];
    }
    for (std::size_t j = 0; j < d; ++j) mean[j] += w * table.values[i * d + j];
    if (outputs == 1) {
      loss += w * std::log1p(std::exp(table.labels[i] > 0 ? -z[0] : z[0]));
      continue;
    }
    double sum = 0;
    for (const double margin : z) sum += std::exp(margin);
    loss += w * (std::log(sum) - z[static_cast<std::size_t>(table.labels[i])]);
  }
  for (double& value : mean) value /= total;
  for (std::size_t i = 0; i < table.labels.size(); ++i)
    for (std::size_t j = 0; j < d; ++j)
      variance[j] += table.weights[i] * std::pow(table.values[i * d + j] - mean[j], 2);
  double penalty = 0;
  for (std::size_t k = 0; k < outputs; ++k)
    for (std::size_t j = 0; j < d; ++j) {
      const double b = model.coefficients.values[k * d + j];
      const double scale = model.parameters.standardization ? variance[j] / (total - squares / total) : 1.0;
      penalty +=
          model.parameters.reg_param * (1 - model.parameters.elastic_net_param) / 2 * b * b * scale +
          model.parameters.reg_param * model.parameters.elastic_net_param * std::abs(b) * std::sqrt(scale);
    }
  return loss / total + penalty;
}

/// A fit may end where f is told apart no more, within four roundings of it.
void expect_optimal(const Table& table, const LogisticRegressionModel& single,
                    const LogisticRegressionModel& whole, double noise) {
  const double best = objective(table, whole);
  const double gap = objective(table, single) - best;
  EXPECT_GE(gap, -1e-10 * best);  // the double fit's own tolerance
  EXPECT_LE(gap, 4 * noise * best);
  EXPECT_NEAR(single.summary.objective / best, 1.0, 4 * noise);
  EXPECT_TRUE(*single.summary.converged) << single.summary.stop_reason;
  EXPECT_LT(single.summary.iterations, 200) << single.summary.stop_reason;
}

class EverySolver : public testing::TestWithParam<std::string> {};

TEST_P(EverySolver, ends_at_the_optimum_of_plain_loops_however_small_the_tolerance) {
  setenv("FIRESTEEL_BLOCK_ROWS", "32", 1);
  const Context context;
  for (const Index classes : {2, 3}) {
    for (const double l1_share : {0.0, 0.5}) {
      if (l1_share > 0 && GetParam() == "lbfgs") continue;
      const Table table = table_of(1500, classes, 0);
      LogisticRegression learner{.reg_param = 0.01,
                                 .elastic_net_param = l1_share,
                                 .max_iter = 1000,
                                 .tol = 1e-12,
                                 .solver = GetParam()};
      const auto whole = learner.fit(pack(context, table, false));
      for (const double tol : {1e-6, 1e-10, 0.0}) {
        SCOPED_TRACE(std::to_string(classes) + " classes, L1 " + std::to_string(l1_share) + ", tol " +
                     std::to_string(tol));
        learner.tol = tol;
        const auto dense = learner.fit(pack(context, table, true));
        const auto sparse = learner.fit(sparse_singles(context, table));
        // A tolerance of 1e-6 over ten iterations may leave as much.
        const double noise = std::max(kEpsilon, tol);
        expect_optimal(table, dense, whole, noise);
        expect_optimal(table, sparse, whole, noise);
        if (l1_share > 0) continue;
        // Strong convexity of λ: λ/2·‖Δ‖² ≤ gap, on coefficients times deviations of at least 1/(6·√3).
        const double far = std::sqrt(2 * 4 * noise * whole.summary.objective / learner.reg_param) * 6 * 2;
        for (std::size_t i = 0; i < whole.coefficients.values.size(); ++i) {
          EXPECT_NEAR(dense.coefficients.values[i], whole.coefficients.values[i], far);
          EXPECT_NEAR(sparse.coefficients.values[i], whole.coefficients.values[i], far);
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(SinglePrecision, EverySolver,
                         testing::Values("newton", "lbfgs", "owlqn", "lbfgs-newton"), [](const auto& solver) {
                           std::string name = solver.param;
                           std::erase(name, '-');
                           return name;
                         });

TEST(SinglePrecision, says_that_the_objective_was_lost_in_noise_and_not_that_a_line_search_failed) {
  const Context context;
  const Table table = table_of(3000, 2, 0);
  for (const std::string solver : {"newton", "lbfgs", "lbfgs-newton"}) {
    const auto model =
        LogisticRegression{.reg_param = 0.001, .max_iter = 1000, .tol = 0, .solver = solver}.fit(
            pack(context, table, true));
    EXPECT_EQ(model.summary.stop_reason, "precision") << solver;
    EXPECT_TRUE(*model.summary.converged);
    // Small beside that of the start, about 0.5, and not what tol = 0 asked for.
    EXPECT_LT(*model.summary.gradient_norm, 1e-3) << solver;
    EXPECT_GT(*model.summary.gradient_norm, 0) << solver;
  }
  // Double precision has no such end.
  const auto whole =
      LogisticRegression{.reg_param = 0.001, .max_iter = 1000, .tol = 0, .solver = "newton"}.fit(
          pack(context, table, false));
  EXPECT_NE(whole.summary.stop_reason, "precision");
}

TEST(SinglePrecision, keeps_the_digits_of_columns_far_from_zero) {
  setenv("FIRESTEEL_BLOCK_ROWS", "32", 1);
  const Context context;
  for (const bool intercept : {true, false}) {
    const Table table = table_of(1500, 2, 1000);  // the fifth column: 5000 ± 1/6
    LogisticRegression learner{
        .reg_param = 0.01, .max_iter = 500, .tol = 1e-12, .fit_intercept = intercept, .solver = "newton"};
    const auto whole = learner.fit(pack(context, table, false));
    learner.tol = 1e-10;
    const auto single = learner.fit(pack(context, table, true));
    EXPECT_NEAR(objective(table, single) / objective(table, whole), 1.0, 4 * kEpsilon) << intercept;
    EXPECT_TRUE(*single.summary.converged) << single.summary.stop_reason;
  }
}

TEST(SinglePrecision, computes_in_double_what_float_would_lose) {
  const Context context;
  Table table = table_of(400, 2, 0);
  Table tiny = table;
  for (std::size_t i = 0; i < tiny.values.size(); i += at(tiny.columns)) tiny.values[i] *= 0x1p-90;
  const LogisticRegression learner{.reg_param = 0.01, .tol = 1e-10, .solver = "newton"};
  const auto whole = learner.fit(pack(context, table, false));
  const auto single = learner.fit(pack(context, tiny, true));
  // The same in other units, and in double to the last digits.
  EXPECT_NEAR(single.summary.objective / whole.summary.objective, 1.0, 1e-12);
  EXPECT_NEAR(single.coefficients.values[0] * 0x1p-90 / whole.coefficients.values[0], 1.0, 1e-8);
}

TEST(SinglePrecision, weights_of_any_size_and_rows_of_weight_zero_do_no_harm) {
  const Context context;
  Table table = table_of(600, 3, 0);
  const LogisticRegression learner{.reg_param = 0.01, .solver = "newton"};
  const auto model = learner.fit(pack(context, table, true));
  for (const double scale : {0x1p-200, 0x1p200}) {
    Table scaled = table;
    for (double& weight : scaled.weights) weight *= scale;
    const auto same = learner.fit(pack(context, scaled, true));
    // Powers of two; the start's logarithms are rounded differently, which floats may show.
    for (std::size_t i = 0; i < model.coefficients.values.size(); ++i)
      EXPECT_NEAR(same.coefficients.values[i], model.coefficients.values[i], 1e-5);
  }
  for (Index j = 0; j < table.columns; ++j)
    table.values[at(3 * table.columns + j)] = std::numeric_limits<float>::max();  // row 3: weight 0
  const auto outlier = learner.fit(pack(context, table, true));
  EXPECT_EQ(outlier.coefficients.values, model.coefficients.values);
}

TEST(SinglePrecision, is_the_same_bytes_where_ranks_have_no_rows_and_weights_are_small) {
  setenv("FIRESTEEL_BLOCK_ROWS", "32", 1);
  const Context world;
  const Context alone(MPI_COMM_SELF, {.threads = 1});
  Table table = table_of(30, 2, 0);
  for (const double scale : {1.0, 1e-3, 1e-30, 1e-200}) {
    for (double& weight : table.weights) weight *= scale;
    const LogisticRegression learner{.reg_param = 0.01, .tol = 1e-6};
    const auto model = learner.fit(pack(world, table, true));
    const auto expected = learner.fit(pack(alone, table, true));
    EXPECT_EQ(model.coefficients.values, expected.coefficients.values) << scale;
    EXPECT_EQ(model.intercept, expected.intercept) << scale;
  }
}

TEST(SinglePrecision, has_the_known_minimum_of_a9a) {
  unsetenv("FIRESTEEL_BLOCK_ROWS");
  const Context context;
  Table table{.columns = 123};
  std::ifstream file("datasets/a9a/a9a.txt");
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    double label = 0;
    words >> label;
    table.labels.push_back(label);
    table.values.resize(table.values.size() + at(table.columns), 0.0);
    double* row = table.values.data() + table.values.size() - table.columns;
    Index index = 0;
    char colon = 0;
    double value = 0;
    while (words >> index >> colon >> value) row[index - 1] = value;
  }
  ASSERT_EQ(table.labels.size(), 32561U);
  constexpr double kMinimum = 10528.572430543307;  // as in logistic_test.cpp
  for (const std::string solver : {"auto", "lbfgs"}) {
    const LogisticRegression learner{
        .reg_param = 1.0 / 32561, .max_iter = 1000, .tol = 1e-10, .standardization = false, .solver = solver};
    for (const RowBlocks& data : {pack(context, table, true), sparse_singles(context, table)}) {
      const auto model = learner.fit(data);
      EXPECT_NEAR(model.summary.objective * 32561 / kMinimum, 1.0, 1e-5) << solver;
      EXPECT_TRUE(*model.summary.converged) << model.summary.stop_reason;
      EXPECT_LT(model.summary.iterations, 500) << model.summary.stop_reason;
    }
  }
}

std::string digest(const AlsModel& model) {
  Record record;
  record.set_vector("user_factors", model.user_factors);
  record.set_vector("item_factors", model.item_factors);
  return record.sha256().substr(0, 16);
}

AlsModel fit_als(const Als& als, const test::RatingRows& rows, bool single) {
  const Context context;
  Ratings data = test::ratings_of(context, rows);
  data.single_precision = single;
  return als.fit(data);
}

test::RatingRows distinct_ratings() {
  const auto rows = test::random_ratings(21, 3000, 150, 80);
  test::RatingRows kept;
  std::set<std::pair<std::int64_t, std::int64_t>> seen;
  for (std::size_t r = 0; r < rows.size(); ++r)
    if (seen.emplace(rows.users[r], rows.items[r]).second)
      kept.add(rows.users[r], rows.items[r], rows.ratings[r] - 2);
  return kept;
}

std::vector<Als> als_cases() {
  return {{.rank = 8, .max_iter = 4},
          {.rank = 17, .max_iter = 3, .reg_param = 0.02, .implicit_prefs = true, .alpha = 5},
          {.rank = 6, .max_iter = 3, .nonnegative = true},
          // More factors than most users have ratings, hardly a penalty: systems that floats cannot hold.
          {.rank = 12, .max_iter = 3, .reg_param = 1e-7}};
}

TEST(SinglePrecision, half_steps_of_als_are_those_of_plain_loops) {
  const auto rows = distinct_ratings();
  for (const Als& als : als_cases()) {
    SCOPED_TRACE(als.rank);
    const auto model = fit_als(als, rows, true);
    reference::AlsProblem problem{.ratings = rows.ratings,
                                  .rank = at(als.rank),
                                  .reg_param = als.reg_param,
                                  .implicit_prefs = als.implicit_prefs,
                                  .alpha = als.alpha,
                                  .nonnegative = als.nonnegative};
    const auto users = find_ids(model.user_ids, rows.users, 1);
    const auto items = find_ids(model.item_ids, rows.items, 1);
    problem.users.assign(users.begin(), users.end());
    problem.items.assign(items.begin(), items.end());
    const auto matrix = [&](const std::vector<double>& values) {
      reference::Rows result;
      for (std::size_t i = 0; i < values.size(); i += at(als.rank))
        result.push_back(test::slice(values, i, i + at(als.rank)));
      return result;
    };
    const auto u = matrix(model.user_factors);
    const auto v = matrix(model.item_factors);
    // The users solve their half of the objective: what rounding costs there is of second order.
    const auto best = reference::half_step(problem, problem.users, problem.items, v, u.size());
    const double least = reference::objective(problem, best, v);
    EXPECT_GE(reference::objective(problem, u, v), least * (1 - 1e-9));
    EXPECT_LE(reference::objective(problem, u, v), least * (1 + 16 * kEpsilon));
    EXPECT_NEAR(model.summary.objective / reference::objective(problem, u, v), 1.0, 16 * kEpsilon);
    if (als.reg_param < 1e-3) continue;  // otherwise the systems' condition is that of 1/λ at most
    for (std::size_t i = 0; i < u.size(); ++i)
      for (std::size_t j = 0; j < u[i].size(); ++j) EXPECT_NEAR(u[i][j], best[i][j], 1e-4);
  }
}

TEST(SinglePrecision, als_takes_ratings_of_any_size) {
  auto rows = distinct_ratings();
  for (const double scale : {1e-100, 1e-30, 1e30, 1e100}) {
    auto scaled = rows;
    for (double& rating : scaled.ratings) rating *= scale;
    for (const bool implicit : {false, true}) {
      const Als als{.rank = 4, .max_iter = 3, .implicit_prefs = implicit};
      const auto single = fit_als(als, scaled, true);
      const auto whole = fit_als(als, scaled, false);
      // Beside ratings of 1e100 the penalty is nothing: systems of a condition of a thousand.
      EXPECT_NEAR(single.summary.objective / whole.summary.objective, 1.0, 2e-3) << scale << implicit;
    }
  }
}

TEST(SinglePrecision, als_is_the_same_bytes_for_any_ranks_and_threads) {
  for (const std::int64_t users : {60, 3}) {  // of three users one has more than a chunk of ratings
    const auto rows = test::random_ratings(22, 9000, users, 30);
    for (const Als& als : als_cases()) {
      const auto fit = [&](const Context& context) {
        Ratings data = test::ratings_of(context, rows);
        data.single_precision = true;
        return digest(als.fit(data));
      };
      const auto alone = fit(Context(MPI_COMM_SELF, {.threads = 1}));
      for (const int threads : {1, 2, 4}) EXPECT_EQ(fit(Context({.threads = threads})), alone);
    }
  }
}

/// Digests stored from one machine: another compiler or instruction set must give them too.
TEST(SinglePrecision, has_the_bytes_it_always_had) {
  setenv("FIRESTEEL_BLOCK_ROWS", "32", 1);
  const Context context;
  const Table two = table_of(700, 2, 3);
  const Table three = table_of(700, 3, 3);
  const auto fit = [&](const RowBlocks& data, const std::string& solver) {
    return firesteel::digest(LogisticRegression{.reg_param = 0.01, .solver = solver}.fit(data)).substr(0, 16);
  };
  EXPECT_EQ(fit(pack(context, two, true), "newton"), "15982e5d578ba97a");
  EXPECT_EQ(fit(pack(context, three, true), "lbfgs"), "d3afbe7a22a19342");
  EXPECT_EQ(fit(sparse_singles(context, three), "newton"), "3f8bf6ed9317b424");
  EXPECT_EQ(digest(fit_als(als_cases()[0], distinct_ratings(), true)), "358939a13d6f0cdb");
  EXPECT_EQ(digest(fit_als(als_cases()[1], distinct_ratings(), true)), "c0ffcb3a80bd1392");
}

}  // namespace
}  // namespace firesteel
