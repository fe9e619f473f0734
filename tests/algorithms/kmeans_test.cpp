// SPDX-License-Identifier: Apache-2.0
#include "firesteel/algorithms/kmeans.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "firesteel/tests/algorithms/kmeans_data.hpp"
#include "firesteel/tests/reference/kmeans.hpp"
#include "firesteel/tests/reference/kmeans_fixture.hpp"

namespace firesteel {
namespace {

using test::dense;
using test::digest;
using test::distances_of;
using test::first_rows;
using test::labels_of;
using test::scattered;
using test::sparse;

class KMeansTest : public testing::Test {
 protected:
  KMeansTest() { test::use_small_blocks(); }
};

void expect_near(const std::vector<double>& found, const std::vector<double>& expected, double relative) {
  ASSERT_EQ(found.size(), expected.size());
  for (std::size_t i = 0; i < found.size(); ++i)
    EXPECT_NEAR(found[i], expected[i], relative * std::max(1e-300, std::abs(expected[i]))) << "at " << i;
}

template <class F>
Error error_of(F&& f) {
  try {
    f();
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << "did not throw";
  return {ErrorCode::internal, ""};
}

std::vector<double> iris_weights() {
  std::vector<double> weights;
  for (int r = 0; r < 150; ++r) weights.push_back(0.25 + r % 7);
  return weights;
}

TEST_F(KMeansTest, has_the_labels_and_centres_of_scikit_learn) {
  using namespace reference;
  struct Case {
    const std::vector<double>& x;
    Index columns;
    const std::vector<int>& start;
    const std::vector<int>& labels;
    const std::vector<double>& centres;
    double inertia;
    std::vector<double> weights;
  };
  const Case cases[] = {
      {kIris, 4, kIris3Start, kIris3Labels, kIris3Centres, kIris3Inertia, {}},
      {kIris, 4, kIris8Start, kIris8Labels, kIris8Centres, kIris8Inertia, {}},
      {kIris, 4, kWeightedStart, kWeightedLabels, kWeightedCentres, kWeightedInertia, iris_weights()},
      {kDigits, 64, kDigits10Start, kDigits10Labels, kDigits10Centres, kDigits10Inertia, {}},
  };
  Context context;
  for (const auto& c : cases) {
    const auto data = dense(context, c.x, c.columns, c.weights);
    const auto model =
        KMeans{.max_iter = 300, .tol = 0, .init = first_rows(c.x, c.columns, c.start)}.fit(data);
    EXPECT_EQ(labels_of(model, data), std::vector<std::int64_t>(c.labels.begin(), c.labels.end()));
    ASSERT_EQ(model.cluster_centers.values.size(), c.centres.size());
    for (std::size_t i = 0; i < c.centres.size();
         ++i)  // scikit-learn's own sums round: 1e-13 of the range 16
      EXPECT_NEAR(model.cluster_centers.values[i], c.centres[i], 2e-12);
    EXPECT_NEAR(model.training_cost, c.inertia, 1e-12 * c.inertia);
    EXPECT_TRUE(model.summary.converged.value());
  }
}

TEST_F(KMeansTest, single_precision_and_sparse_rows_reach_the_same_centres) {
  using namespace reference;
  Context context;
  const KMeans learner{.max_iter = 300, .tol = 0, .init = first_rows(kDigits, 64, kDigits10Start)};
  const auto expected = std::vector<std::int64_t>(kDigits10Labels.begin(), kDigits10Labels.end());
  const auto exact = learner.fit(dense(context, kDigits, 64));  // digits are whole numbers: floats hold them
  for (const auto& data : {dense(context, kDigits, 64, {}, true), sparse(context, kDigits, 64),
                           sparse<float>(context, kDigits, 64)}) {
    const auto model = learner.fit(data);
    EXPECT_EQ(labels_of(model, data), expected);
    expect_near(model.cluster_centers.values, exact.cluster_centers.values, 1e-15);
    EXPECT_NEAR(model.training_cost, exact.training_cost, 1e-12 * exact.training_cost);
    expect_near(distances_of(model, data), distances_of(exact, dense(context, kDigits, 64)), 1e-12);
  }
}

TEST_F(KMeansTest, gives_the_published_weighted_centres_to_one_ulp) {
  const std::vector<double> x{0, 0, 0, 0.1, 0.1, 0, 9, 0, 9, 0.2, 9.2, 0};
  const std::vector<double> weights{1, 2, 3, 2.5, 1, 2};
  const std::vector<double> expected{0.05, 0.03333333333333333, 9.072727272727272, 0.03636363636363637};
  Context context;
  const auto model = KMeans{.init = first_rows(x, 2, {0, 3})}.fit(dense(context, x, 2, weights));
  for (std::size_t i = 0; i < 4; ++i)
    EXPECT_LE(std::abs(model.cluster_centers.values[i] - expected[i]),
              std::nextafter(expected[i], 100) - expected[i]);
}

TEST_F(KMeansTest, equals_plain_loops_on_data_full_of_ties) {
  Context context;
  for (const Index k : {1, 2, 3, 5, 7, 8, 11, 12, 13, 25, 64}) {
    const auto x = scattered(500, 5, 9, 7 + static_cast<std::uint64_t>(k));
    std::vector<double> weights(500);
    for (std::size_t r = 0; r < weights.size(); ++r) weights[r] = static_cast<double>(r % 4);
    std::vector<int> start;
    for (int c = 0; c < k; ++c) start.push_back(c * 3 + 1);
    const auto init = first_rows(x, 5, start);
    const auto expected = reference::lloyd(x, weights, init.values, 5, 10);
    for (const bool single : {false, true}) {
      const auto data = dense(context, x, 5, weights, single);
      const auto model = KMeans{.max_iter = 10, .tol = 0, .init = init}.fit(data);
      expect_near(model.cluster_centers.values, expected, 2e-15);
      EXPECT_NEAR(model.training_cost, reference::cost(x, weights, expected, 5), 1e-13 * model.training_cost);
      EXPECT_NEAR(model.summary.objective_history.front(), reference::cost(x, weights, init.values, 5),
                  1e-11 * model.summary.objective_history.front());
      for (std::size_t i = 1; i < model.summary.objective_history.size(); ++i)
        EXPECT_LE(model.summary.objective_history[i], model.summary.objective_history[i - 1] * (1 + 1e-12));
    }
  }
}

TEST_F(KMeansTest, a_tie_goes_to_the_lowest_index_also_where_the_mean_is_not_a_short_number) {
  // Every row lies exactly between two centres; repeated centres tie everywhere.
  std::vector<double> x;
  for (int r = 0; r < 100; ++r) x.push_back(r % 10 + 0.5);
  const Matrix centres{21, 1, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9}};
  Context context;
  for (const bool single : {false, true}) {
    const auto data = dense(context, x, 1, {}, single);
    KMeansModel model = KMeans{.max_iter = 0, .init = centres}.fit(data);
    const auto labels = labels_of(model, data);
    for (int r = 0; r < 100; ++r) EXPECT_EQ(labels[static_cast<std::size_t>(r)], r % 10);
    const auto sparse_labels = labels_of(model, sparse(context, x, 1));
    EXPECT_EQ(sparse_labels, labels);
  }
}

TEST_F(KMeansTest, a_cluster_without_rows_keeps_its_centre) {
  const std::vector<double> x{0, 1, 2, 3, 10, 11};
  Context context;
  const auto model = KMeans{.init = {3, 1, {1, 1000, 10}}}.fit(dense(context, x, 1));
  EXPECT_EQ(model.cluster_centers.values, (std::vector<double>{1.5, 1000, 10.5}));
  EXPECT_EQ(model.cluster_sizes, (std::vector<std::int64_t>{4, 0, 2}));
}

TEST_F(KMeansTest, rows_of_weight_zero_influence_nothing) {
  auto x = scattered(300, 3, 4, 5);
  std::vector<double> weights(300, 1.0);
  const auto without = std::vector<double>(x.begin(), x.begin() + 200 * 3);
  for (std::size_t r = 200; r < 300; ++r) {
    weights[r] = 0;
    x[3 * r] = 1e9 * static_cast<double>(r);
  }
  Context context;
  const KMeans learner{.k = 4, .seed = 3};
  const auto expected = learner.fit(dense(context, without, 3));
  const auto model = learner.fit(dense(context, x, 3, weights));
  EXPECT_EQ(model.cluster_centers.values, expected.cluster_centers.values);
  EXPECT_EQ(model.training_cost, expected.training_cost);
  EXPECT_EQ(model.cluster_sizes, expected.cluster_sizes);
}

TEST_F(KMeansTest, stops_by_the_movement_of_centres) {
  const auto x = scattered(400, 4, 6, 11);
  Context context;
  const auto data = dense(context, x, 4);
  const Matrix init = first_rows(x, 4, {0, 1, 2, 3, 4, 5});
  const auto limited = KMeans{.max_iter = 2, .tol = 0, .init = init}.fit(data);
  EXPECT_EQ(limited.summary.iterations, 2);
  EXPECT_FALSE(limited.summary.converged.value());
  EXPECT_EQ(limited.summary.stop_reason, "max_iter");
  const auto settled = KMeans{.max_iter = 100, .tol = 0, .init = init}.fit(data);
  EXPECT_TRUE(settled.summary.converged.value());
  EXPECT_EQ(settled.summary.stop_reason, "centres");
  EXPECT_EQ(settled.summary.objective_history.size(),
            static_cast<std::size_t>(settled.summary.iterations) + 1);
  const auto at_once = KMeans{.max_iter = 100, .tol = 1e6, .init = init}.fit(data);
  EXPECT_EQ(at_once.summary.iterations, 1);
}

TEST_F(KMeansTest, parallel_seeding_finds_the_best_known_clustering_of_iris) {
  Context context;
  const auto data = dense(context, reference::kIris, 4);
  int good = 0;
  double best = 1e9;
  for (std::uint64_t seed = 0; seed < 10; ++seed) {
    const auto model = KMeans{.k = 3, .max_iter = 100, .tol = 0, .seed = seed}.fit(data);
    EXPECT_LT(model.training_cost, 145.5);  // the poor local optima are at 142.7 … 145.3
    good += model.training_cost < 78.9 ? 1 : 0;
    best = std::min(best, model.training_cost);
  }
  EXPECT_GE(good, 7);
  EXPECT_NEAR(best, 78.851441426146, 1e-9);
}

TEST_F(KMeansTest, both_ways_of_seeding_choose_distinct_rows) {
  std::vector<double> x;
  for (int r = 0; r < 200; ++r) x.push_back(r % 20 < 13 ? 1 : r % 20);  // eight distinct values, one frequent
  Context context;
  const auto data = dense(context, x, 1);
  for (const std::string mode : {"random", "k-means||"}) {
    for (const Index k : {7, 8, 12}) {
      const auto model = KMeans{.k = k, .init_mode = mode, .seed = 2}.fit(data);
      const std::set<double> distinct(model.cluster_centers.values.begin(),
                                      model.cluster_centers.values.end());
      EXPECT_EQ(static_cast<Index>(distinct.size()), std::min<Index>(k, 8)) << mode;
      EXPECT_EQ(model.cluster_centers.rows, std::min<Index>(k, 8));
    }
  }
}

TEST_F(KMeansTest, cosine_distance_knows_directions_only) {
  // Two directions at very different lengths.
  std::vector<double> x;
  for (int r = 1; r <= 60; ++r) {
    const double length = std::ldexp(1.0, r % 20);
    x.insert(x.end(), {length * (r % 2 ? 1.0 : 0.1), length * (r % 2 ? 0.1 : 1.0), length * 0.01 * (r % 3)});
  }
  Context context;
  for (const auto& data : {dense(context, x, 3), sparse(context, x, 3)}) {
    const auto model = KMeans{.k = 2, .distance_measure = "cosine"}.fit(data);
    const auto labels = labels_of(model, data);
    const auto distances = distances_of(model, data);
    double cost = 0;
    for (std::size_t r = 0; r < 60; ++r) {
      EXPECT_EQ(labels[r] == labels[0], r % 2 == 0);
      const double* row = &x[3 * r];
      const double* centre = &model.cluster_centers.values[static_cast<std::size_t>(3 * labels[r])];
      double dot = 0;
      double square = 0;
      double centre_square = 0;
      for (int j = 0; j < 3; ++j) {
        dot += row[j] * centre[j];
        square += row[j] * row[j];
        centre_square += centre[j] * centre[j];
      }
      EXPECT_NEAR(centre_square, 1, 1e-15);
      EXPECT_NEAR(distances[r], 1 - dot / std::sqrt(square), 1e-15);
      cost += distances[r];
    }
    EXPECT_NEAR(model.training_cost, cost, 1e-15);
  }
}

TEST_F(KMeansTest, refuses_what_contradicts) {
  const auto x = scattered(40, 2, 3, 1);
  Context context;
  const auto data = dense(context, x, 2);
  EXPECT_EQ(error_of([&] { KMeans{.k = 41}.fit(data); }).code(), ErrorCode::bad_input);
  EXPECT_EQ(error_of([&] { KMeans{.k = 0}.fit(data); }).code(), ErrorCode::bad_parameter);
  EXPECT_EQ(error_of([&] {
              KMeans{.k = 2, .init = first_rows(x, 2, {0, 1, 2})}.fit(data);
            }).code(),
            ErrorCode::bad_parameter);
  EXPECT_EQ(error_of([&] {
              KMeans{.init = first_rows(x, 4, {0, 1})}.fit(data);
            }).code(),
            ErrorCode::bad_input);
  EXPECT_NO_THROW((KMeans{.k = 3, .init = first_rows(x, 2, {0, 1, 2})}.fit(data)));
  auto with_zero = x;
  with_zero[20] = with_zero[21] = 0;
  const auto error =
      error_of([&] { KMeans{.k = 2, .distance_measure = "cosine"}.fit(dense(context, with_zero, 2)); });
  EXPECT_EQ(error.code(), ErrorCode::bad_input);
  EXPECT_NE(std::string(error.what()).find("row 10 "), std::string::npos) << error.what();
  EXPECT_EQ(error_of([&] { KMeans{.k = 1}.fit(dense(context, x, 2, std::vector<double>(40, 0.0))); }).code(),
            ErrorCode::bad_input);
}

TEST_F(KMeansTest, k_asked_for_can_be_told_from_k_left_out) {
  KMeans learner{.init = {5, 1, {1, 2, 3, 4, 5}}};
  EXPECT_EQ(parameters_of(learner)[0].value, "5");
  EXPECT_FALSE(learner.k.has_value());
  EXPECT_TRUE(set_parameter(learner, "k", "2"));
  EXPECT_EQ(learner.k, 2);
  KMeans fresh;
  EXPECT_EQ(parameters_of(fresh)[0].value, "2");
}

TEST_F(KMeansTest, a_model_read_back_predicts_the_same) {
  const auto x = scattered(100, 3, 4, 1);
  Context context;
  const auto data = dense(context, x, 3);
  const auto* entry = find_learner("kmeans");
  ASSERT_NE(entry, nullptr);
  const auto learner = entry->make();
  set_parameter(*learner, "k", "4");
  const auto model = learner->fit(data);
  const Record record = model->to_record();
  const auto again = entry->load(record);
  EXPECT_EQ(again->to_record().sha256(), record.sha256());
  const auto damaged = [&](std::string_view name, const RecordValue& value) {
    Record changed;
    for (const auto& [key, old] : record.entries()) changed.set(key, key == name ? value : old);
    return changed;
  };
  EXPECT_THROW(entry->load(damaged("cluster_sizes", RecordArray<std::int64_t>{{1}, {5}})), Error);
  EXPECT_THROW(entry->load(damaged("distance_measure", std::string("manhattan"))), Error);
  EXPECT_THROW(entry->load(damaged("cluster_centers", RecordArray<double>{{0, 2}, {}})), Error);
  EXPECT_EQ(std::get<std::vector<double>>(again->predict(data).columns[1].values),
            std::get<std::vector<double>>(model->predict(data).columns[1].values));
}

}  // namespace
}  // namespace firesteel
