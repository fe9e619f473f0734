// SPDX-License-Identifier: Apache-2.0
// What every learner of the registry must keep, whoever wrote it. A new learner joins by its registry line.
#include <gtest/gtest.h>
#include <mpi.h>

#include <cmath>
#include <cstdlib>
#include <limits>
#include <ostream>

#include "conformance_data.hpp"

namespace firesteel {

/// What a failed test calls its learner.
void PrintTo(const LearnerEntry& entry, std::ostream* stream) { *stream << entry.name; }

namespace {

using conformance::make_data;
using conformance::make_degenerate_rows;
using conformance::Storage;

class Conformance : public testing::TestWithParam<LearnerEntry> {
 protected:
  Conformance() { setenv("FIRESTEEL_BLOCK_ROWS", "32", 1); }  // many blocks from few rows

  static std::unique_ptr<AnyModel> fit(const LearnerData& data) {
    auto learner = GetParam().make();
    set_parameter(*learner, "max_iter", "6");
    set_parameter(*learner, "k", "3");
    set_parameter(*learner, "rank", "4");
    set_parameter(*learner, "reg_param", "0.01");
    return learner->fit(data);
  }
  std::unique_ptr<AnyModel> fit(const Context& context, Index rows, Storage storage = Storage::dense) const {
    return fit(make_data(context, GetParam().task, rows, storage));
  }
  /// The digest of a fit by one rank and one thread, which every other fit must equal.
  std::string digest_alone(Index rows, Storage storage = Storage::dense) const {
    return fit(Context(MPI_COMM_SELF, {.threads = 1}), rows, storage)->to_record().sha256();
  }
};

TEST_P(Conformance, the_model_is_the_same_bytes_for_any_ranks_and_threads) {
  for (const Storage storage :
       {Storage::dense, Storage::dense_single, Storage::sparse, Storage::sparse_single}) {
    const std::string alone = digest_alone(1000, storage);
    for (const int threads : {1, 2, 4}) {
      const Context context(MPI_COMM_WORLD, {.threads = threads});
      EXPECT_EQ(fit(context, 1000, storage)->to_record().sha256(), alone)
          << context.size() << " ranks, " << threads << " threads, storage " << static_cast<int>(storage);
    }
  }
}

TEST_P(Conformance, ranks_that_own_no_rows_change_nothing) {
  // 50 rows are two blocks: with three or four ranks some own none.
  const Context context(MPI_COMM_WORLD, {.threads = 2});
  for (const Storage storage : {Storage::dense, Storage::dense_single})
    EXPECT_EQ(fit(context, 50, storage)->to_record().sha256(), digest_alone(50, storage));
}

TEST_P(Conformance, a_model_predicts_the_same_after_its_record_was_read_back) {
  const Context context(MPI_COMM_WORLD, {.threads = 1});
  const LearnerData data = make_data(context, GetParam().task, 200);
  const auto model = fit(data);
  const Record record = model->to_record();
  const auto loaded = GetParam().load(record);
  EXPECT_EQ(loaded->to_record().sha256(), record.sha256());
  const ColumnTable before = model->predict(data);
  const ColumnTable after = loaded->predict(data);
  ASSERT_EQ(before.columns.size(), after.columns.size());
  for (std::size_t i = 0; i < before.columns.size(); ++i) {
    EXPECT_EQ(before.columns[i].name, after.columns[i].name);
    EXPECT_EQ(before.columns[i].values, after.columns[i].values);
  }
}

TEST_P(Conformance, a_model_says_how_its_rows_were_stored_and_cut) {
  const Context context(MPI_COMM_WORLD, {.threads = 1});
  const bool rows = GetParam().task != Task::recommendation;
  for (const Storage storage : {Storage::dense, Storage::dense_single}) {
    const FitSummary summary = GetParam().load(fit(context, 200, storage)->to_record())->summary();
    EXPECT_EQ(summary.rows, 200);
    EXPECT_EQ(summary.block_rows, rows ? 32 : 0);
    EXPECT_EQ(summary.precision, storage == Storage::dense_single ? "single" : "double");
  }
}

TEST_P(Conformance, a_fit_in_single_precision_is_another_model_with_nearly_the_objective) {
  const Context context(MPI_COMM_WORLD, {.threads = 1});
  const auto of = [&](Storage storage) { return fit(context, 300, storage)->to_record(); };
  const Record whole = of(Storage::dense);
  const Record single = of(Storage::dense_single);
  const double expected = whole.get<double>("summary/objective");
  // Six iterations from the same start: rounding of 2^-24 in rows of five columns, hardly amplified.
  EXPECT_NEAR(single.get<double>("summary/objective") / expected, 1.0, 1e-5);
  EXPECT_NE(single.sha256(), whole.sha256());
}

TEST_P(Conformance, predictions_are_one_a_row_and_the_same_for_any_ranks) {
  const Context world(MPI_COMM_WORLD, {.threads = 2});
  const Context alone(MPI_COMM_SELF, {.threads = 1});
  const auto model = fit(alone, 200);
  const LearnerData data = make_data(world, GetParam().task, 200);
  const ColumnTable predicted = model->predict(data);
  const ColumnTable expected = model->predict(make_data(alone, GetParam().task, 200));
  EXPECT_EQ(world.comm().sum(predicted.local_rows()), 200);
  for (std::size_t i = 0; i < expected.columns.size(); ++i) {
    if (const auto* mine = std::get_if<std::vector<double>>(&predicted.columns[i].values)) {
      EXPECT_EQ(world.comm().allgatherv(std::span<const double>(*mine)),
                std::get<std::vector<double>>(expected.columns[i].values));
    }
  }
}

TEST_P(Conformance, metrics_are_the_same_for_any_ranks_and_threads) {
  const auto model = fit(Context(MPI_COMM_SELF, {.threads = 1}), 300);
  const auto metrics_in = [&](const Context& context) {
    return model->evaluate(make_data(context, GetParam().task, 300));
  };
  const Metrics expected = metrics_in(Context(MPI_COMM_SELF, {.threads = 1}));
  const Metrics metrics = metrics_in(Context(MPI_COMM_WORLD, {.threads = 2}));
  ASSERT_EQ(metrics.size(), expected.size());
  for (std::size_t i = 0; i < metrics.size(); ++i) {
    EXPECT_EQ(metrics[i].first, expected[i].first);
    EXPECT_TRUE(metrics[i].second == expected[i].second ||
                (std::isnan(metrics[i].second) && std::isnan(expected[i].second)))
        << metrics[i].first << ": " << metrics[i].second << " and " << expected[i].second;
  }
}

TEST_P(Conformance, every_parameter_is_stored_and_refuses_what_is_outside_its_range) {
  const auto learner = GetParam().make();
  const Record record = fit(Context(MPI_COMM_SELF, {.threads = 1}), 100)->to_record();
  for (const auto& parameter : parameters_of(*learner)) {
    SCOPED_TRACE(parameter.name);
    EXPECT_FALSE(parameter.text.empty());
    using Type = ParameterInfo::Type;
    if (parameter.type == Type::reals || parameter.type == Type::matrix) continue;
    EXPECT_TRUE(record.contains("parameters/" + parameter.name));
    EXPECT_NO_THROW(set_parameter(*learner, parameter.name, parameter.value));
    EXPECT_THROW(set_parameter(*learner, parameter.name, "no such value"), Error);
    EXPECT_THROW(set_parameter(*learner, parameter.name, ""), Error);
    if (parameter.type != Type::choice) {
      EXPECT_THROW(set_parameter(*learner, parameter.name, "nan"), Error);
    }
    if (parameter.type == Type::integer || parameter.type == Type::seed) {
      EXPECT_THROW(set_parameter(*learner, parameter.name, "2.5"), Error);
    }
    if ((parameter.type == Type::integer || parameter.type == Type::real) &&
        std::isfinite(parameter.range.low)) {
      if (!parameter.range.low_open) {
        EXPECT_NO_THROW(set_parameter(*learner, parameter.name, number_text(parameter.range.low)));
      }
      EXPECT_THROW(set_parameter(*learner, parameter.name, number_text(parameter.range.low - 1)), Error);
    }
    for (const auto& option : parameter.options) {
      EXPECT_NO_THROW(set_parameter(*learner, parameter.name, option));
    }
  }
}

TEST_P(Conformance, constant_columns_and_duplicated_rows_give_a_finite_model) {
  if (GetParam().task == Task::recommendation) return;  // ratings have no columns
  const Record record = fit(make_degenerate_rows(Context(MPI_COMM_WORLD, {.threads = 2}), 120))->to_record();
  for (const auto& [name, value] : record.entries()) {
    const auto* array = std::get_if<RecordArray<double>>(&value);
    if (array == nullptr) continue;
    for (const double number : array->values) EXPECT_TRUE(std::isfinite(number)) << name;
  }
}

TEST_P(Conformance, a_value_that_is_not_a_number_is_the_same_clean_error_on_every_rank) {
  const Context context(MPI_COMM_WORLD, {.threads = 2});
  for (const double bad :
       {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
    LearnerData data = make_data(context, GetParam().task, 200);
    if (auto* ratings = std::get_if<Ratings>(&data)) {
      if (!ratings->ratings.empty() && context.rank() == 0) ratings->ratings.front() = bad;
    } else {
      auto& rows = std::get<RowBlocks>(data);
      auto& tiles = std::get<DenseTiles<double>>(rows.features);
      const bool owns_first = tiles.local_rows() > 0 && rows.partition.first_row(context.rank()) == 0;
      if (owns_first) tiles.at(0, 1) = bad;  // of many ranks the first may have no rows
    }
    try {
      fit(data);
      ADD_FAILURE() << "did not throw";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::bad_input) << error.what();
      EXPECT_TRUE(error.agreed()) << error.what();
    }
  }
}

TEST_P(Conformance, a_weight_that_is_none_is_the_same_clean_error_on_every_rank) {
  const Context context(MPI_COMM_WORLD, {.threads = 2});
  for (const double bad : {-1.0, std::numeric_limits<double>::quiet_NaN()}) {
    LearnerData data = make_data(context, GetParam().task, 200);
    auto* rows = std::get_if<RowBlocks>(&data);
    if (rows == nullptr) return;  // ratings have no weights
    const Index global_row = 40;
    const Index row = global_row - rows->partition.first_row(context.rank());
    if (row >= 0 && row < rows->local_rows()) rows->weights[static_cast<std::size_t>(row)] = bad;
    try {
      fit(data);
      ADD_FAILURE() << "did not throw";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::bad_input) << error.what();
      EXPECT_TRUE(error.agreed()) << error.what();
      EXPECT_EQ(std::string(error.what()), "row 40: expected a weight >= 0, got " + number_text(bad));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Registry, Conformance, testing::ValuesIn(learners()),
                         [](const auto& entry) { return std::string(entry.param.name); });

}  // namespace
}  // namespace firesteel
