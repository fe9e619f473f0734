// SPDX-License-Identifier: Apache-2.0
#include "conformance_data.hpp"

#include <algorithm>

#include "firesteel/core/philox.hpp"

namespace firesteel::conformance {

namespace {

constexpr std::uint64_t kSeed = 20240517;
constexpr Index kColumns = 5;
constexpr Index kUsers = 37;
constexpr Index kItems = 23;

double uniform(std::uint64_t purpose, Index counter) {
  return philox_uniform(kSeed, purpose, static_cast<std::uint64_t>(counter));
}

Index cluster_of(Index row) { return static_cast<Index>(uniform(1, row) * 3); }

/// Coordinate j of a row: its cluster's centre plus noise; every seventh value is zero, so that sparse data
/// are sparse.
double coordinate(Index row, Index column) {
  if ((row + column) % 7 == 0) return 0.0;
  const double centre = static_cast<double>((cluster_of(row) + column) % 3) * 2.0;
  return centre + 2.5 * (uniform(2 + static_cast<std::uint64_t>(column), row) - 0.5);
}

struct Slice {
  Index first;
  Index end;
};
Slice slice_of(const Context& context, Index rows) {
  return {rows * context.rank() / context.size(), rows * (context.rank() + 1) / context.size()};
}

RowBlocks dense_rows(const Context& context, Index rows, bool single_precision) {
  const Slice slice = slice_of(context, rows);
  std::vector<double> values;
  std::vector<std::int64_t> labels;
  std::vector<double> weights;
  for (Index row = slice.first; row < slice.end; ++row) {
    for (Index column = 0; column < kColumns; ++column) values.push_back(coordinate(row, column));
    labels.push_back(cluster_of(row) == 0 ? 1 : 0);
    weights.push_back(1.0 + static_cast<double>(row % 3));
  }
  return pack_rows(context, {.values = values, .columns = kColumns, .labels = labels, .weights = weights},
                   single_precision);
}

template <class Scalar>
RowBlocks sparse_rows(const Context& context, Index rows) {
  RowBlocks blocks = dense_rows(context, rows, false);
  const auto& tiles = std::get<DenseTiles<double>>(blocks.features);
  SparseRows<Scalar> sparse;
  sparse.columns_count = kColumns;
  for (Index row = 0; row < tiles.local_rows(); ++row) {
    for (Index column = 0; column < kColumns; ++column) {
      if (tiles.at(row, column) == 0.0) continue;
      sparse.indices.push_back(static_cast<std::int32_t>(column));
      sparse.values.push_back(static_cast<Scalar>(tiles.at(row, column)));
    }
    sparse.row_begin.push_back(static_cast<Index>(sparse.indices.size()));
  }
  blocks.features = std::move(sparse);
  return blocks;
}

Ratings make_ratings(const Context& context, Index rows) {
  const Slice slice = slice_of(context, rows);
  Ratings ratings{.context = context, .rows = rows, .first_row = slice.first, .has_ratings = true};
  std::vector<std::int64_t> users;
  std::vector<std::int64_t> items;
  for (Index row = slice.first; row < slice.end; ++row) {
    users.push_back(100 + static_cast<Index>(uniform(21, row) * kUsers));
    items.push_back(static_cast<Index>(uniform(22, row) * uniform(22, row) * kItems));
    ratings.ratings.push_back(1.0 + static_cast<double>(static_cast<Index>(uniform(23, row) * 9)) * 0.5);
  }
  ratings.users = std::move(users);
  ratings.items = std::move(items);
  return ratings;
}

}  // namespace

LearnerData make_data(const Context& context, Task task, Index rows, Storage storage) {
  if (task == Task::recommendation) {
    Ratings ratings = make_ratings(context, rows);
    ratings.single_precision = storage == Storage::dense_single || storage == Storage::sparse_single;
    return ratings;
  }
  if (storage == Storage::sparse) return sparse_rows<double>(context, rows);
  if (storage == Storage::sparse_single) return sparse_rows<float>(context, rows);
  return dense_rows(context, rows, storage == Storage::dense_single);
}

RowBlocks make_degenerate_rows(const Context& context, Index rows) {
  const Slice slice = slice_of(context, rows);
  std::vector<double> values;
  std::vector<std::int64_t> labels;
  for (Index row = slice.first; row < slice.end; ++row) {
    const Index original = row / 2;
    values.insert(values.end(), {3.5, coordinate(original, 1), coordinate(original, 2)});
    labels.push_back(original % 3 == 0 ? 1 : 0);
  }
  return pack_rows(context, {.values = values, .columns = 3, .labels = labels});
}

}  // namespace firesteel::conformance
