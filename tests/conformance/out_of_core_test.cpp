// SPDX-License-Identifier: Apache-2.0
// Learners on rows that lie in scratch: the bytes of model, predictions and metrics are those of rows in
// memory, at any number of ranks and threads.
#include <gtest/gtest.h>
#include <mpi.h>

#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "conformance_data.hpp"
#include "firesteel/core/philox.hpp"
#include "firesteel/core/rating_chunks.hpp"
#include "firesteel/core/sparse_rows_builder.hpp"

namespace firesteel {
namespace {

using conformance::make_data;
using conformance::Storage;

constexpr Index kRows = 3000;  // 94 blocks of 32

/// A context whose pool has room for `bytes`.
Context context_with(MPI_Comm comm, int threads, const char* bytes) {
  setenv("FIRESTEEL_POOL_BYTES", bytes, 1);
  Context context(comm, {.threads = threads});
  unsetenv("FIRESTEEL_POOL_BYTES");
  return context;
}

template <class Scalar>
DenseTiles<Scalar> moved(const Context& context, const DenseTiles<Scalar>& tiles) {
  DenseTiles<Scalar> out(context, tiles.local_rows(), tiles.columns(), 32);
  for (Index row = 0; row < tiles.local_rows(); ++row) {
    out.begin_rows(row, row + 1);
    for (Index column = 0; column < tiles.columns(); ++column) out.at(row, column) = tiles.at(row, column);
    out.end_rows(row, row + 1);
  }
  return out;
}

template <class Scalar>
SparseRows<Scalar> moved(const Context& context, const SparseRows<Scalar>& rows) {
  SparseRowsBuilder<Scalar> builder(context, rows.local_rows(), rows.columns(), 32, rows.non_zeros());
  for (Index row = 0; row < rows.local_rows(); ++row)
    builder.add(rows.row_indices(row), rows.row_values(row));
  return builder.finish();
}

/// The rows with as many of their blocks in memory as the context has room for.
RowBlocks spilled(const Context& context, RowBlocks rows) {
  rows.features = std::visit([&](const auto& storage) -> FeatureStorage { return moved(context, storage); },
                             rows.features);
  return rows;
}

/// Sparse rows of so many columns that sums over them are sliced.
RowBlocks wide_rows(const Context& context, Index rows) {
  constexpr Index kColumns = 600;
  RowBlocks blocks = std::get<RowBlocks>(make_data(context, Task::classification, rows, Storage::sparse));
  SparseRows<double> sparse;
  sparse.columns_count = kColumns;
  for (Index row = 0; row < blocks.local_rows(); ++row) {
    const auto key = static_cast<std::uint64_t>(blocks.partition.first_row(context.rank()) + row);
    Index column = -1;
    for (std::uint64_t i = 0; i < 9; ++i) {
      column += 1 + static_cast<Index>(philox_uniform(3, i, key) * philox_uniform(4, i, key) * 66);
      sparse.indices.push_back(static_cast<std::int32_t>(column));
      sparse.values.push_back(philox_uniform(5, i, key) - 0.3);
    }
    sparse.row_begin.push_back(static_cast<Index>(sparse.indices.size()));
  }
  blocks.features = std::move(sparse);
  return blocks;
}

using Parameters = std::vector<std::pair<std::string, std::string>>;

struct Case {
  std::string learner;
  Storage storage;
  Parameters parameters;
  bool wide = false;
};

std::unique_ptr<AnyModel> fit(const Case& c, const LearnerData& data) {
  auto learner = find_learner(c.learner)->make();
  for (const auto& [name, value] : c.parameters) set_parameter(*learner, name, value);
  return learner->fit(data);
}

class OutOfCore : public testing::TestWithParam<Case> {
 protected:
  OutOfCore() { setenv("FIRESTEEL_BLOCK_ROWS", "32", 1); }

