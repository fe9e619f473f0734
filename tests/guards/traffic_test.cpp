// SPDX-License-Identifier: Apache-2.0
// What an iteration costs beside arithmetic, in numbers that no noise moves: calls, messages and bytes per
// rank by formula, passes over the data, and memory taken. Fits of N and of N + 1 iterations differ by
// exactly one.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdlib>
#include <map>
#include <new>
#include <set>
#include <string>

#include "firesteel/algorithms/als.hpp"
#include "firesteel/algorithms/als_blocks.hpp"
#include "firesteel/algorithms/kmeans.hpp"
#include "firesteel/algorithms/logistic_objective.hpp"
#include "firesteel/algorithms/logistic_regression.hpp"
#include "firesteel/core/philox.hpp"
#include "firesteel/io/model_file.hpp"
#include "firesteel/linalg/column_moments.hpp"
#include "firesteel/linalg/optimizer.hpp"
#include "firesteel/tests/io/scratch.hpp"

namespace {

std::atomic<firesteel::Index> allocations{0};

void* counted(std::size_t bytes, std::align_val_t alignment = std::align_val_t{16}) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  const auto unit = static_cast<std::size_t>(alignment);
  void* memory = std::aligned_alloc(unit, (bytes / unit + 1) * unit);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

}  // namespace

// Not inlined: where only one of a pair is, GCC takes it for a mismatch.
[[gnu::noinline]] void* operator new(std::size_t bytes) { return counted(bytes); }
[[gnu::noinline]] void* operator new[](std::size_t bytes) { return counted(bytes); }
[[gnu::noinline]] void* operator new(std::size_t bytes, std::align_val_t alignment) {
  return counted(bytes, alignment);
}
[[gnu::noinline]] void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t, std::align_val_t) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete[](void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }

