// SPDX-License-Identifier: Apache-2.0
// k-means: the same bytes for any ranks, threads and instruction set; extreme numbers; metrics.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "firesteel/algorithms/kmeans_metrics.hpp"
#include "firesteel/tests/algorithms/kmeans_data.hpp"
#include "firesteel/tests/reference/kmeans.hpp"
#include "firesteel/tests/reference/kmeans_fixture.hpp"

namespace firesteel {
namespace {

using test::dense;
using test::digest;
using test::first_rows;
using test::scattered;
using test::sparse;

class KMeansOneAnswer : public testing::Test {
 protected:
  KMeansOneAnswer() { test::use_small_blocks(); }
};

/// Values of all sizes: the order of a plain sum would show.
std::vector<double> uneven(Index rows, Index columns) {
  auto values = scattered(rows, columns, 7, 21);
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = (values[i] + philox_uniform(4, 4, i)) * (i % 11 == 0 ? 1e5 : 1e-3);
  return values;
}

/// Weights over about `spread` decimal places, every 13th of them 0.
std::vector<double> uneven_weights(Index rows, double spread) {
  std::vector<double> weights;
  for (Index r = 0; r < rows; ++r) {
    const double u = philox_uniform(5, 5, static_cast<std::uint64_t>(r));
    const double weight = std::ldexp(1 + u, static_cast<int>(spread * 10 / 3 * (u - 0.5)));
    weights.push_back(r % 13 == 0 ? 0.0 : weight);
  }
  return weights;
}

struct Case {
  std::string name;
  KMeans learner;
  std::vector<double> weights;
  int kind = 0;  ///< 0 dense, 1 dense single, 2 sparse, 3 sparse single
};

RowBlocks pack(const Context& context, const std::vector<double>& x, Index columns, const Case& c) {
  switch (c.kind) {
    case 0:
      return dense(context, x, columns, c.weights);
    case 1:
      return dense(context, x, columns, c.weights, true);
    case 2:
      return sparse(context, x, columns, c.weights);
    default:
      return sparse<float>(context, x, columns, c.weights);
  }
}

constexpr Index kRows = 500;
constexpr Index kColumns = 9;

std::vector<Case> cases() {
  KMeans parallel{.k = 13, .max_iter = 5, .seed = 5};
  KMeans random{.k = 5, .max_iter = 3, .init_mode = "random", .seed = 6};
  KMeans cosine{.k = 4, .max_iter = 3, .distance_measure = "cosine", .seed = 7};
  KMeans wide{.k = 6, .max_iter = 3, .seed = 8};
  std::vector<Case> all;
  for (int kind = 0; kind < 4; ++kind) {
    all.push_back(Case{"parallel", parallel, {}, kind});
    all.push_back(Case{"random", random, uneven_weights(kRows, 4), kind});
    all.push_back(Case{"cosine", cosine, uneven_weights(kRows, 2), kind});
    all.push_back(Case{"wide weights", wide, uneven_weights(kRows, 24), kind});
  }
  return all;
}

TEST_F(KMeansOneAnswer, is_the_same_bytes_for_any_ranks_and_threads) {
  const auto x = uneven(kRows, kColumns);
  const Context alone(MPI_COMM_SELF, {.threads = 1});
  for (const auto& c : cases()) {
    const auto expected = digest(c.learner.fit(pack(alone, x, kColumns, c)));
    for (const int threads : {1, 2, 4}) {
      if (threads != 2 && (c.kind != 0 || c.name != "parallel")) continue;
      const Context world({.threads = threads});
      const auto data = pack(world, x, kColumns, c);
      const auto model = c.learner.fit(data);
      EXPECT_EQ(digest(model), expected) << c.name << " kind " << c.kind << " threads " << threads;
      if (threads != 2 || c.kind % 2 != 0) continue;
      EXPECT_EQ(model.evaluate(data), model.evaluate(pack(alone, x, kColumns, c))) << c.name;
    }
  }
}

TEST_F(KMeansOneAnswer, holds_where_most_ranks_have_no_rows) {
  const Context alone(MPI_COMM_SELF, {.threads = 1});
  const Context world({.threads = 2});
  for (const Index rows : {20, 40}) {
    const auto x = uneven(rows, kColumns);
    // A rank without rows does not know that the others have weights, and how small these are.
    for (const double weight : {1.0, 0.1, 1e-300, 5e-324})
      for (int kind = 0; kind < 4; ++kind) {
        const Case c{"", KMeans{.k = 3, .seed = 1},
                     std::vector<double>(static_cast<std::size_t>(rows), weight), kind};
        EXPECT_EQ(digest(c.learner.fit(pack(world, x, kColumns, c))),
                  digest(c.learner.fit(pack(alone, x, kColumns, c))))
            << rows << " rows of weight " << weight << ", kind " << kind;
      }
    const KMeans learner{.k = 3, .seed = 1};
    EXPECT_EQ(digest(learner.fit(dense(world, x, kColumns))), digest(learner.fit(dense(alone, x, kColumns))));
  }
}

TEST_F(KMeansOneAnswer, is_the_same_bytes_for_every_instruction_set) {
  // Run once with each: the digests of both are stored here.
  const std::vector<std::string> expected{
      "cb54a5c33cd45de4", "7a5c34ec924cec6b", "07d1cbaa0a515ea7", "c321cfea48113516",
      "94fdb0fc4d5b27b7", "f6863556010d14d1", "9dd433f2c67b8f99", "ee98fe4aa81bf645",
      "8e8d4e72cab71e20", "cad319d531e34764", "4d339b55f48e1e38", "76b40df4676d77e5",
      "417ac97b196899ef", "6ef5a54334b94010", "7ac5fc560c29dbbb", "ee98fe4aa81bf645"};
  const auto x = uneven(kRows, kColumns);
  const Context alone(MPI_COMM_SELF, {.threads = 1});
  std::vector<std::string> found;
  for (const auto& c : cases())
    found.push_back(digest(c.learner.fit(pack(alone, x, kColumns, c))).substr(0, 16));
  EXPECT_EQ(found, expected);
}

TEST_F(KMeansOneAnswer, numbers_of_any_size_keep_their_precision) {
  const auto x = scattered(300, 3, 5, 9);
  const auto init = first_rows(x, 3, {0, 10, 20, 30, 40});
  Context context;
  const auto plain = KMeans{.tol = 0, .init = init}.fit(dense(context, x, 3));
  std::vector<double> weights(300, 1.0);
  weights[299] = 1e-30;
  const auto by_weight = reference::lloyd(x, weights, init.values, 3, 20);
  for (const int exponent : {-900, -500, -60, 60, 450}) {
    auto scaled = x;
    auto start = init;
    for (double& value : scaled) value = std::ldexp(value, exponent);
    for (double& value : start.values) value = std::ldexp(value, exponent);
    const auto model = KMeans{.tol = 0, .init = start}.fit(dense(context, scaled, 3));
    EXPECT_EQ(model.cluster_sizes, plain.cluster_sizes);
    // Weights that span more than 2^60 send the sums through the tree.
    const auto summed = KMeans{.tol = 0, .init = start}.fit(dense(context, scaled, 3, weights));
    for (std::size_t i = 0; i < 15; ++i) {
      EXPECT_EQ(std::ldexp(model.cluster_centers.values[i], -exponent), plain.cluster_centers.values[i]);
      EXPECT_NEAR(std::ldexp(summed.cluster_centers.values[i], -exponent), by_weight[i], 1e-13);
    }
  }
  auto huge = x;
  for (double& value : huge) value = std::ldexp(value, 1000);
  const KMeans learner{.k = 3};
  EXPECT_THROW(learner.fit(dense(context, huge, 3)), Error);  // its cost is not a finite number
}

TEST_F(KMeansOneAnswer, an_outlier_does_not_hurt_the_means_of_small_numbers) {
  // A plain fixed point of one limb is off by 5e-6 here.
  std::vector<double> x;
  for (int r = 0; r < 1000; ++r) x.push_back(1e-6 * (1 + r % 7));
  x.push_back(1e6);
  Context context;
  const KMeans learner{.init = first_rows({0, 1e6}, 1, {0, 1})};
  const auto model = learner.fit(dense(context, x, 1));
  long double sum = 0;
  for (int r = 0; r < 1000; ++r) sum += x[static_cast<std::size_t>(r)];
  EXPECT_NEAR(model.cluster_centers.values[0], static_cast<double>(sum / 1000), 1e-6 * 1e-9);
  EXPECT_EQ(model.cluster_centers.values[1], 1e6);
}

TEST_F(KMeansOneAnswer, weights_from_1e_minus_12_to_1e12) {
  const auto x = uneven(200, 2);
  const auto weights = uneven_weights(200, 24);
  const auto init = first_rows(x, 2, {1, 7, 30});
  const auto expected = reference::lloyd(x, weights, init.values, 2, 20);
  Context context;
  const auto model = KMeans{.tol = 0, .init = init}.fit(dense(context, x, 2, weights));
  for (std::size_t i = 0; i < expected.size(); ++i)
    EXPECT_NEAR(model.cluster_centers.values[i], expected[i], 1e-14 * std::abs(expected[i]));
}

TEST_F(KMeansOneAnswer, an_offset_far_from_zero_changes_no_label_in_either_precision) {
  auto x = scattered(400, 4, 6, 3);
  for (double& value : x) value += 1 << 18;  // halves beside 2^18 still fit a float
  const auto init = first_rows(x, 4, {0, 9, 18, 27, 36, 45});
  const auto expected = reference::lloyd(x, {}, init.values, 4, 8);
  Context context;
  for (const bool single : {false, true}) {
    const auto model = KMeans{.max_iter = 8, .tol = 0, .init = init}.fit(dense(context, x, 4, {}, single));
    for (std::size_t i = 0; i < expected.size(); ++i)
      EXPECT_NEAR(model.cluster_centers.values[i], expected[i], 1e-9);
  }
}

TEST_F(KMeansOneAnswer, silhouette_equals_its_definition_weighted) {
  const auto x = scattered(150, 3, 4, 2);
  const auto weights = uneven_weights(150, 2);
  Context context;
  for (const auto& data : {dense(context, x, 3, weights), sparse(context, x, 3, weights)}) {
    const auto model = KMeans{.init = first_rows(x, 3, {0, 5, 9, 14})}.fit(data);
    const auto metrics = model.evaluate(data);
    EXPECT_EQ(metrics[0].first, "training_cost");
    EXPECT_EQ(metrics[0].second, model.training_cost);
    EXPECT_NEAR(metrics[1].second, reference::silhouette(x, weights, model.cluster_centers.values, 3), 1e-12);
  }
  const KMeans single_cluster{.k = 1};
  const auto one = single_cluster.fit(dense(context, x, 3));
  EXPECT_TRUE(std::isnan(one.evaluate(dense(context, x, 3))[1].second));
}

/// The silhouettes that MLlib's ClusteringEvaluatorSuite states for iris with its species as clusters. That
/// suite reads the rows as UCI distributes them, two of which the data set at hand has corrected.
TEST_F(KMeansOneAnswer, silhouette_of_the_iris_species_is_the_published_one) {
  auto values = reference::kIris;
  const std::vector<double> as_distributed{4.9, 3.1, 1.5, 0.1};
  for (const std::ptrdiff_t row : {34, 37})
    std::copy(as_distributed.begin(), as_distributed.end(), values.begin() + row * 4);
  const Context context;
  for (const auto& data : {dense(context, values, 4), sparse(context, values, 4)}) {
    for (const bool cosine : {false, true}) {
      const auto points = detail::KMeansPoints::make(data, cosine);
      detail::Assignment species;
      for (Index r = 0; r < points->local_rows(); ++r)
        species.labels.push_back(static_cast<std::int32_t>((points->first_row() + r) / 50));
      const double published = cosine ? 0.7222369298 : 0.6564679231;
      EXPECT_NEAR(detail::silhouette(*points, species, 3), published, 1e-10);  // as many digits as are stated
    }
  }
}

}  // namespace
}  // namespace firesteel
