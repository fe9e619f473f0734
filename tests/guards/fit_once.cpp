// SPDX-License-Identifier: Apache-2.0
// One job for tests/guards/instructions.py to count: a fit or a reading of fixed size on one thread.
// Run: fit_once
// kmeans_double|kmeans_single|kmeans_settling|logistic_double|logistic_single|logistic_sparse|als
//      fit_once csv|libsvm FILE
#include <cmath>
#include <cstdio>
#include <memory>
#include <string>

#include "firesteel/algorithms/als.hpp"
#include "firesteel/algorithms/kmeans.hpp"
#include "firesteel/algorithms/logistic_regression.hpp"
#include "firesteel/core/philox.hpp"
#include "firesteel/io/read_options.hpp"

namespace {

using namespace firesteel;

constexpr Index kRows = 8192;
constexpr Index kColumns = 32;

double uniform(std::uint64_t purpose, Index i) {
  return philox_uniform(purpose, 0, static_cast<std::uint64_t>(i));
}

RowBlocks make_rows(const Context& context, bool single) {
  std::vector<double> values;
  std::vector<double> labels;
  for (Index i = 0; i < kRows * kColumns; ++i) values.push_back(uniform(1, i) - 0.5);
  for (Index row = 0; row < kRows; ++row)
    labels.push_back(values[static_cast<std::size_t>(row * kColumns)] + 0.5 * uniform(2, row) > 0.25 ? 1 : 0);
  return pack_rows(context, {.values = values, .columns = kColumns, .labels = labels}, single);
}

/// Half of the values left out.
RowBlocks make_sparse_rows(const Context& context) {
  RowBlocks result = make_rows(context, false);
  const auto& tiles = std::get<DenseTiles<double>>(result.features);
  SparseRows<double> rows;
  rows.columns_count = kColumns;
  for (Index row = 0; row < kRows; ++row) {
    for (Index j = row % 2; j < kColumns; j += 2) {
      rows.indices.push_back(static_cast<std::int32_t>(j));
      rows.values.push_back(tiles.at(row, j));
    }
    rows.row_begin.push_back(static_cast<Index>(rows.values.size()));
  }
  result.features = std::move(rows);
  return result;
}

/// Around 32 places, which the first rows find: labels settle within a few iterations.
RowBlocks make_clusters(const Context& context) {
  std::vector<double> values;
  for (Index i = 0; i < kRows * kColumns; ++i)
    values.push_back(4 * uniform(4, i / kColumns % 32 * kColumns + i % kColumns) + uniform(1, i));
  return pack_rows(context, {.values = values, .columns = kColumns}, true);
}

Index settle(const Context& context) {
  const RowBlocks rows = make_clusters(context);
  KMeans learner{.max_iter = 12, .tol = 0};
  learner.init = {32, kColumns, {}};
  for (Index i = 0; i < 32 * kColumns; ++i)
    learner.init.values.push_back(4 * uniform(4, i) + 2 * uniform(5, i));
  return learner.fit(rows).summary.iterations;
}

Ratings make_ratings(const Context& context) {
  const Index rows = 40'000;
  Ratings data{.context = context, .rows = rows, .has_ratings = true};
  std::vector<std::int64_t> users;
  std::vector<std::int64_t> items;
  for (Index r = 0; r < rows; ++r) {
    users.push_back(static_cast<Index>(uniform(1, r) * 800));
    items.push_back(static_cast<Index>(uniform(2, r) * 400));
    data.ratings.push_back(1 + std::floor(5 * uniform(3, r)));
  }
  data.users = std::move(users);
  data.items = std::move(items);
  return data;
}

Index run(const Context& context, const std::string& what, const char* file) {
  if (what == "kmeans_settling") return settle(context);
  if (what.starts_with("kmeans"))
    return KMeans{.k = 32, .max_iter = 4, .tol = 0, .init_mode = "random"}
        .fit(make_rows(context, what.ends_with("single")))
        .summary.iterations;
  if (what.starts_with("logistic")) {
    const LogisticRegression learner{.reg_param = 1e-3, .max_iter = 4, .tol = 0, .solver = "lbfgs"};
    const bool sparse = what.ends_with("sparse");
    return learner.fit(sparse ? make_sparse_rows(context) : make_rows(context, what.ends_with("single")))
        .summary.iterations;
  }
  if (what == "als") return Als{.rank = 32, .max_iter = 2}.fit(make_ratings(context)).summary.iterations;
  if ((what != "csv" && what != "libsvm") || file == nullptr) return -1;
  ReadOptions options;
  options.inputs = {file};
  return read_rows(context, options).rows.rows_used;
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc < 2) return 64;
  const Context context({.threads = 1});
  const Index done = run(context, argv[1], argc > 2 ? argv[2] : nullptr);
  std::printf("%lld\n", static_cast<long long>(done));
  return done < 0 ? 64 : 0;
} catch (const Error& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return static_cast<int>(error.code());
}