  static RowBlocks rows(const Context& context) {
    if (GetParam().wide) return wide_rows(context, kRows);
    const Task task = find_learner(GetParam().learner)->task;
    return std::get<RowBlocks>(make_data(context, task, kRows, GetParam().storage));
  }
};

const Case kCases[] = {
    {"logistic", Storage::dense, {{"max_iter", "8"}, {"solver", "lbfgs"}, {"reg_param", "0.01"}}},
    {"logistic", Storage::dense_single, {{"max_iter", "8"}, {"solver", "newton"}}},
    {"logistic", Storage::dense, {{"max_iter", "8"}, {"reg_param", "0.1"}, {"elastic_net_param", "1"}}},
    {"kmeans", Storage::dense, {{"max_iter", "8"}, {"k", "4"}}},
    {"kmeans", Storage::dense_single, {{"max_iter", "8"}, {"k", "4"}, {"distance_measure", "cosine"}}},
    {"kmeans", Storage::dense, {{"max_iter", "8"}, {"k", "5"}, {"init_mode", "random"}}},
    {"logistic", Storage::sparse, {{"max_iter", "8"}, {"solver", "lbfgs"}, {"reg_param", "0.01"}}},
    {"logistic", Storage::sparse_single, {{"max_iter", "8"}, {"solver", "newton"}}},
    {"logistic", Storage::sparse, {{"max_iter", "8"}, {"solver", "lbfgs"}, {"reg_param", "0.01"}}, true},
    {"logistic",
     Storage::sparse,
     {{"max_iter", "6"}, {"reg_param", "0.01"}, {"elastic_net_param", "0.5"}},
     true},
    {"kmeans", Storage::sparse, {{"max_iter", "8"}, {"k", "4"}}},
    {"kmeans", Storage::sparse_single, {{"max_iter", "8"}, {"k", "4"}, {"distance_measure", "cosine"}}}};
INSTANTIATE_TEST_SUITE_P(Learners, OutOfCore, testing::ValuesIn(kCases));

TEST_P(OutOfCore, model_predictions_and_metrics_are_those_of_rows_in_memory) {
  const Context alone(MPI_COMM_SELF, {.threads = 1});
  const auto expected = fit(GetParam(), rows(alone));
  const auto expected_metrics = expected->evaluate(rows(alone));
  // Nothing stays in memory; about a third does.
  for (const char* memory : {"0", "100K"}) {
    for (const int threads : {1, 3}) {
      const Context context = context_with(MPI_COMM_WORLD, threads, memory);
      const RowBlocks in_memory = rows(context);
      const LearnerData data = spilled(context, in_memory);
      const BlockStore* const store = std::get<RowBlocks>(data).store();
      const bool any = context.comm().any(store != nullptr);
      if (std::string(memory) == "0") {
        ASSERT_TRUE(any);
      }
      const auto model = fit(GetParam(), data);
      EXPECT_EQ(model->to_record().sha256(), expected->to_record().sha256())
          << context.size() << " ranks, " << threads << " threads, memory " << memory;
      EXPECT_EQ(model->evaluate(data), expected_metrics);
      const ColumnTable predicted = model->predict(data);
      const ColumnTable predicted_in_memory = model->predict(in_memory);
      for (std::size_t i = 0; i < predicted.columns.size(); ++i)
        EXPECT_EQ(predicted.columns[i].values, predicted_in_memory.columns[i].values);
      if (store == nullptr || store->traffic().passes == 0) continue;
      const Index once = store->traffic().passes * store->traffic().spilled_bytes;
      // Blocks that were in memory at first were not read then.
      if (std::string(memory) == "0") {
        EXPECT_EQ(store->traffic().bytes_read, once) << "spilled bytes are read once a pass";
      } else {
        EXPECT_LE(store->traffic().bytes_read, once);
      }
    }
  }
}

/// The ratings in scratch, in chunks that were put there in no order.
Ratings chunked(const Context& context, const Ratings& ratings, Index chunk_rows) {
  Ratings out{.context = context, .rows = ratings.rows, .first_row = ratings.first_row};
  out.has_ratings = ratings.has_ratings;
  out.single_precision = ratings.single_precision;
  const auto chunks = std::make_shared<RatingChunks>(context.scratch());
  const Index rows = column_size(ratings.users);
  const Index count = (rows + chunk_rows - 1) / chunk_rows;
  for (Index i = count - 1; i >= 0; --i) {
    const auto cut = [&](const auto& all) {
      return std::decay_t<decltype(all)>(all.begin() + i * chunk_rows,
                                         all.begin() + std::min(rows, (i + 1) * chunk_rows));
    };
    chunks->put(i * chunk_rows, cut(std::get<std::vector<std::int64_t>>(ratings.users)),
                cut(std::get<std::vector<std::int64_t>>(ratings.items)), cut(ratings.ratings));
  }
  chunks->finish();
  out.chunks = chunks;
  return out;
}

/// Ratings most of which are of one item and one user, so that these have several blocks of their own.
Ratings skewed_ratings(const Context& context, Index rows) {
  Ratings ratings{.context = context, .rows = rows};
  ratings.has_ratings = true;
  ratings.first_row = rows * context.rank() / context.size();
  std::vector<std::int64_t> users;
  std::vector<std::int64_t> items;
  for (Index row = ratings.first_row; row < rows * (context.rank() + 1) / context.size(); ++row) {
    const auto draw = [&](std::uint64_t purpose) {
      return philox_uniform(8, purpose, static_cast<std::uint64_t>(row));
    };
    users.push_back(draw(1) < 0.4 ? 7 : static_cast<std::int64_t>(draw(2) * 300));
    items.push_back(draw(3) < 0.9 ? 3 : static_cast<std::int64_t>(draw(4) * 40));
    ratings.ratings.push_back(static_cast<double>(static_cast<Index>(draw(5) * 6)) - 1);
  }
  ratings.users = std::move(users);
  ratings.items = std::move(items);
  return ratings;
}

class AlsOutOfCore : public testing::TestWithParam<Case> {};

const Case kAlsCases[] = {
    {"als", Storage::dense, {{"max_iter", "2"}, {"rank", "4"}}},
    {"als", Storage::dense_single, {{"max_iter", "2"}, {"rank", "5"}, {"implicit_prefs", "true"}}},
    {"als", Storage::dense_single, {{"max_iter", "2"}, {"rank", "9"}, {"reg_param", "0"}}},
    {"als", Storage::dense, {{"max_iter", "2"}, {"rank", "3"}, {"nonnegative", "true"}}},
    {"als", Storage::dense, {{"max_iter", "2"}, {"rank", "4"}, {"solver", "cg"}}},
    {"als",
     Storage::dense_single,
     {{"max_iter", "2"}, {"rank", "4"}, {"solver", "cg"}, {"implicit_prefs", "true"}}}};
INSTANTIATE_TEST_SUITE_P(Learners, AlsOutOfCore, testing::ValuesIn(kAlsCases));

TEST_P(AlsOutOfCore, model_and_metrics_are_those_of_ratings_in_memory) {
  for (const bool skewed : {false, true}) {
    const auto make = [&](const Context& context) {
      Ratings ratings = skewed ? skewed_ratings(context, 50'000)
                               : std::get<Ratings>(make_data(context, Task::recommendation, 4000));
      ratings.single_precision = GetParam().storage == Storage::dense_single;
      return ratings;
    };
    const Context alone(MPI_COMM_SELF, {.threads = 2});
    const auto expected = fit(GetParam(), make(alone));
    const auto expected_metrics = expected->evaluate(make(alone));
    for (const auto& [memory, threads] : {std::pair("0", 3), std::pair("1M", 1)}) {
      const Context context = context_with(MPI_COMM_WORLD, threads, memory);
      const Ratings data = chunked(context, make(context), skewed ? 7001 : 300);
      const auto model = fit(GetParam(), data);
      EXPECT_EQ(model->to_record().sha256(), expected->to_record().sha256())
          << context.size() << " ranks, " << threads << " threads, memory " << memory << ", skewed "
          << skewed;
      EXPECT_EQ(model->evaluate(data), expected_metrics);
      if (std::string(memory) == "0" && context.size() == 1) {
        EXPECT_GT(data.chunks->traffic().bytes_read, 0);
      }
    }
  }
}

}  // namespace
}  // namespace firesteel
