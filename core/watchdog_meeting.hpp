// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <exception>
#include <string>
#include <vector>

#include "firesteel/core/communicator.hpp"
#include "firesteel/core/peer_sockets.hpp"

namespace firesteel::detail {

/// A rank that has said the token, and the connection to it.
struct MetPeer {
  int rank = 0;
  MessageStream stream;
};

/// What the meeting of all ranks' watchdogs came to.
struct MetPeers {
  std::vector<std::string> hosts;  ///< by rank
  std::vector<MetPeer> peers;      ///< rank 0 has all others, in rank order; each other rank has rank 0
  std::string failure;             ///< empty, or why not all could meet: the same on all ranks
};

/// Connects every rank to rank 0, which listens where the others can reach it and lets in who knows a random
/// token that was spread by MPI. Takes at most 15 seconds. Collective.
MetPeers meet_all(const Communicator& comm);

/// Of the first rank that has a failure (a text that is not empty); else empty. Collective.
std::string first_failure(Communicator& comm, const std::string& failure);

/// Runs body; what it threw as a text, else empty. Local.
template <class F>
std::string attempt(F&& body) noexcept {
  try {
    body();
    return {};
  } catch (const std::exception& error) {
    return error.what();
  }
}

/// Seconds of a clock that never goes back. Local.
double now_s();

}  // namespace firesteel::detail
