// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>

#include "firesteel/algorithms/classification_metrics.hpp"
#include "firesteel/algorithms/ranking_areas.hpp"
#include "firesteel/algorithms/regression_metrics.hpp"
#include "firesteel/core/philox.hpp"
#include "firesteel/tests/reference/metrics_fixture.hpp"

namespace firesteel {
namespace {

/// Small blocks, so that a few rows make many.
[[maybe_unused]] const int kSmallBlocks = setenv("FIRESTEEL_BLOCK_ROWS", "32", 1);

using Expected = std::vector<std::pair<std::string, double>>;

double figure(const Metrics& metrics, const std::string& name) {
  const auto entry =
      std::find_if(metrics.begin(), metrics.end(), [&](const auto& m) { return m.first == name; });
  if (entry == metrics.end()) throw internal_error("no figure named " + name);
  return entry->second;
}

void expect_figures(const Metrics& metrics, const Expected& expected) {
  for (const auto& [name, value] : expected)
    EXPECT_NEAR(figure(metrics, name), value, 1e-13) << name;  // a few roundings in either program
}

/// Same bytes on every rank, and as the reference bytes where there are some.
void expect_same_bits(Communicator& comm, const Metrics& metrics) {
  for (const auto& [name, value] : metrics) {
    const auto all = comm.allgather(value);
    for (const double other : all) EXPECT_EQ(std::memcmp(&other, &value, sizeof value), 0) << name;
  }
}

/// Rows of a job, whole on every rank; `data` and the spans are this rank's part.
struct Job {
  Context context;
  std::vector<Index> truth;
  std::vector<double> probabilities;
  std::vector<Index> predicted;
  std::vector<double> weights;
  std::vector<std::uint8_t> dropped = {};
  Index classes = 2;

