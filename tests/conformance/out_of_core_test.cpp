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

/// The rows with as many of their blocks in memory as the context has room for.
RowBlocks spilled(const Context& context, RowBlocks rows) {
  rows.features = std::visit(
      [&](const auto& storage) -> FeatureStorage {
        if constexpr (requires { storage.tiles(); })
          return moved(context, storage);
        else
          return storage;
      },
      rows.features);
  return rows;
}

using Parameters = std::vector<std::pair<std::string, std::string>>;

struct Case {
  std::string learner;
  Storage storage;
  Parameters parameters;
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
    {"kmeans", Storage::dense, {{"max_iter", "8"}, {"k", "5"}, {"init_mode", "random"}}}};
INSTANTIATE_TEST_SUITE_P(Learners, OutOfCore, testing::ValuesIn(kCases));

TEST_P(OutOfCore, model_predictions_and_metrics_are_those_of_rows_in_memory) {
  const Context alone(MPI_COMM_SELF, {.threads = 1});
  const auto expected = fit(GetParam(), rows(alone));
  const auto expected_metrics = expected->evaluate(rows(alone));
  // Nothing stays in memory; about a third does.
  for (const char* memory : {"0", "100K"}) {
    for (const int threads : {1, 2, 4}) {
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

}  // namespace
}  // namespace firesteel
