// SPDX-License-Identifier: Apache-2.0
// The solver that fits of many rows take: a sample first, L-BFGS, then Newton's method.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <initializer_list>
#include <memory>
#include <string>

#include "firesteel/algorithms/logistic_objective.hpp"
#include "firesteel/algorithms/logistic_regression.hpp"
#include "firesteel/core/philox.hpp"
#include "firesteel/tests/algorithms/logistic_data.hpp"
#include "firesteel/tests/algorithms/stop_after.hpp"

namespace firesteel {
namespace {

/// Columns that are nearly multiples of one another: L-BFGS alone crawls.
RowBlocks nearly_collinear(const Context& context) {
  std::vector<double> values;
  std::vector<double> labels;
  for (Index row = 0; row < 2000; ++row) {
    const auto draw = [&](Index purpose) {
      return philox_uniform(8, static_cast<std::uint64_t>(purpose), static_cast<std::uint64_t>(row));
    };
    const double common = draw(0) - 0.5;
    double z = 0;
    for (Index j = 0; j < 12; ++j) {
      const double own = draw(j + 1) - 0.5;
      values.push_back(common + std::ldexp(own, -static_cast<int>(j)));
      z += (j % 2 == 0 ? 2.0 : -2.0) * own;
    }
    labels.push_back(draw(50) < 1 / (1 + std::exp(-z)) ? 1 : 0);
  }
  return pack_slice(context, values, 12, labels);
}

/// Fits as `fit` does by one process, and again by all ranks: stopped after each of `iterations` and resumed.
/// Returns what the first fit says of itself.
template <class Fit>
FitSummary expect_resumed_bytes(const Fit& fit, std::initializer_list<Index> iterations) {
  const Context world;
  const std::string directory = world.comm().broadcast_text(
      (std::filesystem::temp_directory_path() / ("firesteel-logistic-" + std::to_string(getpid()))).string(),
      0);
  const LogisticRegressionModel whole = fit(Context(MPI_COMM_SELF, {.threads = 1}));
  for (const Index iteration : iterations) {
    EXPECT_THROW(fit(Context(MPI_COMM_WORLD, {.monitor = std::make_shared<StopAfter>(iteration),
                                              .checkpoint = {.directory = directory, .every = 100}})),
                 Error);
    const auto resumed =
        fit(Context(MPI_COMM_WORLD, {.checkpoint = {.directory = directory, .resume = true}}));
    EXPECT_EQ(digest(resumed), digest(whole)) << "from iteration " << iteration;
    world.comm().barrier();
    if (world.rank() == 0) std::filesystem::remove_all(directory);
    world.comm().barrier();
  }
  return whole.summary;
}

TEST(LogisticDescent, goes_on_before_and_after_newton_takes_over_to_the_same_bytes) {
  setenv("FIRESTEEL_BLOCK_ROWS", "32", 1);
  for (const double elastic_net_param : {0.0, 0.5}) {
    const auto fit = [&](const Context& context) {
      return LogisticRegression{.reg_param = 1e-6,
                                .elastic_net_param = elastic_net_param,
                                .max_iter = 13,
                                .tol = 0,
                                .solver = "lbfgs-newton"}
          .fit(nearly_collinear(context));
    };
    EXPECT_EQ(expect_resumed_bytes(fit, {8, 10, 12}).iterations, 13);
  }
}

TEST(LogisticDescent, newton_behind_lbfgs_ends_nearer_to_the_optimum_than_lbfgs) {
  const Context context;
  const RowBlocks data = nearly_collinear(context);
  const auto fit = [&](const std::string& solver) {
    return LogisticRegression{.max_iter = 200, .solver = solver}.fit(data).summary;
  };
  const auto alone = fit("lbfgs");
  const auto both = fit("lbfgs-newton");
  const auto newton = fit("newton");
  EXPECT_LT(both.iterations, alone.iterations);
  EXPECT_LT(*both.gradient_norm, *alone.gradient_norm);
  EXPECT_NEAR(both.objective / newton.objective, 1.0, 1e-9);  // both end at rounding
}

/// Enough rows for a sample: two columns that are nearly the same, weights, and the labels of a noisy line.
RowBlocks many_rows(const Context& context, bool weighted, bool single) {
  constexpr Index kMany = 31'000;
  std::vector<double> x;
  std::vector<double> y;
  std::vector<double> weights;
  for (Index i = 0; i < kMany; ++i) {
    const auto draw = [&](std::uint64_t purpose) {
      return philox_uniform(5, purpose, static_cast<std::uint64_t>(i)) - 0.5;
    };
    x.push_back(3 + 2 * draw(1));
    x.push_back(1e3 * (x.back() + 0.05 * draw(2)));
    y.push_back(x[x.size() - 2] - 3 + 2 * draw(3) > 0.1 ? 1 : 0);
    if (weighted) weights.push_back(static_cast<double>(i % 3));
  }
  return pack_slice(context, x, 2, y, weights, single);
}

TEST(LogisticDescent, begins_with_a_sample_of_many_rows_and_ends_at_the_optimum_of_all) {
  setenv("FIRESTEEL_BLOCK_ROWS", "32", 1);
  for (const int form : {0, 1, 2, 3}) {
    SCOPED_TRACE(form);  // dense, sparse, single precision, without intercept
    const auto fit = [&](const Context& context, const std::string& solver) {
      RowBlocks data = many_rows(context, form != 0, form == 2);
      if (form == 1) data = to_sparse(data);
      return LogisticRegression{.reg_param = 1e-4, .tol = 1e-7, .fit_intercept = form != 3, .solver = solver}
          .fit(data);
    };
    const auto alone = fit(Context(MPI_COMM_SELF, {.threads = 1}), "lbfgs-newton");
    EXPECT_EQ(digest(fit(Context({.threads = 2}), "lbfgs-newton")), digest(alone));
    const auto newton = fit(Context(MPI_COMM_SELF, {.threads = 1}), "newton");
    // Gradients of 1e-7·f at curvatures of the penalty's 1e-4 and more leave less than 1e-9 of f; float 1e-7.
    EXPECT_NEAR(alone.summary.objective / newton.summary.objective, 1.0, form == 2 ? 1e-6 : 1e-9);
    EXPECT_TRUE(*alone.summary.converged);
    // The start is within a few per cent of the optimum; L-BFGS on its own takes ten pairs and then Newton.
    EXPECT_LE(alone.summary.iterations, 6);
    EXPECT_LT(alone.summary.objective_history.front() / newton.summary.objective, 1.01);
  }
}

TEST(LogisticDescent, fits_a_column_that_is_constant_in_the_sample) {
  setenv("FIRESTEEL_BLOCK_ROWS", "32", 1);
  constexpr Index kMany = 31'000;
  const auto fit = [&](const Context& context, const std::string& solver) {
    std::vector<double> x;
    std::vector<double> y;
    for (Index i = 0; i < kMany; ++i) {
      const double rare = i >= 500 && i < 512 ? 1 : 0;  // one piece of 32 rows, which the sample leaves out
      x.push_back(philox_uniform(6, 1, static_cast<std::uint64_t>(i)) - 0.5);
      x.push_back(rare);
      y.push_back(
          x[x.size() - 2] + 2 * philox_uniform(6, 2, static_cast<std::uint64_t>(i)) - 1 + rare > 0 ? 1 : 0);
    }
    return LogisticRegression{.reg_param = 1e-4, .tol = 1e-9, .solver = solver}.fit(
        pack_slice(context, x, 2, y));
  };
  const auto model = fit(Context(), "lbfgs-newton");
  EXPECT_EQ(digest(fit(Context(MPI_COMM_SELF, {.threads = 1}), "lbfgs-newton")), digest(model));
  const auto newton = fit(Context(), "newton");
  EXPECT_GT(std::abs(newton.coefficients.values[1]), 0.1);
  for (const std::size_t j : {0U, 1U})
    EXPECT_NEAR(model.coefficients.values[j], newton.coefficients.values[j],
                1e-4 * std::abs(newton.coefficients.values[j]));
}

TEST(LogisticDescent, names_the_row_that_is_not_finite_in_the_sample_or_out_of_it) {
  setenv("FIRESTEEL_BLOCK_ROWS", "32", 1);
  constexpr Index kMany = 31'000;
  const Context context;
  for (const Index bad : {Index{16}, Index{160 + 16}, kMany - 1})  // the sample: one piece of ten, the sixth
    try {
      std::vector<double> x;
      std::vector<double> y;
      for (Index i = 0; i < kMany; ++i) {
        x.push_back(i == bad ? std::nan("") : static_cast<double>(i % 7));
        x.push_back(static_cast<double>(i % 5));
        y.push_back(static_cast<double>(i % 2));
      }
      LogisticRegression{}.fit(pack_slice(context, x, 2, y));
      ADD_FAILURE() << "fitted";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::bad_input);
      EXPECT_EQ(error.place().offset, bad) << error.what();
    }
}

/// Six classes, each a third as frequent as the one before, of independent columns.
RowBlocks rare_classes(const Context& context, bool single_precision) {
  constexpr Index kColumns = 30;
  constexpr int kClasses = 6;
  std::vector<double> values;
  std::vector<double> labels;
  for (Index row = 0; row < 4000; ++row) {
    const auto draw = [&](Index purpose) {
      return philox_uniform(12, static_cast<std::uint64_t>(purpose), static_cast<std::uint64_t>(row));
    };
    for (Index j = 0; j < kColumns; ++j) values.push_back(draw(j) - 0.5);
    double best = -1e9;
    labels.push_back(0);
    for (int k = 0; k < kClasses; ++k) {
      const double z = 4 * values[values.size() - 1 - static_cast<std::size_t>(k)] - 1.2 * k -
                       std::log(-std::log(std::max(1e-9, draw(kColumns + k))));
      if (z > best) labels.back() = k;
      best = std::max(best, z);
    }
  }
  return pack_slice(context, values, kColumns, labels, {}, single_precision);
}

TEST(LogisticDescent, rare_classes_take_little_longer_than_frequent_ones) {
  setenv("FIRESTEEL_BLOCK_ROWS", "32", 1);
  const Context context;
  for (const bool single : {false, true}) {
    const RowBlocks data = rare_classes(context, single);
    const auto fit = [&](const std::string& solver) {
      return LogisticRegression{.reg_param = 1e-4, .max_iter = 200, .tol = 1e-6, .solver = solver}.fit(data);
    };
    const auto lbfgs = fit("lbfgs");
    const auto newton = fit("newton");
    EXPECT_TRUE(lbfgs.summary.converged);
    // 26; from the scaled identity on 61.
    EXPECT_LT(lbfgs.summary.iterations, 40) << (single ? "single" : "double");
    EXPECT_NEAR(lbfgs.summary.objective / newton.summary.objective, 1.0, 1e-6);
  }
}

TEST(LogisticDescent, goes_on_in_the_metric_of_the_classes_to_the_same_bytes) {
  setenv("FIRESTEEL_BLOCK_ROWS", "32", 1);
  const auto fit = [](const Context& context) {
    return LogisticRegression{.reg_param = 1e-4, .max_iter = 9, .tol = 0, .solver = "lbfgs"}.fit(
        rare_classes(context, false));
  };
  EXPECT_EQ(expect_resumed_bytes(fit, {1, 4}).iterations, 9);
}

TEST(LogisticObjective, solves_the_metric_that_the_hessian_is_at_equal_margins) {
  // Uncorrelated columns and probabilities that do not depend on them: two columns over the four corners of a
  // square, each with every class twice; a third is constant.
  setenv("FIRESTEEL_BLOCK_ROWS", "32", 1);
  const Context context(MPI_COMM_SELF, {.threads = 1});
  std::vector<double> values;
  LogisticTargets targets;
  targets.rows = 32;
  for (int i = 0; i < 32; ++i) {
    const int corner = i / 3 % 4;
    values.insert(values.end(), {corner % 2 == 0 ? 3.0 : 5.0, corner < 2 ? -1.0 : 1.0, 0.0});
    targets.target.push_back(i % 3);
    targets.weight.push_back(i < 24 ? 1 : 0);
  }
  const RowBlocks data = pack_rows(context, {.values = values, .columns = 3, .weights = targets.weight});
  ColumnMoments moments = column_moments(data, targets.weight);
  moments.deviation = {1, 1, 0};  // with 24 in the denominator, not 23
  LogisticObjective objective(data, moments, targets,
                              {.outputs = 3, .l2 = std::vector<double>(9, 0.25), .class_metric = true});
  ASSERT_TRUE(objective.has_metric());
  std::vector<double> point(12, 0.0);
  std::vector<double> gradient(12);
  point[9] = 0.5;  // the first class's intercept
  objective.evaluate(point, gradient);
  objective.accept();
  std::vector<double> hessian(144);
  objective.hessian(hessian);
  for (std::size_t j = 0; j < 2; ++j) {
    std::vector<double> v(12, 0.0);  // a difference of classes
    v[j] = 1;
    v[3 + j] = -0.25;
    v[6 + j] = -0.75;
    std::vector<double> product(12, 0.0);
    for (std::size_t a = 0; a < 12; ++a)
      for (std::size_t b = 0; b < 12; ++b) product[a] += hessian[a * 12 + b] * v[b];
    objective.solve_metric(product);
    for (std::size_t i = 0; i < 12; ++i) EXPECT_NEAR(product[i], v[i], 1e-9) << i;
  }
}

TEST(LogisticObjective, takes_sums_that_are_known_instead_of_a_pass) {
  setenv("FIRESTEEL_BLOCK_ROWS", "32", 1);
  const Context context;
  const RowBlocks data = many_rows(context, false, false);
  LogisticTargets targets;
  targets.rows = data.local_rows();
  for (const double label : std::get<std::vector<double>>(data.labels))
    targets.target.push_back(label > 0 ? 1 : -1);
  targets.target.resize((targets.target.size() + kTileRows - 1) / kTileRows * kTileRows);
  const std::vector<double> coefficients{0.25, 0.5e-3};
  const std::vector<double> offsets{-1.5};
  const auto& dense = std::get<DenseTiles<double>>(data.features);
  const auto sums_of_block = [&](Index block, std::span<double> out) {
    AlignedVector<double> scratch;
    block_loss_and_gradient(dense, targets, {1, coefficients, offsets},
                            tiles_of_block(data.partition, context.rank(), block), nullptr, out, scratch);
  };
  BlockSums beside{4, sums_of_block, {}};
  const ColumnMoments alone = column_moments(data, {});
  const ColumnMoments moments = column_moments(data, {}, {.beside = &beside});
  EXPECT_EQ(moments.mean, alone.mean);
  EXPECT_EQ(moments.deviation, alone.deviation);

  ColumnMoments units = moments;
  units.mean = {1, 0};
  units.deviation = {2, 0x1p10};
  LogisticObjective objective(data, units, targets, {.l2 = {0, 0}});
  const std::vector<double> point{0.5, 0.5e-3 * 0x1p10, -1.25};
  std::vector<double> gradient(3);
  objective.expect_line(false);
  const double value = objective.evaluate(point, gradient);
  const auto evaluated = gradient;
  objective.know({coefficients, offsets, beside.total});
  EXPECT_EQ(objective.evaluate(point, gradient), value);
  EXPECT_EQ(gradient, evaluated);
  // That no pass was made shows in sums that are wrong; they are of one evaluation only.
  std::vector<double> others = beside.total;
  others[0] *= 2;
  objective.know({coefficients, offsets, others});
  EXPECT_EQ(objective.evaluate(point, gradient), 2 * value);
  EXPECT_EQ(objective.evaluate(point, gradient), value);
  objective.know({coefficients, offsets, others});
  EXPECT_LT(objective.evaluate(std::vector<double>{0.5, 0.5, -1.25}, gradient), 1.9 * value)
      << "another point";
}

TEST(LogisticDescent, goes_on_after_a_sample_to_the_same_bytes) {
  setenv("FIRESTEEL_BLOCK_ROWS", "32", 1);
  const auto fit = [](const Context& context) {
    return LogisticRegression{.reg_param = 1e-4, .max_iter = 3, .tol = 0, .solver = "lbfgs-newton"}.fit(
        many_rows(context, true, false));
  };
  EXPECT_EQ(expect_resumed_bytes(fit, {1}).iterations, 3);
}

}  // namespace
}  // namespace firesteel
