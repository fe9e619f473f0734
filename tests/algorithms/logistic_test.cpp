// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>

#include "firesteel/algorithms/logistic_regression.hpp"
#include "firesteel/core/philox.hpp"
#include "firesteel/tests/algorithms/logistic_data.hpp"
#include "firesteel/tests/reference/logistic_sklearn.hpp"

namespace firesteel {
namespace {

constexpr Index kRows = 240;
constexpr Index kColumns = 5;

/// The data of logistic_sklearn.py.
struct Table {
  std::vector<double> values;
  std::vector<double> binary;
  std::vector<double> three;
  std::vector<double> weights;
};

Table sklearn_table() {
  Table table;
  const double binary_weights[] = {1.0, -0.8, 0.5, 0.0, 0.3};
  const double three_weights[] = {0.7, 0.4, -0.5, 0.2, 0.1};
  for (Index i = 0; i < kRows; ++i) {
    double binary = 0;
    double three = 0;
    for (Index j = 0; j < kColumns; ++j) {
      const Index mixed = (i * i * 7919 + i * 104729 * (j + 1) + i * j * j * 31) % 1009;
      const double x = static_cast<double>(mixed) / 1009.0 * static_cast<double>(j + 1) - 0.5;
      table.values.push_back(x);
      binary += x * binary_weights[j];
      three += x * three_weights[j];
    }
    const double noise = static_cast<double>(i * 48271 % 2003) / 2003.0;
    table.binary.push_back(binary + 2 * (noise - 0.5) > 0.4 ? 1 : 0);
    const double level = std::floor(three + 3 * noise);
    table.three.push_back(level - 3 * std::floor(level / 3));
    table.weights.push_back(0.5 + static_cast<double>(i % 4));
  }
  return table;
}

RowBlocks sklearn_data(const Context& context, const reference::LogisticCase& fixture, bool single = false) {
  const Table table = sklearn_table();
  return pack_slice(context, table.values, kColumns, fixture.three_classes ? table.three : table.binary,
                    fixture.weighted ? table.weights : std::vector<double>{}, single);
}

LogisticRegression learner_of(const reference::LogisticCase& fixture, const std::string& solver) {
  return {.reg_param = fixture.reg_param,
          .elastic_net_param = fixture.elastic_net_param,
          .max_iter = 2000,
          .tol = 1e-10,
          .standardization = false,
          .solver = solver};
}

TEST(Logistic, has_the_optimum_of_scikit_learn_with_every_solver_dense_and_sparse) {
  setenv("FIRESTEEL_BLOCK_ROWS", "32", 1);
  const Context context;
  for (const auto& fixture : reference::kLogisticCases) {
    const RowBlocks dense = sklearn_data(context, fixture);
    for (const RowBlocks& data : {dense, to_sparse(dense)}) {
      for (const std::string solver : {"newton", "lbfgs", "owlqn", "lbfgs-newton"}) {
        if (solver == "lbfgs" && fixture.elastic_net_param > 0) continue;
        SCOPED_TRACE(std::string(fixture.name) + " " + solver);
        const auto model = learner_of(fixture, solver).fit(data);
        // The promise at tol 1e-10; scikit-learn's own optimum is good to about 1e-12.
        EXPECT_NEAR(model.summary.objective / fixture.objective, 1.0, 1e-8);
        for (std::size_t i = 0; i < fixture.coefficients.size(); ++i)
          EXPECT_NEAR(model.coefficients.values[i], fixture.coefficients[i], 1e-5);
        for (std::size_t k = 0; k < fixture.intercept.size(); ++k)
          EXPECT_NEAR(model.intercept[k], fixture.intercept[k], 1e-5);
        EXPECT_TRUE(*model.summary.converged) << model.summary.stop_reason;
      }
    }
  }
}

TEST(Logistic, agrees_between_dense_and_sparse_and_nearly_in_single_precision) {
  setenv("FIRESTEEL_BLOCK_ROWS", "32", 1);
  const Context context;
  for (const auto& fixture : reference::kLogisticCases) {
    SCOPED_TRACE(fixture.name);
    const RowBlocks data = sklearn_data(context, fixture);
    const LogisticRegression learner{.reg_param = fixture.reg_param,
                                     .elastic_net_param = fixture.elastic_net_param};
    const auto dense = learner.fit(data);
    const auto sparse = learner.fit(to_sparse(data));
    const auto single = learner.fit(sklearn_data(context, fixture, true));
    for (std::size_t i = 0; i < dense.coefficients.values.size(); ++i) {
      const double value = dense.coefficients.values[i];
      EXPECT_NEAR(sparse.coefficients.values[i], value, 1e-12 * std::max(1.0, std::abs(value)));
      EXPECT_NEAR(single.coefficients.values[i], value, 1e-5);  // features rounded to 2⁻²⁴
    }
  }
}

/// Small labels are looked up, others searched for: the classes are in numeric order all the same.
TEST(Logistic, takes_labels_of_any_size_as_classes) {
  setenv("FIRESTEEL_BLOCK_ROWS", "32", 1);
  const Context context;
  const Table table = sklearn_table();
  const auto fit = [&](const std::vector<double>& names) {
    std::vector<double> labels;
    for (const double label : table.three) labels.push_back(names[static_cast<std::size_t>(label)]);
    return LogisticRegression{.reg_param = 0.1}.fit(pack_slice(context, table.values, kColumns, labels));
  };
  const auto plain = fit({0, 1, 2});
  for (const std::vector<double>& names :
       std::vector<std::vector<double>>{{-7, 255, 256}, {3, 1e6, 0x1p52}, {-2, -1, -0.0}}) {
    const auto model = fit(names);
    EXPECT_EQ(model.coefficients.values, plain.coefficients.values);
    EXPECT_EQ(model.classes.values(), ClassValues(std::vector<std::int64_t>(names.begin(), names.end())));
  }
}

TEST(Logistic, is_the_same_bytes_for_any_ranks_and_threads) {
  setenv("FIRESTEEL_BLOCK_ROWS", "32", 1);
  for (const auto& fixture : reference::kLogisticCases) {
    for (const std::string solver : {"newton", "owlqn", "lbfgs-newton"}) {
      for (const int form : {0, 1, 2}) {
        SCOPED_TRACE(std::string(fixture.name) + " " + solver + " form " + std::to_string(form));
        const auto fit = [&](const Context& context) {
          RowBlocks data = sklearn_data(context, fixture, form == 2);
          if (form == 1) data = to_sparse(data);
          const LogisticRegression learner{.reg_param = fixture.reg_param,
                                           .elastic_net_param = fixture.elastic_net_param,
                                           .solver = solver};
          return digest(learner.fit(data));
        };
        const std::string alone = fit(Context(MPI_COMM_SELF, {.threads = 1}));
        for (const int threads : {1, 2, 4}) EXPECT_EQ(fit(Context({.threads = threads})), alone);
      }
    }
  }
}

/// Digests stored from one machine: another compiler, instruction set or C library must give them too.
TEST(Logistic, has_the_bytes_it_always_had) {
  setenv("FIRESTEEL_BLOCK_ROWS", "32", 1);
  const Context context;
  const auto fit = [&](std::size_t fixture, const std::string& solver) {
    const auto& chosen = reference::kLogisticCases[fixture];
    return digest(LogisticRegression{.reg_param = chosen.reg_param,
                                     .elastic_net_param = chosen.elastic_net_param,
                                     .solver = solver}
                      .fit(sklearn_data(context, chosen)))
        .substr(0, 16);
  };
  EXPECT_EQ(fit(0, "newton"), "a60f7a1afa9d1f19");
  EXPECT_EQ(fit(1, "lbfgs"), "c84d0d36c11bd14a");
  EXPECT_EQ(fit(4, "newton"), "eb62577f17318277");
  EXPECT_EQ(fit(5, "owlqn"), "ddf976165b897084");
}

TEST(Logistic, fits_where_ranks_have_no_rows) {
  setenv("FIRESTEEL_BLOCK_ROWS", "32", 1);
  const auto fit = [&](const Context& context) {
    const std::vector<double> x{0, 1, 2, 3, 4, 5};
    const std::vector<double> y{0, 1, 0, 1, 0, 1};
    return digest(LogisticRegression{.reg_param = 0.1}.fit(pack_slice(context, x, 1, y)));
  };
  EXPECT_EQ(fit(Context()), fit(Context(MPI_COMM_SELF, {.threads = 1})));
}

/// Sparse rows of `columns` columns, twelve random ones a row.
RowBlocks wide_data(const Context& context, Index rows, Index columns) {
  RowBlocks data{.context = context};
  data.partition = BlockPartition::even(rows, choose_block_rows(columns, 8, true), context.size());
  data.rows_used = rows;
  data.has_labels = true;
  SparseRows<double> sparse;
  sparse.columns_count = columns;
  std::vector<double> labels;
  const Index first = data.partition.first_row(context.rank());
  for (Index row = first; row < first + data.local_rows(); ++row) {
    const auto key = static_cast<std::uint64_t>(row);
    double z = -0.3;
    for (Index k = 0; k < 12; ++k) {
      const Index stride = columns / 12;
      const auto draw = philox_bits(3, static_cast<std::uint64_t>(k), key);
      const auto j =
          k * stride + static_cast<Index>(draw % static_cast<std::uint64_t>(std::min<Index>(stride, 9)));
      sparse.indices.push_back(static_cast<std::int32_t>(j));
      sparse.values.push_back(1 + philox_uniform(4, static_cast<std::uint64_t>(k), key));
      z += (j % 3 == 0 ? 0.5 : -0.2) * sparse.values.back();
    }
    sparse.row_begin.push_back(static_cast<Index>(sparse.values.size()));
    labels.push_back(philox_uniform(5, 0, key) < 1 / (1 + std::exp(-z)) ? 1 : 0);
  }
  data.features = std::move(sparse);
  data.labels = std::move(labels);
  return data;
}

TEST(Logistic, wide_sparse_data_are_summed_exactly_to_the_same_bytes_and_optimum) {
  setenv("FIRESTEEL_BLOCK_ROWS", "32", 1);
  const LogisticRegression learner{.reg_param = 0.01, .max_iter = 500, .tol = 1e-10, .solver = "lbfgs"};
  const auto fit = [&](const Context& context) { return learner.fit(wide_data(context, 1000, 600)); };
  const auto alone = fit(Context(MPI_COMM_SELF, {.threads = 1}));
  for (const int threads : {1, 2, 4}) EXPECT_EQ(digest(fit(Context({.threads = threads}))), digest(alone));
  // With large blocks the same data go through the tree.
  setenv("FIRESTEEL_BLOCK_ROWS", "1024", 1);
  const auto tree = fit(Context());
  EXPECT_NEAR(alone.summary.objective / tree.summary.objective, 1.0, 1e-12);
  for (std::size_t j = 0; j < tree.coefficients.values.size(); ++j)
    EXPECT_NEAR(alone.coefficients.values[j], tree.coefficients.values[j], 1e-7);
}

std::string message_of(const std::function<void()>& call, ErrorCode code) {
  try {
    call();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return {};
}

TEST(Logistic, refuses_labels_that_are_no_classes) {
  const Context context;
  const std::vector<double> x{0, 1, 2, 3};
  const auto fit = [&](std::vector<double> labels, LogisticRegression learner = {}) {
    return [&, labels, learner] { learner.fit(pack_slice(context, x, 1, labels)); };
  };
  EXPECT_NE(message_of(fit({0, 1, 0.5, 0}), ErrorCode::bad_input).find("row 2: label 0.5"),
            std::string::npos);
  EXPECT_NE(message_of(fit({7, 7, 7, 7}), ErrorCode::bad_input).find("one class only, 7"), std::string::npos);
  EXPECT_NE(message_of(fit({0, 1, 2, 0}, {.family = "binomial"}), ErrorCode::bad_input).find("3 classes"),
            std::string::npos);
  EXPECT_NE(
      message_of(fit({0, 1, 1, 0}, {.thresholds = {0.1, 0.2, 0.3}}), ErrorCode::bad_input).find("thresholds"),
      std::string::npos);
  message_of(fit({0, 1, 1, 0}, {.reg_param = -1}), ErrorCode::bad_parameter);
  EXPECT_NE(
      message_of(fit({0, 1, 1, 0}, {.thresholds = {0, 0}}), ErrorCode::bad_parameter).find("at most one"),
      std::string::npos);
  message_of(fit({0, 1, 1, 0}, {.reg_param = 1, .elastic_net_param = 1, .solver = "lbfgs"}),
             ErrorCode::bad_parameter);
  RowBlocks unlabelled = pack_rows(context, {.values = x, .columns = 1});
  message_of([&] { LogisticRegression{}.fit(unlabelled); }, ErrorCode::bad_input);
}

TEST(Logistic, predicts_original_labels_whatever_their_numbers) {
  const Context context;
  const Table table = sklearn_table();
  for (const auto& [zero, one] : {std::pair{1.0, 2.0}, {-1.0, 1.0}}) {
    std::vector<double> labels;
    for (const double y : table.binary) labels.push_back(y == 1 ? one : zero);
    const RowBlocks data = pack_slice(context, table.values, kColumns, labels);
    auto model = LogisticRegression{}.fit(data);
    const auto predicted = model.predict(data);
    ASSERT_EQ(predicted.columns.size(), 3U);
    EXPECT_EQ(predicted.columns[2].name, "probability_1");
    const auto& decided = std::get<std::vector<std::int64_t>>(predicted.columns[0].values);
    const auto& p0 = std::get<std::vector<double>>(predicted.columns[1].values);
    const auto& p1 = std::get<std::vector<double>>(predicted.columns[2].values);
    for (std::size_t i = 0; i < decided.size(); ++i) {
      EXPECT_EQ(static_cast<double>(decided[i]), p1[i] > 0.5 ? one : zero);
      EXPECT_NEAR(p0[i] + p1[i], 1.0, 1e-15);
    }
    model.parameters.threshold = 1;  // p > 1 never
    const auto never = model.predict(data);
    for (const auto label : std::get<std::vector<std::int64_t>>(never.columns[0].values))
      EXPECT_EQ(static_cast<double>(label), zero);
    const RowBlocks foreign = pack_slice(context, table.values, kColumns, std::vector<double>(kRows, 5));
    EXPECT_NE(message_of([&] { model.evaluate(foreign); }, ErrorCode::bad_input).find("label 5 is unknown"),
              std::string::npos);
  }
}

TEST(Logistic, predicts_the_same_bits_on_any_ranks) {
  setenv("FIRESTEEL_BLOCK_ROWS", "32", 1);
  const auto& fixture = reference::kLogisticCases[4];
  const auto predict = [&](const Context& context) {
    const RowBlocks data = sklearn_data(context, fixture);
    const auto table = LogisticRegression{.reg_param = 0.01}.fit(data).predict(data);
    return context.comm().allgatherv(
        std::span<const double>(std::get<std::vector<double>>(table.columns[2].values)));
  };
  EXPECT_EQ(predict(Context()), predict(Context(MPI_COMM_SELF, {.threads = 1})));
}

TEST(Logistic, a_model_survives_its_record) {
  const Context context;
  const RowBlocks data = sklearn_data(context, reference::kLogisticCases[4]);
  const auto model = LogisticRegression{.reg_param = 0.01, .thresholds = {0.2, 0.3, 0.5}}.fit(data);
  Record record;
  model.to_record(record);
  const auto loaded = LogisticRegressionModel::from_record(record);
  Record again;
  loaded.to_record(again);
  EXPECT_EQ(again.sha256(), record.sha256());
  EXPECT_EQ(loaded.predict(data).columns[0].values, model.predict(data).columns[0].values);
}

struct Listener final : Monitor {
  std::vector<std::string> warnings;
  void warning(std::string_view text) override { warnings.emplace_back(text); }
};

TEST(Logistic, says_that_separable_data_have_no_optimum) {
  const auto listener = std::make_shared<Listener>();
  const Context context({.monitor = listener});
  const std::vector<double> x{-3, -2, -1, 1, 2, 3};
  for (const std::vector<double>& y : {std::vector<double>{0, 0, 0, 1, 1, 1}, {0, 0, 1, 1, 2, 2}}) {
    for (const std::string solver : {"newton", "lbfgs", "lbfgs-newton"}) {
      listener->warnings.clear();
      const auto model = LogisticRegression{.solver = solver}.fit(pack_slice(context, x, 1, y));
      EXPECT_TRUE(model.separable) << solver;
      ASSERT_EQ(listener->warnings.size(), 1U);
      for (const double value : model.coefficients.values) EXPECT_TRUE(std::isfinite(value));
    }
  }
  const auto penalised = LogisticRegression{.reg_param = 0.1}.fit(
      pack_slice(context, x, 1, std::vector<double>{0, 0, 0, 1, 1, 1}));
  EXPECT_FALSE(penalised.separable);
}

TEST(Logistic, constant_and_extreme_columns) {
  const Context context;
  const Table table = sklearn_table();
  const auto fit = [&](double second, double third) {
    std::vector<double> values;
    for (Index i = 0; i < kRows; ++i) {
      const double* x = table.values.data() + i * kColumns;
      values.insert(values.end(), {x[0], second == 0 ? 7.25 : x[1] * second, x[2] * third});
    }
    return LogisticRegression{.reg_param = 0.01}.fit(pack_slice(context, values, 3, table.binary));
  };
  EXPECT_EQ(fit(0, 1).coefficients.values[1], 0.0);
  // Standardised, the scale of a column does not matter.
  const auto plain = fit(1, 1);
  const auto scaled = fit(1e250, 1e-250);
  EXPECT_NEAR(scaled.coefficients.values[1] * 1e250 / plain.coefficients.values[1], 1.0, 1e-9);
  EXPECT_NEAR(scaled.coefficients.values[2] * 1e-250 / plain.coefficients.values[2], 1.0, 1e-9);
  EXPECT_NE(message_of([&] { fit(1, 1e-310); }, ErrorCode::bad_input).find("column 2"), std::string::npos);
}

TEST(Logistic, weights_count_as_repeated_rows_and_zero_as_absent) {
  const Context context;
  const std::vector<double> x{0, 1, 2, 3, 4, 100};
  const std::vector<double> y{0, 1, 0, 1, 1, 0};
  const auto weighted = LogisticRegression{.tol = 1e-10, .standardization = false}.fit(
      pack_slice(context, x, 1, y, std::vector<double>{2, 1, 1, 3, 1, 0}));
  const auto repeated = LogisticRegression{.tol = 1e-10, .standardization = false}.fit(pack_slice(
      context, std::vector<double>{0, 0, 1, 2, 3, 3, 3, 4}, 1, std::vector<double>{0, 0, 1, 0, 1, 1, 1, 1}));
  EXPECT_NEAR(weighted.coefficients.values[0], repeated.coefficients.values[0], 1e-7);
  EXPECT_NEAR(weighted.intercept[0], repeated.intercept[0], 1e-7);
}

/// Dense rows of a LIBSVM file with indices from 1.
Table read_libsvm(const std::string& path, Index columns) {
  Table table;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    double label = 0;
    words >> label;
    table.binary.push_back(label);
    table.values.resize(table.values.size() + static_cast<std::size_t>(columns), 0.0);
    double* row = table.values.data() + table.values.size() - columns;
    Index index = 0;
    char colon = 0;
    double value = 0;
    while (words >> index >> colon >> value) row[index - 1] = value;
  }
  return table;
}

TEST(Logistic, has_the_known_minimum_of_a9a) {
  unsetenv("FIRESTEEL_BLOCK_ROWS");
  const Context context;
  const Table table = read_libsvm("datasets/a9a/a9a.txt", 123);
  ASSERT_EQ(table.binary.size(), 32561U);
  // ½‖w‖² + C Σ log-loss, C = 1: the objective here is that over C·n, with λ = 1/(C·n).
  constexpr double kMinimum = 10528.572430543307;
  const RowBlocks data = to_sparse(pack_slice(context, table.values, 123, table.binary));
  const auto model =
      LogisticRegression{.reg_param = 1.0 / 32561, .tol = 1e-10, .standardization = false}.fit(data);
  EXPECT_NEAR(model.summary.objective * 32561 / kMinimum, 1.0, 1e-8);
  EXPECT_TRUE(*model.summary.converged) << model.summary.stop_reason;
  EXPECT_LE(model.summary.iterations, 20);
}

}  // namespace
}  // namespace firesteel