namespace firesteel {

namespace {

constexpr Index kColumns = 15;
constexpr Index kWord = 8;
constexpr Index kRows = 32 * 96;
constexpr Index kRatings = 20'000;
constexpr Index kUsers = 600;  // all of them rate, and all items are rated: ids are positions
constexpr Index kItems = 400;

/// Blocks of 32 rows, so that few rows make many blocks.
class Guards : public testing::Test {
 protected:
  void SetUp() override { setenv("FIRESTEEL_BLOCK_ROWS", "32", 1); }
  void TearDown() override { unsetenv("FIRESTEEL_BLOCK_ROWS"); }
};

RowBlocks make_rows(const Context& context, Index rows, Index classes = 2) {
  const Index first = rows * context.rank() / context.size();
  const Index end = rows * (context.rank() + 1) / context.size();
  std::vector<double> values;
  std::vector<double> labels;
  for (Index row = first; row < end; ++row) {
    double margin = 0;
    for (Index j = 0; j < kColumns; ++j) {
      values.push_back(philox_uniform(1, static_cast<std::uint64_t>(j), static_cast<std::uint64_t>(row)) -
                       0.5);
      margin += values.back() * static_cast<double>(j % 3);
    }
    const double place = margin + philox_uniform(2, 0, static_cast<std::uint64_t>(row));
    labels.push_back(classes == 2 ? (place > 0.5 ? 1 : 0)
                                  : std::floor(std::clamp(place, 0.0, 0.99) * static_cast<double>(classes)));
  }
  return pack_rows(context, {.values = values, .columns = kColumns, .labels = labels});
}

/// What one fit of `iterations` costs this rank.
struct Cost {
  std::map<std::string, Traffic, std::less<>> traffic;
  Index allocations = 0;
};

template <class Learner, class Data>
Cost cost_of(Learner learner, const Data& data, Index iterations) {
  learner.max_iter = iterations;
  const Context fresh({.threads = 1});
  Data copy = data;
  copy.context = fresh;
  const Index before = allocations;
  const auto model = learner.fit(copy);
  EXPECT_EQ(model.summary.iterations, iterations);
  return {fresh.comm().traffic(), allocations - before};
}

/// Fits once before, so that thread-local buffers and MPI's own are there.
template <class Learner, class Data>
Cost cost_of_iteration(const Learner& learner, const Data& data, Index iterations) {
  cost_of(learner, data, iterations);
  const Cost shorter = cost_of(learner, data, iterations);
  Cost longer = cost_of(learner, data, iterations + 1);
  for (auto& [name, traffic] : longer.traffic) {
    const auto found = shorter.traffic.find(name);
    if (found == shorter.traffic.end()) continue;
    traffic.calls -= found->second.calls;
    traffic.messages -= found->second.messages;
    traffic.bytes_sent -= found->second.bytes_sent;
  }
  longer.allocations -= shorter.allocations;
  return longer;
}

void expect_traffic(const Cost& cost, std::string_view name, Index messages, Index bytes) {
  const auto found = cost.traffic.find(name);
  const Traffic traffic = found == cost.traffic.end() ? Traffic{} : found->second;
  EXPECT_EQ(traffic.messages, messages) << name;
  EXPECT_EQ(traffic.bytes_sent, bytes) << name;
}

/// What one canonical sum over `blocks` blocks sends from the rank that owns [first, end): one vector for
/// each right child of the binary tree that begins there and whose left sibling begins on an earlier rank.
Index vectors_sent(Index blocks, Index first, Index end) {
  Index count = 0;
  for (Index size = 1; size < blocks; size *= 2)
    for (Index begin = size; begin < blocks; begin += 2 * size)
      if (begin >= first && begin < end && begin - size < first) ++count;
  return count;
}

/// Vectors that one canonical sum over `partition` sends from this rank, and what their length adds to bytes.
void expect_canonical_sums(const Cost& cost, const Context& context,
                           const std::vector<std::pair<const BlockPartition*, Index>>& sums) {
  const Index others = context.size() - 1;
  Index sent = 0, sent_bytes = 0, spread = 0, spread_bytes = 0;
  for (const auto& [partition, length] : sums) {
    const Index vector_bytes = kWord * (8 + length);  // a header of 8 words
    if (context.rank() == 0) {
      spread += others;
      spread_bytes += others * vector_bytes;
    } else {
      const Index vectors = vectors_sent(partition->blocks(), partition->first_block(context.rank()),
                                         partition->end_block(context.rank()));
      sent += vectors;
      sent_bytes += vectors * vector_bytes;
    }
  }
  expect_traffic(cost, "send", sent, sent_bytes);
  expect_traffic(cost, "broadcast", spread, spread_bytes);
}

/// What the fit loop adds: the ranks compare their states.
void expect_state_agreement(const Cost& cost, const Context& context) {
  const bool alone = context.size() == 1;
  expect_traffic(cost, "allreduce_max", alone ? 0 : 1, alone ? 0 : 6 * kWord);
}

TEST_F(Guards, a_kmeans_iteration_sends_one_vector_of_sums) {
  const Context context({.threads = 1});
  const Index k = 6;
  const KMeans learner{.k = k, .tol = 0, .init_mode = "random"};
  const auto cost = cost_of_iteration(learner, make_rows(context, kRows), 4);
  const bool alone = context.size() == 1;
  expect_traffic(cost, "allreduce_sum", alone ? 0 : 1, alone ? 0 : kWord * 2 * k * (kColumns + 1));
  expect_traffic(cost, "agree", alone ? 0 : 1, alone ? 0 : kWord);
  expect_state_agreement(cost, context);
  expect_canonical_sums(cost, context, {});
  EXPECT_EQ(cost.allocations, 0);
  EXPECT_EQ(cost_of_iteration(learner, make_rows(context, 2 * kRows), 4).allocations, 0);
}

TEST_F(Guards, a_logistic_iteration_sends_one_gradient) {
  const Context context({.threads = 1});
  const LogisticRegression learner{.reg_param = 1e-3, .tol = 0, .solver = "lbfgs"};
  const auto rows = make_rows(context, kRows);
  const auto cost = cost_of_iteration(learner, rows, 4);
  expect_canonical_sums(cost, context, {{&rows.partition, 2 + kColumns}});
  expect_traffic(cost, "agree", 0, 0);
  expect_state_agreement(cost, context);
  EXPECT_EQ(cost.allocations, 0);
  EXPECT_EQ(cost_of_iteration(learner, make_rows(context, 2 * kRows), 4).allocations, 0);
}

TEST_F(Guards, a_logistic_iteration_of_classes_sends_their_moments_too) {
  const Context context({.threads = 1});
  constexpr Index kClasses = 5;
  const LogisticRegression learner{.reg_param = 1e-3, .tol = 0, .solver = "lbfgs"};
  const auto rows = make_rows(context, kRows, kClasses);
  const auto cost = cost_of_iteration(learner, rows, 4);
  expect_canonical_sums(
      cost, context,
      {{&rows.partition, 1 + kClasses * (1 + kColumns) + kClasses * (kClasses + 1) / 2 + kClasses}});
  expect_traffic(cost, "agree", 0, 0);
  EXPECT_EQ(cost.allocations, 0);
  EXPECT_EQ(cost_of_iteration(learner, make_rows(context, 2 * kRows, kClasses), 4).allocations, 0);
}

/// Counts passes over the data: each evaluation of the objective is one.
class CountedObjective final : public Objective {
 public:
  explicit CountedObjective(Objective& counted) : counted_(counted) {}
  Index passes = 0;
  Index trials = 0;  ///< along a line: no pass

