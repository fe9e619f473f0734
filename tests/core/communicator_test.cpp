// SPDX-License-Identifier: Apache-2.0
#include "firesteel/core/communicator.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>

#include "firesteel/core/context.hpp"

namespace firesteel {
namespace {

/// Messages of at most 16 bytes, so that small buffers go in several pieces.
Communicator in_small_pieces() { return Communicator(MPI_COMM_WORLD, 16); }

std::size_t index(int i) { return static_cast<std::size_t>(i); }

/// Cannot be made where there is "no memory".
struct Picky {
  static inline bool no_memory = false;
  int value = 0;
  Picky() {
    if (no_memory) throw std::bad_alloc();
  }
};

/// The error that `action` throws, checked to be the same on every rank.
template <class Action>
Error error_of(Communicator& comm, Action&& action) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_TRUE(error.agreed());
    const std::vector<std::string> mine{error.what(), std::to_string(static_cast<int>(error.code()))};
    const auto all = comm.allgather_texts(mine);
    for (std::size_t i = 0; i < all.size(); ++i) EXPECT_EQ(all[i], mine[i % 2]);
    return error;
  }
  ADD_FAILURE() << "did not throw";
  return internal_error("");
}

TEST(Communicator, refuses_what_is_no_group_of_this_rank) {
  const Context context;
  try {
    const Communicator none(MPI_COMM_NULL);
    ADD_FAILURE() << "did not throw";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::bad_parameter);
  }
}

TEST(Communicator, broadcasts_from_every_root_in_pieces) {
  auto comm = in_small_pieces();
  for (int root = 0; root < comm.size(); ++root) {
    for (const std::size_t length : {0, 1, 2, 3, 100}) {
      std::vector<std::int64_t> values(length, comm.rank());
      comm.broadcast(std::span(values), root);
      EXPECT_EQ(values, std::vector<std::int64_t>(length, root));
    }
    const std::string text(static_cast<std::size_t>(root) * 33, 'x');
    EXPECT_EQ(comm.broadcast_text(comm.rank() == root ? text : "other", root), text);
    EXPECT_EQ(comm.broadcast_value(comm.rank() + 0.5, root), root + 0.5);
  }
}

TEST(Communicator, reductions_are_those_of_all_ranks) {
  auto comm = in_small_pieces();
  const int last = comm.size() - 1;
  std::vector<std::int64_t> values{comm.rank(), -comm.rank(), std::int64_t{1} << 40, 7, 8};
  auto low = values;
  auto high = values;
  comm.allreduce_sum(values);
  comm.allreduce_min(low);
  comm.allreduce_max(high);
  const std::int64_t sum = last * (last + 1) / 2;
  const std::int64_t n = comm.size();
  EXPECT_EQ(values, (std::vector<std::int64_t>{sum, -sum, n << 40, 7 * n, 8 * n}));
  EXPECT_EQ(low, (std::vector<std::int64_t>{0, -last, std::int64_t{1} << 40, 7, 8}));
  EXPECT_EQ(high, (std::vector<std::int64_t>{last, 0, std::int64_t{1} << 40, 7, 8}));
  std::vector<double> reals{comm.rank() * 0.5, -std::numeric_limits<double>::infinity()};
  comm.allreduce_max(reals);
  EXPECT_EQ(reals[0], last * 0.5);
  comm.allreduce_min(reals);
  EXPECT_EQ(reals[1], -std::numeric_limits<double>::infinity());
  comm.allreduce_sum(std::span<std::int64_t>());
  EXPECT_EQ(comm.sum(2), 2 * n);
  EXPECT_TRUE(comm.any(comm.rank() == last));
  EXPECT_FALSE(comm.any(false));
  EXPECT_EQ(comm.exclusive_scan(comm.rank() + 1), comm.rank() * (comm.rank() + 1) / 2);
}

TEST(Communicator, gathers_vectors_of_different_lengths) {
  auto comm = in_small_pieces();
  // Rank r brings 7·r values; rank 0 none.
  const std::vector<int> mine(index(comm.rank()) * 7, comm.rank());
  std::vector<int> expected;
  for (int rank = 0; rank < comm.size(); ++rank) expected.insert(expected.end(), index(rank) * 7, rank);
  EXPECT_EQ(comm.allgatherv(std::span<const int>(mine)), expected);
  const int root = comm.size() - 1;
  const auto gathered = comm.gatherv(std::span<const int>(mine), root);
  EXPECT_EQ(gathered, comm.rank() == root ? expected : std::vector<int>());
  EXPECT_TRUE(comm.allgatherv(std::span<const int>()).empty());
  const auto ranks = comm.allgather(comm.rank());
  for (int rank = 0; rank < comm.size(); ++rank) EXPECT_EQ(ranks[index(rank)], rank);
}

