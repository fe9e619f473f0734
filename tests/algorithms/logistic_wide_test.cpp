// SPDX-License-Identifier: Apache-2.0
// Sparse data whose columns are too many for a partial sum a block: sliced parameters and exact sums.
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "firesteel/algorithms/logistic_regression.hpp"
#include "firesteel/core/philox.hpp"
#include "firesteel/linalg/wide_columns.hpp"
#include "firesteel/tests/algorithms/stop_after.hpp"

namespace firesteel {
namespace {

constexpr Index kRows = 1200;
constexpr Index kColumns = 20'000;  // five blocks of a slice
constexpr Index kNonZeros = 8;

std::size_t size_of(Index i) { return static_cast<std::size_t>(i); }
double uniform(std::uint64_t purpose, std::uint64_t k, Index row) {
  return philox_uniform(purpose, k, static_cast<std::uint64_t>(row));
}

/// Values of one row: columns of eight strips, few in each, so that columns recur. Row 5 mod 7 has weight 0.
template <class Scalar>
RowBlocks wide_rows(const Context& context, Index classes, Index rows = kRows, Index columns = kColumns) {
  RowBlocks data{.context = context};
  data.partition =
      BlockPartition::even(rows, choose_block_rows(columns, sizeof(Scalar), true), context.size());
  data.rows_used = rows;
  data.has_labels = true;
  SparseRows<Scalar> sparse;
  sparse.columns_count = columns;
  std::vector<double> labels;
  const Index first = data.partition.first_row(context.rank());
  data.weights.assign(size_of((data.local_rows() + kTileRows - 1) / kTileRows * kTileRows), 0.0);
  for (Index row = first; row < first + data.local_rows(); ++row) {
    double z = 0;
    for (std::uint64_t k = 0; k < kNonZeros; ++k) {
      const Index strip = columns / kNonZeros;
      const auto j = static_cast<Index>(k) * strip + static_cast<Index>(uniform(3, k, row) * 9) * 13;
      sparse.indices.push_back(static_cast<std::int32_t>(j));
      sparse.values.push_back(static_cast<Scalar>(1 + uniform(4, k, row)));
      z += (j % 3 == 0 ? 0.5 : -0.3) * (1 + uniform(4, k, row));
    }
    sparse.row_begin.push_back(static_cast<Index>(sparse.values.size()));
    const double share = 1 / (1 + std::exp(-z)) + 0.4 * (uniform(5, 0, row) - 0.5);
    labels.push_back(
        std::clamp(std::floor(share * static_cast<double>(classes)), 0.0, static_cast<double>(classes - 1)));
    data.weights[size_of(row - first)] = row % 7 == 5 ? 0.0 : 0.5 + uniform(6, 0, row);
  }
  data.features = std::move(sparse);
  data.labels = std::move(labels);
  return data;
}

std::string digest(const LogisticRegressionModel& model) {
  return model_to_record("logistic", model).sha256();
}

struct Case {
  std::string name;
  LogisticRegression learner;
  Index classes = 2;
  bool single = false;
};

std::vector<Case> cases() {
  return {
      {"l2", {.reg_param = 0.01, .tol = 1e-10, .solver = "lbfgs"}},
      {"l1", {.reg_param = 0.01, .elastic_net_param = 0.7, .tol = 1e-8, .solver = "owlqn"}},
      {"three_classes", {.reg_param = 0.01, .tol = 1e-8, .solver = "lbfgs"}, 3},
      {"three_classes_l1_without_intercept",
       {.reg_param = 0.005, .elastic_net_param = 1, .tol = 1e-8, .fit_intercept = false, .solver = "owlqn"},
       3},
      {"single", {.reg_param = 0.01, .tol = 1e-8, .standardization = false, .solver = "lbfgs"}, 2, true}};
}

LogisticRegressionModel fit(const Case& chosen, const Context& context) {
  return chosen.learner.fit(chosen.single ? wide_rows<float>(context, chosen.classes)
                                          : wide_rows<double>(context, chosen.classes));
}

TEST(LogisticWide, is_the_same_bytes_for_any_ranks_and_threads) {
  setenv("FIRESTEEL_BLOCK_ROWS", "32", 1);
  for (Case chosen : cases()) {
    SCOPED_TRACE(chosen.name);
    chosen.learner.max_iter = 12;  // beyond the ten pairs of L-BFGS
    const std::string alone = digest(fit(chosen, Context(MPI_COMM_SELF, {.threads = 1})));
    EXPECT_EQ(digest(fit(chosen, Context({.threads = 2}))), alone);
  }
}

TEST(LogisticWide, has_the_optimum_of_data_summed_by_the_tree) {
  for (Case chosen : cases()) {
    SCOPED_TRACE(chosen.name);
    chosen.learner.max_iter = 200;
    chosen.learner.tol = 1e-8;
    setenv("FIRESTEEL_BLOCK_ROWS", "32", 1);
    const auto sliced = fit(chosen, Context());
    // With large blocks the same data are not wide.
    setenv("FIRESTEEL_BLOCK_ROWS", "8192", 1);
    const auto tree = fit(chosen, Context());
    EXPECT_NEAR(sliced.summary.objective / tree.summary.objective, 1.0, 1e-7);  // both stop within tol
    ASSERT_EQ(sliced.coefficients.values.size(), tree.coefficients.values.size());
    for (std::size_t i = 0; i < tree.coefficients.values.size(); ++i)
      ASSERT_NEAR(sliced.coefficients.values[i], tree.coefficients.values[i], 1e-3) << i;
    for (std::size_t k = 0; k < tree.intercept.size(); ++k)
      EXPECT_NEAR(sliced.intercept[k], tree.intercept[k], 1e-3);
  }
}

TEST(LogisticWide, goes_on_from_a_checkpoint_on_other_ranks_to_the_same_bytes) {
  setenv("FIRESTEEL_BLOCK_ROWS", "32", 1);
  const Context world;
  const std::string directory = world.comm().broadcast_text(
      (std::filesystem::temp_directory_path() / ("firesteel-wide-" + std::to_string(getpid()))).string(), 0);
  const Case chosen{"l1", {.reg_param = 0.003, .elastic_net_param = 0.5, .max_iter = 20, .tol = 0}};
  const std::string whole = digest(fit(chosen, Context(MPI_COMM_SELF, {.threads = 1})));
  // Before and after the eleventh pair takes the place of the first.
  for (const Index iteration : {1, 7, 13}) {
    SCOPED_TRACE(iteration);
    EXPECT_THROW(fit(chosen, Context(MPI_COMM_WORLD, {.monitor = std::make_shared<StopAfter>(iteration),
                                                      .checkpoint = {.directory = directory, .every = 100}})),
                 Error);
    world.comm().barrier();
    if (world.rank() == world.size() - 1) {
      const Context alone(MPI_COMM_SELF, {.checkpoint = {.directory = directory, .resume = true}});
      EXPECT_EQ(digest(fit(chosen, alone)), whole);
    }
    world.comm().barrier();
    EXPECT_EQ(digest(fit(chosen,
                         Context(MPI_COMM_WORLD, {.checkpoint = {.directory = directory, .resume = true}}))),
              whole);
    world.comm().barrier();
    if (world.rank() == 0) std::filesystem::remove_all(directory);
    world.comm().barrier();
  }
}

/// Columns of one magnitude, with outliers 10¹² times the rest, tiny, huge; factors from 1e-9 to 1.
constexpr Index kSumColumns = 10'000;
double hard_value(Index row, std::uint64_t k) {
  const double value = uniform(11, k, row) - 0.3;
  if (k == 1) return row % 97 == 3 ? 1e6 * value : 1e-6 * value;
  if (k == 2) return 1e-290 * value;
  if (k == 3) return 1e290 * value;
  return value;
}
double hard_factor(Index row) {
  return (uniform(12, 0, row) - 0.5) * std::pow(10.0, -9 * uniform(12, 1, row));
}
Index hard_column(Index row, std::uint64_t k) {
  return static_cast<Index>(k) * 2'400 + static_cast<Index>(uniform(13, k, row) * 3) * 700;
}

TEST(LogisticWide, sums_are_as_good_as_sums_in_double_and_better) {
  setenv("FIRESTEEL_BLOCK_ROWS", "32", 1);
  const Context context({.threads = 2});
  const Index rows = 3000;
  RowBlocks data{.context = context};
  data.partition = BlockPartition::even(rows, 32, context.size());
  SparseRows<double> sparse;
  sparse.columns_count = kSumColumns;
  const Index first = data.partition.first_row(context.rank());
  std::vector<double> weights(size_of((data.local_rows() + kTileRows - 1) / kTileRows * kTileRows), 0.0);
  std::vector<double> factors(weights.size(), 0.0);
  for (Index row = first; row < first + data.local_rows(); ++row) {
    for (std::uint64_t k = 0; k < 4; ++k) {
      sparse.indices.push_back(static_cast<std::int32_t>(hard_column(row, k)));
      sparse.values.push_back(hard_value(row, k));
    }
    sparse.row_begin.push_back(static_cast<Index>(sparse.values.size()));
    weights[size_of(row - first)] = 1;
    factors[size_of(row - first)] = hard_factor(row);
  }
  data.features = std::move(sparse);
  WideColumns columns(data, weights, 1, true);
  columns.set_scales(columns.moments(weights), 1.0);
  const auto sums = columns.weighted_sums(factors.data());

  std::vector<long double> expected(size_of(kSumColumns), 0);
  std::vector<long double> magnitude(size_of(kSumColumns), 0);
  for (Index row = 0; row < rows; ++row)
    for (std::uint64_t k = 0; k < 4; ++k) {
      const auto j = size_of(hard_column(row, k));
      // A term is a product in double; the sum of terms is what is judged.
      const long double term = static_cast<long double>(hard_value(row, k)) * hard_factor(row);
      expected[j] += term;
      magnitude[j] += std::abs(term);
    }
  Index seen = 0;
  for (Index j = 0; j < columns.slice_columns(); ++j) {
    const auto global = size_of(columns.first_column() + j);
    if (magnitude[global] > 0) ++seen;
    EXPECT_LE(std::abs(sums[size_of(j)] - expected[global]), 1e-15L * magnitude[global])
        << "column " << global;
  }
  EXPECT_EQ(context.comm().sum(seen), 12);
}

double resident_peak_mb() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;)
    if (word == "VmHWM:") {
      double kilobytes = 0;
      status >> kilobytes;
      return kilobytes / 1024;
    }
  return 0;
}

/// At four ranks a rank's vectors are a quarter: the whole of them, 38 vectors of 1,000,000 doubles, is 290
/// MB.
TEST(LogisticWide, no_rank_holds_all_parameters) {
  unsetenv("FIRESTEEL_BLOCK_ROWS");
  const Context context({.threads = 1});
  constexpr Index kMany = 1'000'000;
  const RowBlocks data = wide_rows<double>(context, 2, 4000, kMany);
  const double before = resident_peak_mb();
  const auto model =
      LogisticRegression{.reg_param = 1e-4, .max_iter = 12, .tol = 0, .solver = "lbfgs"}.fit(data);
  const double grown = resident_peak_mb() - before;
  EXPECT_GE(model.summary.iterations, 11);
  // Vectors of a slice, the model and what it is made from, a count a column; 32 MB for heap and buffers of
  // MPI.
  const double megabytes = 1e6 / (1 << 20);
  const double share = 1.02 / context.size();          // slices are whole blocks
  if (std::getenv("FIRESTEEL_SANITIZE") == nullptr) {  // sanitizers keep a shadow of all memory
    EXPECT_LE(grown, megabytes * (38 * 8 * share + 3 * 8 + 4) + 32);
  }
}

}  // namespace
}  // namespace firesteel