  const VectorSpace& space() const override { return counted_.space(); }
  double evaluate(std::span<const double> x, std::span<double> gradient) override {
    ++passes;
    return counted_.evaluate(x, gradient);
  }
  void accept() override { counted_.accept(); }
  LinePoint along(double t) override {
    ++trials;
    return counted_.along(t);
  }
  void collectively(FunctionRef<void()> local) override { counted_.collectively(local); }
  void hessian(std::span<double> matrix) override { counted_.hessian(matrix); }

 private:
  Objective& counted_;
};

TEST_F(Guards, a_logistic_iteration_is_one_pass) {
  const Context context({.threads = 1});
  const auto rows = make_rows(context, kRows);
  LogisticTargets targets;
  const auto& labels = std::get<std::vector<double>>(rows.labels);
  for (const double label : labels) targets.target.push_back(label > 0 ? 1 : -1);
  for (Index r = 0; r < static_cast<Index>(labels.size()); ++r)
    targets.weight.push_back(r < rows.local_rows() ? 1 : 0);
  const ColumnMoments moments = column_moments(rows, targets.weight);
  LogisticObjective objective(rows, moments, targets, {.l2 = std::vector<double>(kColumns, 1e-3)});
  CountedObjective counted(objective);
  LbfgsOptimizer optimizer(counted, {}, 0);
  auto state = optimizer.start(std::vector<double>(static_cast<std::size_t>(counted.space().size())));
  EXPECT_EQ(counted.passes, 1);
  optimizer.step(state);  // the first direction knows no curvature: its line is searched, then evaluated
  EXPECT_EQ(counted.passes, 3);
  for (int i = 0; i < 5; ++i) optimizer.step(state);
  EXPECT_EQ(counted.passes, 3 + 5);
  EXPECT_GT(counted.trials, 0);
}

TEST_F(Guards, writing_a_model_allocates_nothing_for_each_value) {
  const Context context({.threads = 1});
  const Scratch scratch(context);
  const auto allocations_for = [&](Index rows) {
    Record record;
    record.set_matrix("factors", rows, 10, std::vector<double>(static_cast<std::size_t>(rows) * 10, 0.5));
    const Index before = allocations;
    write_model(context, record, scratch / "model.h5");
    return allocations - before;
  };
  allocations_for(10);  // HDF5 and the communicator open what they keep
  EXPECT_LE(allocations_for(10'000), allocations_for(1'000) + 64);
}

struct Pairs {
  std::vector<std::int32_t> users;
  std::vector<std::int32_t> items;
};

/// Ratings [first, end): the same whoever makes them.
Pairs make_pairs(Index first, Index end) {
  Pairs pairs;
  for (Index r = first; r < end; ++r) {
    const auto row = static_cast<std::uint64_t>(r);
    pairs.users.push_back(static_cast<std::int32_t>(philox_uniform(1, 1, row) * kUsers));
    pairs.items.push_back(static_cast<std::int32_t>(philox_uniform(1, 2, row) * kItems));
  }
  return pairs;
}

/// Factor rows that this rank must send so that every other rank has those that its own entities need.
std::pair<Index, Index> rows_and_ranks_to_send(const Context& context, const BlockPartition& own,
                                               const BlockPartition& other,
                                               const std::vector<std::int32_t>& own_of,
                                               const std::vector<std::int32_t>& other_of) {
  const auto owner = [](const BlockPartition& partition, Index entity) {
    return partition.owner(entity / partition.block_rows());
  };
  std::set<std::pair<int, std::int32_t>> needed;
  for (std::size_t i = 0; i < own_of.size(); ++i) {
    const int rank = owner(own, own_of[i]);
    if (rank != context.rank() && owner(other, other_of[i]) == context.rank())
      needed.emplace(rank, other_of[i]);
  }
  std::set<int> ranks;
  for (const auto& row : needed) ranks.insert(row.first);
  return {static_cast<Index>(needed.size()), static_cast<Index>(ranks.size())};
}

TEST_F(Guards, an_als_iteration_sends_each_factor_row_once_to_each_rank_that_needs_it) {
  constexpr Index kRank = 7;
  const Context context({.threads = 1});
  const Index first = kRatings * context.rank() / context.size();
  const Pairs mine = make_pairs(first, kRatings * (context.rank() + 1) / context.size());
  Ratings data{.context = context, .rows = kRatings, .first_row = first, .has_ratings = true};
  data.users = std::vector<std::int64_t>(mine.users.begin(), mine.users.end());
  data.items = std::vector<std::int64_t>(mine.items.begin(), mine.items.end());
  data.ratings.assign(mine.users.size(), 3.0);
  const RatingSides sides = deal_ratings(context,
                                         {.users = mine.users,
                                          .items = mine.items,
                                          .values = data.ratings,
                                          .num_users = kUsers,
                                          .num_items = kItems},
                                         kRank);
  const BlockPartition& users = sides.by_user.partition;
  const BlockPartition& items = sides.by_item.partition;
  const Pairs all = make_pairs(0, kRatings);
  const auto [of_users, user_ranks] = rows_and_ranks_to_send(context, items, users, all.items, all.users);
  const auto [of_items, item_ranks] = rows_and_ranks_to_send(context, users, items, all.users, all.items);

  for (const bool implicit : {false, true}) {
    // After 3 iterations the list of objectives, whose memory doubles, would grow.
    const auto cost = cost_of_iteration(Als{.rank = kRank, .implicit_prefs = implicit}, data, 4);
    expect_traffic(cost, "alltoallv", user_ranks + item_ranks, kWord * kRank * (of_users + of_items));
    std::vector<std::pair<const BlockPartition*, Index>> sums{{&items, 1}, {&users, 1}};  // penalty, loss
    const Index packed = kRank * (kRank + 1) / 2;
    if (implicit) sums.insert(sums.end(), {{&users, packed}, {&items, packed}});
    expect_canonical_sums(cost, context, sums);
    expect_state_agreement(cost, context);
    EXPECT_EQ(cost.allocations, 0);
  }
}

}  // namespace

}  // namespace firesteel