TEST(Communicator, gathers_texts_empty_ones_included) {
  auto comm = in_small_pieces();
  std::vector<std::string> mine;
  if (comm.rank() % 2 == 1) mine = {"", "rank " + std::to_string(comm.rank()), std::string("a\0b", 3)};
  std::vector<std::string> expected;
  for (int rank = 1; rank < comm.size(); rank += 2)
    expected.insert(expected.end(), {"", "rank " + std::to_string(rank), std::string("a\0b", 3)});
  EXPECT_EQ(comm.allgather_texts(mine), expected);
}

TEST(Communicator, exchanges_all_with_all) {
  auto comm = in_small_pieces();
  // Rank s sends (s + 2·r) mod 5 values 100·s + r to rank r: some pairs exchange nothing.
  const auto count = [](int from, int to) { return Index{(from + 2 * to) % 5}; };
  std::vector<std::int32_t> values;
  std::vector<Index> counts;
  std::vector<std::int32_t> expected;
  std::vector<Index> expected_counts;
  for (int peer = 0; peer < comm.size(); ++peer) {
    counts.push_back(count(comm.rank(), peer));
    values.insert(values.end(), index(static_cast<int>(counts.back())), 100 * comm.rank() + peer);
    expected_counts.push_back(count(peer, comm.rank()));
    expected.insert(expected.end(), index(static_cast<int>(expected_counts.back())),
                    100 * peer + comm.rank());
  }
  std::vector<Index> received;
  EXPECT_EQ(comm.alltoallv(std::span<const std::int32_t>(values), std::span<const Index>(counts), &received),
            expected);
  EXPECT_EQ(received, expected_counts);

  // The same counts again and again by one plan: others' values each time.
  const auto plan =
      comm.plan_alltoallv<std::int32_t>(static_cast<Index>(values.size()), std::span<const Index>(counts));
  for (int round = 0; round < 3; ++round) {
    std::vector<std::int32_t> into(expected.size(), -1);
    comm.alltoallv(std::span<const std::int32_t>(values), plan, std::span(into));
    EXPECT_EQ(into, expected);
    for (auto& value : values) value += 7;
    for (auto& value : expected) value += 7;
  }
}

TEST(Communicator, counts_that_do_not_fit_are_an_error_on_every_rank) {
  auto comm = in_small_pieces();
  std::vector<Index> counts(index(comm.size()), 0);
  if (comm.rank() == 0) counts.back() = 3;  // three values, none given
  const auto error =
      error_of(comm, [&] { comm.alltoallv(std::span<const int>(), std::span<const Index>(counts)); });
  EXPECT_EQ(error.code(), ErrorCode::internal);
}

TEST(Communicator, a_rank_without_memory_for_what_it_is_sent_is_an_error_on_every_rank) {
  auto comm = in_small_pieces();
  const std::vector<Picky> mine(3);
  Picky::no_memory = comm.rank() == comm.size() - 1;
  EXPECT_EQ(error_of(comm, [&] { comm.allgatherv(std::span<const Picky>(mine)); }).code(),
            ErrorCode::out_of_memory);
  EXPECT_EQ(error_of(comm,
                     [&] {
                       std::vector<Index> counts(index(comm.size()), 0);
                       counts.back() = 3;
                       comm.alltoallv(std::span<const Picky>(mine), counts);
                     })
                .code(),
            ErrorCode::out_of_memory);
  Picky::no_memory = false;
}

TEST(Communicator, messages_of_whole_pieces_end_where_they_end) {
  auto comm = in_small_pieces();
  if (comm.size() < 2) return;
  // 32 bytes are exactly two pieces; the receiver has room for more.
  for (const std::size_t length : {0, 1, 15, 16, 17, 32, 33, 48}) {
    std::vector<std::byte> sent(length, std::byte{7});
    std::vector<std::byte> buffer(64);
    if (comm.rank() == 0) comm.send(sent, 1, 3);
    if (comm.rank() == 1) {
      EXPECT_EQ(comm.receive(buffer, 0, 3), length);
    }
    if (comm.rank() == 0) comm.send(sent, 1, 3);
    if (comm.rank() == 1) {
      EXPECT_EQ(comm.receive(std::span(buffer).first(length), 0, 3), length);
    }
  }
}

TEST(Communicator, collectively_returns_each_ranks_value) {
  auto comm = in_small_pieces();
  EXPECT_EQ(comm.collectively([&] { return comm.rank() * 2; }), comm.rank() * 2);
  EXPECT_EQ(*comm.collectively([&] { return std::make_unique<int>(4); }), 4);
  int ran = 0;
  comm.collectively([&] { ++ran; });
  EXPECT_EQ(ran, 1);
}

