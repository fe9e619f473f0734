// SPDX-License-Identifier: Apache-2.0
#include "firesteel/core/watchdog.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <optional>
#include <thread>

#include "firesteel/core/context.hpp"
#include "firesteel/core/peer_sockets.hpp"

namespace firesteel {
namespace {

using std::chrono::milliseconds;

constexpr double kBeat_s = 0.05;

Context watched(WatchdogOptions options) { return Context(MPI_COMM_WORLD, {.watchdog = std::move(options)}); }

/// Looks until `seen` is true or 20 seconds have passed: a busy machine is slow.
template <class Seen>
bool comes_true(Seen&& seen) {
  for (int look = 0; look < 2000; ++look) {
    if (seen()) return true;
    std::this_thread::sleep_for(milliseconds(10));
  }
  return false;
}

TEST(Watchdog, IsOffUnlessAskedFor) {
  const Context context(MPI_COMM_WORLD);
  EXPECT_TRUE(context.watchdog()->ages().empty());
  EXPECT_EQ(context.watchdog()->problem(), "");
}

TEST(Watchdog, RankZeroSeesWhatEveryRankDoes) {
  const Context context = watched({.beat_s = kBeat_s, .peer_timeout_s = 60});
  const auto watchdog = context.watchdog();
  ASSERT_EQ(watchdog->problem(), "");
  Communicator& comm = context.comm();
  const auto ages = watchdog->ages();
  ASSERT_EQ(static_cast<int>(ages.size()), comm.size() == 1 ? 0 : comm.rank() == 0 ? comm.size() : 2);
  if (comm.size() == 1) return;

  // The last rank computes, the others wait for it, until rank 0 has seen it: it says so by its iteration.
  const int late = comm.size() - 1;
  comm.activity().iteration = 7;
  std::thread watcher;
  if (comm.rank() == 0)
    watcher = std::thread([&] {
      EXPECT_TRUE(comes_true([&] {
        const auto now = watchdog->ages();
        return std::all_of(now.begin(), now.end(), [&](const PeerAge& age) {
          return age.iteration == 7 && age.operation == (age.rank == late ? "" : "allreduce_sum") &&
                 age.progress_s > 0.3 && age.heard_s < 10 && !age.ended && !age.host.empty();
        });
      }));
      comm.activity().iteration = 8;
    });
  if (comm.rank() == late) {
    EXPECT_TRUE(comes_true([&] { return watchdog->ages().front().iteration == 8; }));
  }
  EXPECT_EQ(comm.sum(1), comm.size());
  if (watcher.joinable()) watcher.join();
}

TEST(Watchdog, NobodyMissesARankThatSaidGoodbye) {
  std::atomic<int> losses{0};
  const WatchdogOptions options{.beat_s = kBeat_s,
                                .peer_timeout_s = 1,
                                .on_loss = [&](const Communicator&, const PeerLoss&) { ++losses; }};
  Communicator comm(MPI_COMM_WORLD);
  {
    std::optional<Watchdog> watchdog(std::in_place, comm, options);
    ASSERT_EQ(watchdog->problem(), "");
    if (comm.rank() == comm.size() - 1) watchdog.reset();
    if (comm.size() > 1 && comm.rank() == 0) {
      EXPECT_TRUE(comes_true([&] { return watchdog->ages().back().ended; }));
      std::this_thread::sleep_for(milliseconds(2500));  // past the timeout, and past the grace of a lost line
    }
    comm.barrier();
  }
  EXPECT_EQ(losses, 0);
}

TEST(Watchdog, SilenceIsALossThatRankZeroSpeaksOf) {
  std::atomic<int> lost{-1};
  std::atomic<bool> speaks{false};
  Communicator comm(MPI_COMM_WORLD);
  if (comm.size() < 3) return;  // the silent one, rank 0 and one that is told
  const int silent = comm.size() - 1;
  const double beat_s = comm.rank() == silent ? 1000 : kBeat_s;
  Watchdog watchdog(comm, {.beat_s = beat_s,
                           .peer_timeout_s = 20 * beat_s,
                           .on_loss = [&](const Communicator&, const PeerLoss& loss) {
                             speaks = loss.speaks;
                             lost = loss.rank;
                           }});
  ASSERT_EQ(watchdog.problem(), "");
  if (comm.rank() != silent) {
    EXPECT_TRUE(comes_true([&] { return lost == silent; }));
    EXPECT_EQ(speaks, comm.rank() == 0);
  }
  comm.barrier();
}

TEST(PeerSockets, ListsOfInterfacesDecide) {
  ASSERT_EQ(setenv("OMPI_MCA_btl_tcp_if_include", "no-such-interface0,240.0.0.0/24", 1), 0);
  EXPECT_TRUE(detail::reachable_addresses(4).empty());
  unsetenv("OMPI_MCA_btl_tcp_if_include");
  ASSERT_EQ(setenv("OMPI_MCA_btl_tcp_if_exclude", "0.0.0.0/0,::/0", 1), 0);
  EXPECT_TRUE(detail::reachable_addresses(4).empty());
  unsetenv("OMPI_MCA_btl_tcp_if_exclude");
}

TEST(PeerSockets, AMessageArrivesInPiecesAndAnEndIsSeen) {
  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
  detail::MessageStream left{FileDescriptor(ends[0])};
  detail::MessageStream right{FileDescriptor(ends[1])};
  std::array<std::byte, detail::MessageStream::kMessageBytes> message{};
  message.front() = std::byte{1};
  message.back() = std::byte{2};
  EXPECT_FALSE(right.receive());
  ASSERT_EQ(::send(left.descriptor(), message.data(), 100, 0), 100);
  EXPECT_TRUE(right.receive());
  EXPECT_FALSE(right.next());
  ASSERT_EQ(::send(left.descriptor(), message.data() + 100, 92, 0), 92);
  left.send(message);
  EXPECT_TRUE(right.receive());
  EXPECT_EQ(right.next(), message);
  EXPECT_EQ(right.next(), message);
  EXPECT_FALSE(right.next());
  left.close();
  right.receive();
  EXPECT_FALSE(right.open());
}

TEST(PeerSockets, WhoReadsNothingCostsNoMemory) {
  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
  const FileDescriptor deaf(ends[1]);
  detail::MessageStream stream{FileDescriptor(ends[0])};
  const std::array<std::byte, detail::MessageStream::kMessageBytes> message{};
  for (int beat = 0; beat < 100000; ++beat) stream.send(message);
  EXPECT_TRUE(stream.open());
  EXPECT_FALSE(stream.flushed());
}

}  // namespace
}  // namespace firesteel
