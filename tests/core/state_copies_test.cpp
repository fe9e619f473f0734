// SPDX-License-Identifier: Apache-2.0
// Copies of a state on all ranks, restored on those that a loss would leave: a split stands for it.
#include "firesteel/core/state_copies.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <numeric>
#include <set>

#include "firesteel/core/context.hpp"

namespace firesteel {
namespace {

constexpr Index kValues = 103;

const CheckpointIdentity kIdentity{"mixer", "parameters", "data", {}};

Index cut(int rank, int ranks) { return kValues * rank / ranks; }

template <class T>
StatePart part_of(const char* name, bool partitioned, const std::vector<T>& values) {
  StatePart part{name, partitioned, sizeof(T), {}};
  part.bytes.resize(values.size() * sizeof(T));
  if (!values.empty()) std::memcpy(part.bytes.data(), values.data(), part.bytes.size());
  return part;
}

/// A replicated vector and two partitioned parts, every value of which says its place and the iteration.
std::vector<StatePart> state(const Communicator& comm, Index iteration) {
  const Index first = cut(comm.rank(), comm.size());
  const Index end = cut(comm.rank() + 1, comm.size());
  std::vector<double> numbers;
  std::vector<std::int32_t> labels;
  for (Index i = first; i < end; ++i) numbers.push_back(static_cast<double>(1000 * iteration + i));
  for (Index i = 2 * first; i < 2 * end; ++i) labels.push_back(static_cast<std::int32_t>(i - iteration));
  return {part_of("whole", false, std::vector<double>{1.5, static_cast<double>(iteration)}),
          part_of("numbers", true, numbers), part_of("labels", true, labels)};
}

void expect_state(const Communicator& comm, const Checkpoint& got, Index iteration) {
  EXPECT_EQ(got.iteration, iteration);
  const auto expected = state(comm, iteration);
  ASSERT_EQ(got.parts.size(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    EXPECT_EQ(got.parts[i].name, expected[i].name);
    EXPECT_EQ(got.parts[i].bytes, expected[i].bytes) << expected[i].name;
  }
}

/// The ranks without `lost`; nothing on those.
std::optional<Communicator> without(const Communicator& comm, const std::set<int>& lost) {
  MPI_Comm left = MPI_COMM_NULL;
  const bool gone = lost.count(comm.rank()) > 0;
  MPI_Comm_split(comm.native(), gone ? MPI_UNDEFINED : 0, comm.rank(), &left);
  if (gone) return std::nullopt;
  Communicator duplicate(left);
  MPI_Comm_free(&left);
  return duplicate;
}

bool neighbours_in(const std::set<int>& lost, int ranks) {
  for (const int rank : lost)
    if (ranks > 1 && lost.count((rank + 1) % ranks) > 0) return true;
  return false;
}

std::set<int> subset(int bits, int ranks) {
  std::set<int> chosen;
  for (int rank = 0; rank < ranks; ++rank)
    if ((bits >> rank & 1) != 0) chosen.insert(rank);
  return chosen;
}

TEST(StateCopies, every_loss_without_neighbours_is_survived) {
  const Context context;
  Communicator& comm = context.comm();
  for (int bits = 0; bits + 1 < 1 << comm.size(); ++bits) {
    const auto lost = subset(bits, comm.size());
    StateCopies copies;
    for (const Index iteration : {1, 2, 7}) copies.keep(comm, kIdentity, iteration, state(comm, iteration));
    auto left = without(comm, lost);
    if (!left) continue;
    const RecoveryPoint point = copies.settle(*left);
    EXPECT_EQ(point.from_memory(), !neighbours_in(lost, comm.size())) << "lost: " << bits;
    if (!point.from_memory()) continue;
    expect_state(*left, copies.restore(*left, kIdentity, state(*left, 0)), 7);
  }
}

TEST(StateCopies, a_second_loss_is_survived_at_once) {
  const Context context;
  Communicator& comm = context.comm();
  if (comm.size() < 3) return;
  StateCopies copies;
  copies.keep(comm, kIdentity, 4, state(comm, 4));
  auto left = without(comm, {1});
  if (!left) return;
  EXPECT_TRUE(copies.settle(*left).from_memory());
  expect_state(*left, copies.restore(*left, kIdentity, state(*left, 0)), 4);
  auto fewer = without(*left, {0});  // before there was a new iteration
  if (!fewer) return;
  EXPECT_TRUE(copies.settle(*fewer).from_memory());
  expect_state(*fewer, copies.restore(*fewer, kIdentity, state(*fewer, 0)), 4);
}

TEST(StateCopies, a_copy_that_only_some_ranks_have_is_passed_over) {
  const Context context;
  Communicator& comm = context.comm();
  StateCopies copies;
  copies.keep(comm, kIdentity, 4, state(comm, 4));
  auto alone = without(comm, {0});
  // As where rank 0 died before the others were done.
  if (alone) copies.keep(*alone, kIdentity, 5, state(*alone, 5));
  const RecoveryPoint point = copies.settle(comm);
  EXPECT_EQ(point.in_memory.value_or(-1), 4);
  expect_state(comm, copies.restore(comm, kIdentity, state(comm, 0)), 4);
}

TEST(StateCopies, the_newer_of_memory_and_disk_is_gone_on_from) {
  const Context context;
  Communicator& comm = context.comm();
  StateCopies copies;
  EXPECT_FALSE(copies.settle(comm).from_memory());
  EXPECT_FALSE(copies.point().on_disk);
  copies.keep(comm, kIdentity, 4, state(comm, 4));
  copies.saved_on_disk(3);
  EXPECT_TRUE(copies.settle(comm).from_memory());
  copies.saved_on_disk(5);
  EXPECT_FALSE(copies.settle(comm).from_memory());
  EXPECT_EQ(copies.point().on_disk.value_or(-1), 5);
}

TEST(StateCopies, other_data_or_another_fit_are_refused) {
  const Context context;
  Communicator& comm = context.comm();
  StateCopies copies;
  copies.keep(comm, kIdentity, 4, state(comm, 4));
  copies.settle(comm);
  const auto code = [&](const CheckpointIdentity& identity, std::vector<StatePart> present) {
    try {
      copies.restore(comm, identity, present);
    } catch (const Error& error) {
      return error.code();
    }
    return ErrorCode{};
  };
  EXPECT_EQ(code({"mixer", "parameters", "other data", {}}, state(comm, 0)), ErrorCode::bad_input);
  EXPECT_EQ(code({"mixer", "others", "data", {}}, state(comm, 0)), ErrorCode::internal);
  auto longer = state(comm, 0);
  longer[1].bytes.resize(longer[1].bytes.size() + 8);
  EXPECT_EQ(code(kIdentity, longer), ErrorCode::bad_input);
}

TEST(StateCopies, the_first_is_due_at_once_and_others_take_a_small_share_of_the_time) {
  const Context context;
  Communicator& comm = context.comm();
  StateCopies copies;
  EXPECT_EQ(copies.due(comm), comm.rank() == 0);
  copies.keep(comm, kIdentity, 1, state(comm, 1));
  EXPECT_FALSE(copies.due(comm));  // it took some time, of which twenty times as much has not gone by
}

}  // namespace
}  // namespace firesteel
