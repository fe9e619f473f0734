// SPDX-License-Identifier: Apache-2.0
// Numbers at the edge of double precision, for every learner of the registry: each gives a finite model, the
// same on any number of ranks, or the same clean error.
#include <gtest/gtest.h>
#include <mpi.h>

#include <cmath>
#include <cstdlib>
#include <functional>
#include <limits>
#include <ostream>

#include "conformance_data.hpp"
#include "firesteel/core/philox.hpp"

namespace firesteel {

/// What a failed test calls its learner.
void PrintTo(const LearnerEntry& entry, std::ostream* stream) { *stream << entry.name; }

namespace {

/// All rows of a table, on every rank.
struct Table {
  Index columns = 4;
  std::vector<double> values;
  std::vector<std::int64_t> labels;
  std::vector<double> weights;
};

double noise(Index row, Index column) {
  return philox_uniform(99, static_cast<std::uint64_t>(column), static_cast<std::uint64_t>(row)) - 0.5;
}

/// Two overlapping clouds; `value` may replace any coordinate.
Table clouds(Index rows, Index columns, const std::function<double(Index, Index, double)>& value) {
  Table table{.columns = columns};
  for (Index row = 0; row < rows; ++row) {
    for (Index j = 0; j < columns; ++j)
      table.values.push_back(value(row, j, noise(row, j) + (row % 2 == 0 && j == 0 ? 0.4 : 0.0)));
    table.labels.push_back(row % 2);
  }
  return table;
}

double as_it_is(Index, Index, double x) { return x; }

struct Case {
  const char* name;
  Table table;
};

std::vector<Case> cases() {
  std::vector<Case> all;
  all.push_back({"columns of scales from 1e-300 to 1e300 and a constant one",
                 clouds(200, 7, [](Index, Index j, double x) {
                   const double scales[] = {1e-300, 1e-150, 1e-20, 1, 1e20, 1e150, 1e300};
                   return j == 3 ? 7.25 : x * scales[j];
                 })});
  all.push_back({"a subnormal column",
                 clouds(200, 3, [](Index, Index j, double x) { return j == 1 ? x * 1e-310 : x; })});
  all.push_back(
      {"all rows the same", clouds(200, 3, [](Index, Index j, double) { return static_cast<double>(j); })});
  all.push_back({"one outlier of 1e12", clouds(200, 3, [](Index row, Index j, double x) {
                   return row == 77 && j == 2 ? 1e12 : x;
                 })});
  all.push_back({"one outlier of 1e300", clouds(200, 3, [](Index row, Index j, double x) {
                   return row == 77 && j == 2 ? 1e300 : x;
                 })});
  all.push_back({"more columns than rows", clouds(10, 40, as_it_is)});
  Table unbalanced = clouds(20000, 2, as_it_is);
  for (std::size_t row = 0; row < unbalanced.labels.size(); ++row)
    unbalanced.labels[row] = row == 12345 ? 1 : 0;
  all.push_back({"one row of 20,000 of the second class", std::move(unbalanced)});
  Table weighted = clouds(200, 3, as_it_is);
  for (Index row = 0; row < 200; ++row)
    weighted.weights.push_back(std::pow(10.0, static_cast<double>(row % 25) - 12));
  all.push_back({"weights from 1e-12 to 1e12", std::move(weighted)});
  return all;
}

RowBlocks pack(const Context& context, const Table& table) {
  const auto rows = static_cast<Index>(table.labels.size());
  const auto first = static_cast<std::size_t>(rows * context.rank() / context.size());
  const auto end = static_cast<std::size_t>(rows * (context.rank() + 1) / context.size());
  const auto d = static_cast<std::size_t>(table.columns);
  const std::span<const double> weights(table.weights);
  return pack_rows(
      context, {.values = std::span(table.values).subspan(first * d, (end - first) * d),
                .columns = table.columns,
                .labels = std::vector<std::int64_t>(table.labels.begin() + static_cast<std::ptrdiff_t>(first),
                                                    table.labels.begin() + static_cast<std::ptrdiff_t>(end)),
                .weights = weights.empty() ? weights : weights.subspan(first, end - first)});
}

class Stress : public testing::TestWithParam<LearnerEntry> {
 protected:
  Stress() { setenv("FIRESTEEL_BLOCK_ROWS", "32", 1); }

  /// The digest of a model whose numbers are all finite, or the message of a clean error.
  static std::string outcome(const LearnerData& data, const std::string& reg_param) {
    auto learner = GetParam().make();
    set_parameter(*learner, "max_iter", "15");
    set_parameter(*learner, "k", "3");
    set_parameter(*learner, "rank", "4");
    set_parameter(*learner, "reg_param", reg_param);
    try {
      const Record record = learner->fit(data)->to_record();
      for (const auto& [name, value] : record.entries()) {
        if (const auto* array = std::get_if<RecordArray<double>>(&value)) {
          for (const double number : array->values) EXPECT_TRUE(std::isfinite(number)) << name;
        } else if (const auto* number = std::get_if<double>(&value)) {
          EXPECT_TRUE(std::isfinite(*number)) << name;
        }
      }
      return record.sha256();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::bad_input) << error.what();
      return error.what();
    }
  }

  static bool is_error(const std::string& outcome) { return outcome.find(' ') != std::string::npos; }
};

TEST_P(Stress, rows_at_the_edge_give_a_finite_model_or_name_the_fault_on_any_ranks) {
  if (GetParam().task == Task::recommendation) return;
  for (const auto& [name, table] : cases())
    for (const char* reg_param : {"0", "0.01"}) {
      SCOPED_TRACE(std::string(name) + ", reg_param " + reg_param);
      const std::string alone = outcome(pack(Context(MPI_COMM_SELF, {.threads = 1}), table), reg_param);
      EXPECT_EQ(outcome(pack(Context(MPI_COMM_WORLD, {.threads = 2}), table), reg_param), alone);
      if (is_error(alone)) {
        EXPECT_TRUE(alone.find("column") != std::string::npos || alone.find("scale the") != std::string::npos)
            << alone;
      }
      RecordProperty(name, alone);
    }
}

TEST_P(Stress, ratings_at_the_edge_give_a_finite_model_or_name_the_fault_on_any_ranks) {
  if (GetParam().task != Task::recommendation) return;
  constexpr auto kLowest = std::numeric_limits<std::int64_t>::min();
  constexpr auto kHighest = std::numeric_limits<std::int64_t>::max();
  const auto ratings = [&](const Context& context, double scale) {
    auto data = std::get<Ratings>(conformance::make_data(context, Task::recommendation, 300));
    for (auto& rating : data.ratings) rating *= scale;
    auto& users = std::get<std::vector<std::int64_t>>(data.users);
    for (auto& user : users) user = user == 100 ? kLowest : user == 101 ? kHighest : user;
    return data;
  };
  for (const double scale : {0.0, -1.0, 1e-300, 1e-12, 1e12, 1e100, 1e300}) {
    SCOPED_TRACE(scale);
    const std::string alone = outcome(ratings(Context(MPI_COMM_SELF, {.threads = 1}), scale), "0.01");
    EXPECT_EQ(outcome(ratings(Context(MPI_COMM_WORLD, {.threads = 2}), scale), "0.01"), alone);
    EXPECT_EQ(is_error(alone), scale == 1e300) << alone;
  }
}

INSTANTIATE_TEST_SUITE_P(Registry, Stress, testing::ValuesIn(learners()),
                         [](const auto& entry) { return std::string(entry.param.name); });

}  // namespace
}  // namespace firesteel
