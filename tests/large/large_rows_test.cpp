// SPDX-License-Identifier: Apache-2.0
// More than 2³¹ values, non-zeros and rows, with answers known in closed form.
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "firesteel/algorithms/kmeans.hpp"
#include "firesteel/core/dataset.hpp"
#include "firesteel/core/memory.hpp"
#include "firesteel/core/parallel.hpp"

namespace firesteel {
namespace {

constexpr Index kInt32 = std::numeric_limits<std::int32_t>::max();

TEST(LargeRows, dataset_of_more_than_2_to_the_32_rows) {
  const Context context({.threads = 2});
  constexpr Index kRows = 4'400'000'000;
  const auto rows = Dataset<Index>::range(context, kRows);
  EXPECT_EQ(rows.filter([](Index i) { return i % 1'000 == 7; }).count(), kRows / 1'000);
  const auto last_digits = [](Index& sum, Index i) { sum += i % 8; };
  EXPECT_EQ(rows.aggregate(Index{0}, last_digits, [](Index& sum, Index other) { sum += other; }),
            kRows / 8 * 28);
  EXPECT_EQ(rows.reduce([](Index a, Index b) { return std::max(a, b); }), kRows - 1);
}

/// Two clusters, of even and of odd rows: each row is its centre plus or minus `deviation` in every value
/// that is not 0, the sign by the row's next bit, so that centres and cost are exact.
void expect_two_clusters(const RowBlocks& data, const Matrix& init, Index values_a_row, double deviation,
                         double (*centre)(Index cluster, Index column)) {
  const Index rows = data.partition.rows();
  ASSERT_GT(rows * values_a_row, kInt32);
  ASSERT_EQ(rows % 4, 0);
  const auto model = KMeans{.k = 2, .max_iter = 2, .tol = 0, .init = init}.fit(data);
  EXPECT_EQ(model.cluster_sizes, (std::vector<std::int64_t>{rows / 2, rows / 2}));
  Index wrong = 0;
  for (Index cluster = 0; cluster < 2; ++cluster)
    for (Index j = 0; j < data.columns(); ++j)
      if (model.cluster_centers.values[static_cast<std::size_t>(cluster * data.columns() + j)] !=
          centre(cluster, j))
        ++wrong;
  EXPECT_EQ(wrong, 0);
  const double cost = static_cast<double>(rows * values_a_row) * deviation * deviation;
  EXPECT_NEAR(model.training_cost / cost, 1, 1e-12);
}

double dense_centre(Index cluster, Index column) { return static_cast<double>(8 * cluster + column % 5); }

TEST(LargeRows, dense_rows_times_columns) {
  const Context context({.threads = 2});
  ASSERT_GE(context.comm().broadcast_value(available_memory(), 0), Index{10} << 30) << "too little memory";
  constexpr Index kColumns = 1024;
  constexpr Index kRows = (Index{1} << 21) + 4096;
  RowBlocks data{.context = context};
  data.partition =
      BlockPartition::even(kRows, choose_block_rows(kColumns, sizeof(float), false), context.size());
  data.rows_used = kRows;
  const Index first = data.partition.first_row(context.rank());
  DenseTiles<float> tiles(data.local_rows(), kColumns);
  parallel_for(context.threads(), tiles.tiles(), [&](Index t, int) {
    const Index count = std::min(kTileRows, data.local_rows() - t * kTileRows);
    for (Index j = 0; j < kColumns; ++j)
      for (Index r = 0; r < count; ++r) {
        const Index row = first + t * kTileRows + r;
        tiles.tile(t)[j * kTileRows + r] =
            static_cast<float>(dense_centre(row % 2, j) + (row / 2 % 2 == 0 ? -0.25 : 0.25));
      }
  });
  data.features = std::move(tiles);
  Matrix init{2, kColumns, std::vector<double>(2 * kColumns, 0.0)};
  std::fill(init.values.begin() + kColumns, init.values.end(), 6.0);
  expect_two_clusters(data, init, kColumns, 0.25, dense_centre);
}

double sparse_centre(Index cluster, Index column) { return column % 2 == cluster ? 1.5 : 0.0; }

TEST(LargeRows, sparse_non_zeros) {
  const Context context({.threads = 2});
  ASSERT_GE(context.comm().broadcast_value(available_memory(), 0), Index{19} << 30) << "too little memory";
  constexpr Index kColumns = 1 << 16;  // a row has those of its cluster, every other one
  constexpr Index kRows = kColumns + 4;
  RowBlocks data{.context = context};
  data.partition =
      BlockPartition::even(kRows, choose_block_rows(kColumns, sizeof(float), true), context.size());
  data.rows_used = kRows;
  const Index first = data.partition.first_row(context.rank());
  SparseRows<float> sparse;
  sparse.columns_count = kColumns;
  const auto non_zeros = static_cast<std::size_t>(data.local_rows() * kColumns / 2);
  sparse.indices.reserve(non_zeros);
  sparse.values.reserve(non_zeros);
  for (Index row = first; row < first + data.local_rows(); ++row) {
    for (Index j = row % 2; j < kColumns; j += 2) sparse.indices.push_back(static_cast<std::int32_t>(j));
    sparse.values.resize(sparse.indices.size(), row / 2 % 2 == 0 ? 1.25F : 1.75F);
    sparse.row_begin.push_back(static_cast<Index>(sparse.indices.size()));
  }
  data.features = std::move(sparse);
  Matrix init{2, kColumns, std::vector<double>(2 * kColumns, 0.0)};
  for (Index j = 0; j < kColumns; ++j) init.values[static_cast<std::size_t>(j % 2 * kColumns + j)] = 1;
  expect_two_clusters(data, init, kColumns / 2, 0.25, sparse_centre);
}

}  // namespace
}  // namespace firesteel