  Metrics metrics(const BlockPartition& partition) const {
    RowBlocks data{.context = context};
    data.partition = partition;
    const auto first = partition.first_row(context.rank());
    const auto rows = partition.local_rows(context.rank());
    const auto part = [&](const auto& all, Index width) {
      return std::span(all).subspan(static_cast<std::size_t>(first * width),
                                    static_cast<std::size_t>(rows * width));
    };
    if (!weights.empty()) {
      data.weights.assign(static_cast<std::size_t>((rows + kTileRows - 1) / kTileRows * kTileRows), 0.0);
      std::copy_n(weights.begin() + first, rows, data.weights.begin());
    }
    if (!dropped.empty()) data.dropped.assign(dropped.begin() + first, dropped.begin() + first + rows);
    return classification_metrics(data, part(truth, 1), part(probabilities, classes), part(predicted, 1),
                                  classes);
  }
  Metrics metrics() const {
    return metrics(BlockPartition::even(static_cast<Index>(truth.size()), kTileRows, context.size()));
  }
};

/// The area by its definition: the share of (positive, negative) pairs in the right order, ties a half.
double pairwise_area(const std::vector<ScoredRow>& rows) {
  double right = 0;
  double all = 0;
  for (const auto& a : rows)
    for (const auto& b : rows) {
      if (!a.positive || b.positive) continue;
      const double pair = a.weight * b.weight;
      all += pair;
      right += a.score > b.score ? pair : a.score == b.score ? pair / 2 : 0.0;
    }
  return right / all;
}

std::vector<ScoredRow> random_rows(Index count, Index levels, bool weighted) {
  std::vector<ScoredRow> rows;
  for (Index i = 0; i < count; ++i) {
    const auto u = [&](std::uint64_t purpose) {
      return philox_uniform(7, purpose, static_cast<std::uint64_t>(i));
    };
    rows.push_back({.score = std::floor(u(1) * static_cast<double>(levels)) / static_cast<double>(levels),
                    .weight = weighted ? std::ldexp(0.1 + u(2), static_cast<int>(i % 30)) : 1.0,
                    .row = i,
                    .positive = u(3) < 0.3});
  }
  return rows;
}

/// This rank's part of `rows`: dealing 0 in runs, 1 round robin, 2 all to the last rank.
std::vector<ScoredRow> deal(const std::vector<ScoredRow>& rows, const Context& context, int dealing) {
  std::vector<ScoredRow> own;
  for (const auto& row : rows) {
    const auto ranks = static_cast<Index>(context.size());
    const Index owner = dealing == 0   ? row.row * ranks / static_cast<Index>(rows.size())
                        : dealing == 1 ? row.row % ranks
                                       : ranks - 1;
    if (owner == context.rank()) own.push_back(row);
  }
  return own;
}

TEST(RankingAreas, equal_the_share_of_ordered_pairs) {
  Context context;
  for (const Index levels : {1, 2, 7, 1000000})
    for (const bool weighted : {false, true}) {
      const auto rows = random_rows(700, levels, weighted);
      const auto areas = ranking_areas(context, deal(rows, context, 0));
      EXPECT_NEAR(areas.roc, pairwise_area(rows), 1e-13) << levels << " levels";
    }
}

TEST(RankingAreas, are_the_same_bits_for_any_dealing_and_any_number_of_ranks) {
  Context context;
  Context alone(MPI_COMM_SELF);
  for (const Index count : {1, 5, 33, 3000})
    for (const Index levels : {1, 3, 1000000}) {
      const auto rows = random_rows(count, levels, true);
      const auto expected = ranking_areas(alone, rows);
      for (const int dealing : {0, 1, 2}) {
        const auto areas = ranking_areas(context, deal(rows, context, dealing));
        EXPECT_EQ(std::memcmp(&areas, &expected, sizeof areas), 0)
            << count << " rows, " << levels << " levels";
      }
    }
}

TEST(RankingAreas, are_undefined_without_both_classes_and_with_nan) {
  Context context;
  auto rows = random_rows(50, 5, false);
  for (auto& row : rows) row.positive = true;
  EXPECT_TRUE(std::isnan(ranking_areas(context, deal(rows, context, 0)).roc));
  EXPECT_EQ(ranking_areas(context, deal(rows, context, 0)).precision_recall, 1.0);
  for (auto& row : rows) row.positive = false;
  EXPECT_TRUE(std::isnan(ranking_areas(context, deal(rows, context, 0)).precision_recall));
  EXPECT_TRUE(std::isnan(ranking_areas(context, {}).roc));
  rows = random_rows(50, 5, false);
  rows[20].score = std::nan("");
  EXPECT_TRUE(std::isnan(ranking_areas(context, deal(rows, context, 0)).roc));
}

TEST(RankingAreas, count_negative_zero_as_zero) {
  Context alone(MPI_COMM_SELF);
  const auto areas = ranking_areas(alone, {{0.0, 1, 0, true}, {-0.0, 1, 1, false}});
  EXPECT_EQ(areas.roc, 0.5);
}

TEST(ClassificationMetrics, agree_with_scikit_learn) {
  Context context;
  Job binary{context, fixture::kBinaryTruth, fixture::kBinaryProbabilities, fixture::kBinaryPredicted, {}};
  expect_figures(binary.metrics(), fixture::kBinaryPlain);
  binary.weights = fixture::kWeight;
  expect_figures(binary.metrics(), fixture::kBinaryWeighted);

  Job three{context, fixture::kThreeTruth, fixture::kThreeProbabilities, fixture::kThreePredicted, {}};
  three.classes = 3;
  expect_figures(three.metrics(), fixture::kThreePlain);
  EXPECT_TRUE(std::isnan(figure(three.metrics(), "area_under_roc")));
  EXPECT_TRUE(std::isnan(figure(three.metrics(), "f1_positive")));
  three.weights = fixture::kWeight;
  expect_figures(three.metrics(), fixture::kThreeWeighted);
}

TEST(ClassificationMetrics, are_the_same_bits_for_any_dealing_of_blocks) {
  Context context;
  Context alone(MPI_COMM_SELF);
  Job job{alone, {}, {}, {}, {}};
  for (Index i = 0; i < 1000; ++i) {
    const double p = philox_uniform(3, 1, static_cast<std::uint64_t>(i));
    job.truth.push_back(philox_uniform(3, 2, static_cast<std::uint64_t>(i)) < p ? 1 : 0);
    job.probabilities.insert(job.probabilities.end(), {1 - p, p});
    job.predicted.push_back(p > 0.5 ? 1 : 0);
    job.weights.push_back(
        std::ldexp(philox_uniform(3, 3, static_cast<std::uint64_t>(i)), static_cast<int>(i % 40)));
  }
  const auto expected = job.metrics();
  job.context = context;
  std::vector<Index> all_last(static_cast<std::size_t>(context.size()) + 1, 0);
  all_last.back() = (1000 + kTileRows - 1) / kTileRows;
  for (const auto& partition :
       {BlockPartition::even(1000, kTileRows, context.size()), BlockPartition(1000, kTileRows, all_last)}) {
    const auto metrics = job.metrics(partition);
    for (std::size_t i = 0; i < expected.size(); ++i)
      EXPECT_EQ(std::memcmp(&metrics[i].second, &expected[i].second, sizeof(double)), 0) << expected[i].first;
    expect_same_bits(context.comm(), metrics);
  }
}

TEST(ClassificationMetrics, leave_out_dropped_rows_and_rows_of_weight_zero) {
  Context context;
  Job job{context, fixture::kBinaryTruth, fixture::kBinaryProbabilities, fixture::kBinaryPredicted,
          fixture::kWeight};
  const auto expected = job.metrics();
  // Wrong rows that do not count: one dropped (its class unknown), one of weight 0.
  for (const double weight : {5.0, 0.0}) {
    job.truth.push_back(weight == 0.0 ? 1 : -1);
    job.probabilities.insert(job.probabilities.end(), {0.9, 0.1});
    job.predicted.push_back(0);
    job.weights.push_back(weight);
  }
  job.dropped.assign(job.truth.size(), 0);
  job.dropped[job.truth.size() - 2] = 1;
  const auto metrics = job.metrics();
  for (std::size_t i = 0; i < expected.size(); ++i)
    EXPECT_EQ(metrics[i].second, expected[i].second) << expected[i].first;
}

TEST(ClassificationMetrics, one_class_and_no_rows) {
  Context context;
  Job job{context, {0, 0, 0}, {.9, .1, .8, .2, .7, .3}, {0, 0, 0}, {}};
  auto metrics = job.metrics();
  EXPECT_EQ(figure(metrics, "accuracy"), 1.0);
  EXPECT_EQ(figure(metrics, "f1"), 1.0);
  for (const char* name : {"area_under_roc", "area_under_pr", "f1_positive"})
    EXPECT_TRUE(std::isnan(figure(metrics, name))) << name;
  metrics = Job{context, {}, {}, {}, {}}.metrics();
  for (const auto& [name, value] : metrics) EXPECT_TRUE(std::isnan(value)) << name;
}

TEST(ClassificationMetrics, log_loss_of_certain_predictions_is_finite) {
  Context context;
  const Job job{context, {0, 1}, {0.0, 1.0, 0.0, 1.0}, {1, 1}, {}};
  EXPECT_NEAR(figure(job.metrics(), "log_loss"), -std::log(1e-15) / 2, 1e-13);
}

TEST(RegressionMetrics, agree_with_scikit_learn_however_rows_are_dealt) {
  Context context;
  const auto rows = static_cast<Index>(fixture::kRegressionTruth.size());
  const auto metrics_of = [&](Index begin, Index end, bool weighted) {
    const auto part = [&](const auto& all) {
      return std::span(all).subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin));
    };
    RegressionRows own{part(fixture::kRegressionTruth), part(fixture::kRegressionPrediction)};
    if (weighted) own.weights = part(fixture::kWeight);
    return regression_metrics(context, own);
  };
  const Index rank = context.rank();
  const Index ranks = context.size();
  for (const bool weighted : {false, true}) {
    const auto even = metrics_of(rows * rank / ranks, rows * (rank + 1) / ranks, weighted);
    const auto first = metrics_of(rank == 0 ? 0 : rows, rows, weighted);
    expect_figures(even, weighted ? fixture::kRegressionWeighted : fixture::kRegressionPlain);
    for (std::size_t i = 0; i < even.size(); ++i)
      EXPECT_EQ(std::memcmp(&even[i].second, &first[i].second, sizeof(double)), 0) << even[i].first;
    expect_same_bits(context.comm(), even);
  }
}

TEST(RegressionMetrics, undefined_figures_are_nan) {
  Context context;
  auto metrics = regression_metrics(context, {});
  for (const auto& [name, value] : metrics) EXPECT_TRUE(std::isnan(value)) << name;
  const std::vector<double> constant{2, 2};
  const std::vector<double> prediction{1, 3};
  metrics = regression_metrics(context, {constant, prediction});
  EXPECT_EQ(figure(metrics, "mse"), 1.0);
  EXPECT_TRUE(std::isnan(figure(metrics, "r2")));
  // A row of weight 0 may hold anything.
  const std::vector<double> unknown{1, std::nan("")};
  const std::vector<double> weights{1, 0};
  EXPECT_EQ(figure(regression_metrics(context, {constant, unknown, weights}), "mae"), 1.0);
}

}  // namespace
}  // namespace firesteel