TEST(Communicator, one_ranks_error_is_the_same_error_on_all) {
  auto comm = in_small_pieces();
  for (int bad = 0; bad < comm.size(); ++bad) {
    const auto error = error_of(comm, [&] {
      comm.collectively([&] {
        if (comm.rank() == bad)
          throw Error(ErrorCode::io_failed, "rank " + std::to_string(bad) + std::string(100, '.'), {2, 9});
      });
    });
    EXPECT_EQ(error.what(), "rank " + std::to_string(bad) + std::string(100, '.'));
    EXPECT_EQ(error.code(), ErrorCode::io_failed);
    EXPECT_EQ(error.place().file, 2);
    EXPECT_EQ(error.place().offset, 9);
  }
}

TEST(Communicator, the_error_of_the_smallest_place_is_shown_whoever_holds_it) {
  auto comm = in_small_pieces();
  const int last = comm.size() - 1;
  const auto error = error_of(comm, [&] {
    comm.collectively([&] {
      const Index file = comm.rank() == last ? 0 : 1;  // the last rank holds the first file
      throw bad_input("file " + std::to_string(file), {file, 100 - comm.rank()});
    });
  });
  EXPECT_STREQ(error.what(), "file 0");
  const auto by_offset = error_of(comm, [&] {
    comm.collectively([&] { throw bad_input("offset", {0, 100 - comm.rank()}); });
  });
  EXPECT_EQ(by_offset.place().offset, 100 - last);
}

TEST(Communicator, of_different_kinds_words_come_first_then_inputs_outputs_data) {
  auto comm = in_small_pieces();
  const std::vector<ErrorCode> order{ErrorCode::bad_parameter, ErrorCode::no_input, ErrorCode::cannot_create,
                                     ErrorCode::bad_input, ErrorCode::io_failed};
  for (std::size_t first = 0; first < order.size(); ++first) {
    const auto error = error_of(comm, [&] {
      comm.collectively([&] {
        // Rank 0 has the last of the kinds, at the smallest place.
        const std::size_t mine = order.size() - 1 - index(comm.rank());
        const std::size_t kind = comm.rank() == comm.size() - 1 ? first : std::max(first, mine);
        throw Error(order[kind], "kind", {0, comm.rank()});
      });
    });
    EXPECT_EQ(error.code(), order[first]);
  }
}

TEST(Communicator, other_exceptions_become_errors_with_codes) {
  auto comm = in_small_pieces();
  const auto thrown_by_last = [&](auto exception) {
    return error_of(comm, [&] {
      comm.collectively([&] {
        if (comm.rank() == comm.size() - 1) throw exception;
      });
    });
  };
  EXPECT_EQ(thrown_by_last(std::bad_alloc()).code(), ErrorCode::out_of_memory);
  EXPECT_EQ(thrown_by_last(std::length_error("size")).code(), ErrorCode::out_of_memory);
  EXPECT_EQ(thrown_by_last(std::runtime_error("x")).code(), ErrorCode::internal);
  EXPECT_EQ(thrown_by_last(42).code(), ErrorCode::internal);
  const auto long_text = thrown_by_last(bad_input(std::string(10000, 'm')));
  EXPECT_EQ(std::string(long_text.what()), std::string(4000, 'm'));
}

TEST(Communicator, counts_what_it_sends) {
  auto comm = in_small_pieces();
  EXPECT_EQ(comm.bytes_sent(), 0);
  std::vector<std::int64_t> values(10);
  comm.allreduce_sum(values);
  EXPECT_EQ(comm.bytes_sent(), comm.size() == 1 ? 0 : 80);
  if (comm.size() > 1) {
    EXPECT_EQ(comm.traffic().at("allreduce_sum").calls, 1);
  }
}

TEST(Context, works_on_halves_beside_the_callers_own_messages) {
  int rank = 0;
  int size = 1;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  int received = -1;
  MPI_Request request = MPI_REQUEST_NULL;
  MPI_Irecv(&received, 1, MPI_INT, MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_WORLD, &request);
  MPI_Comm half = MPI_COMM_NULL;
  MPI_Comm_split(MPI_COMM_WORLD, rank % 2, -rank, &half);
  {
    const Context context(half, {.threads = 1, .monitor = nullptr});
    EXPECT_EQ(context.size(), (size + 1 - rank % 2) / 2);
    EXPECT_EQ(context.comm().sum(rank % 2), (rank % 2) * context.size());
    const std::vector<int> mine(3, rank);
    EXPECT_EQ(context.comm().allgatherv(std::span<const int>(mine)).size(), 3 * index(context.size()));
  }
  MPI_Comm_free(&half);
  MPI_Send(&rank, 1, MPI_INT, (rank + 1) % size, 1, MPI_COMM_WORLD);
  MPI_Wait(&request, MPI_STATUS_IGNORE);
  EXPECT_EQ(received, (rank + size - 1) % size);
}

}  // namespace
}  // namespace firesteel
