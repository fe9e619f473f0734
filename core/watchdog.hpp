// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "firesteel/core/communicator.hpp"
#include "firesteel/core/index.hpp"

namespace firesteel {

/// A rank that others have lost contact with.
struct PeerLoss {
  int rank = 0;
  std::string host;
  double seconds = 0;             ///< since it was last heard of
  int others = 0;                 ///< further ranks lost with it
  bool connection_ended = false;  ///< its process is gone; false: silence (host, network, or it is stopped)
  bool speaks = false;            ///< this rank says so; false: another one does
  double turn_s = 0;              ///< wait so long before speaking, so that one rank speaks
};

/// How long ago a rank gave a sign of life, and what it does.
struct PeerAge {
  int rank = 0;
  std::string host;
  double heard_s = 0;     ///< since it was last heard of
  double progress_s = 0;  ///< since its ticks last grew
  std::string operation;  ///< the operation it is in ("allreduce_sum"); empty: it computes
  std::string phase;      ///< "reading", "fitting", …; empty where nobody says so
  Index ticks = 0;        ///< as Activity has them
  Index iteration = 0;    ///< of the fit
  bool ended = false;     ///< it has said goodbye
};

struct WatchdogOptions {
  double beat_s = 0;          ///< between two signs of life; 0: no watchdog
  double peer_timeout_s = 0;  ///< silence after which a rank is lost; 0: none is, ages() alone
  /// A rank whose process ends is not lost: MPI notices that and goes on. One that is silent still is.
  bool processes_may_end = false;
  /// Called once, by the watchdog's thread, on every rank that hears of a loss; need not return. Null: the
  /// job is aborted with code 69.
  std::function<void(const Communicator&, const PeerLoss&)> on_loss;
};

/// Signs of life between the ranks of a job, by a thread and TCP connections of their own: MPI itself may
/// notice a cut cable or a stopped process late or never.
///
/// Every rank has one connection, to rank 0. Rank 0 listens where the routing table leads to the others (on
/// loopback where all are on one node); who connects must know a random token that was spread by MPI. A beat
/// is 192 bytes and carries the rank's Activity. Rank 0 notices the loss of any other rank and tells those
/// that it still reaches; the others notice the loss of rank 0. A thread that was itself stopped for long
/// counts the silence of others anew, so a job that is suspended and continued as a whole survives. A link
/// that is cut between two ranks other than 0 is not noticed.
class Watchdog {
 public:
  /// Collective, as the destructor need not be. Inactive where `options` say so, on one rank, and where a
  /// rank cannot connect or start a thread: then problem() says why, on all ranks.
  Watchdog(const Communicator& comm, WatchdogOptions options);
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;
  /// Says goodbye: from now on nobody misses this rank.
  ~Watchdog();

  /// Why it is inactive although asked for; else empty. Local.
  const std::string& problem() const;
  /// On rank 0: of every rank, in rank order. Elsewhere: of rank 0 and this rank. Empty where inactive.
  /// Local, from any thread.
  std::vector<PeerAge> ages() const;
  /// This rank is about to end the whole job and has said why: nobody else need speak of losses. Ranks that
  /// are still there 10 seconds later get on_loss with speaks = false. Local, from any thread.
  void announce_end();

 private:
  class State;
  std::unique_ptr<State> state_;
  std::string problem_;
};

}  // namespace firesteel
