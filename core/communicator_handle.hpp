// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "firesteel/core/communicator.hpp"
#include "firesteel/core/interruptible_messages.hpp"

// What the files of Communicator's members share; part of core, not for others.
namespace firesteel {

namespace detail {

constexpr std::size_t kMaxErrorText = 4000;

/// A rank's failure as it travels; its text follows. Ranks compare them to find which one is told.
struct FailureKey {
  Index failed = 0;
  Index precedence = 0;
  Index file = 0;
  Index offset = 0;
  Index code = 0;
  Index text_bytes = 0;
};

}  // namespace detail

struct Communicator::Handle {
  MPI_Comm comm = MPI_COMM_NULL;
  int rank = 0;
  int size = 1;
  int node_size = 1;
  std::size_t max_message_bytes = 0;
  // Reserved for agree(), which may have to report that memory is exhausted.
  std::vector<detail::FailureKey> failure_keys;
  std::array<char, detail::kMaxErrorText> failure_text{};
  std::map<std::string, Traffic, std::less<>> traffic;
  Activity activity;
  std::vector<MPI_Request> requests;                        // of exchange(): kept, so that it takes no memory
  std::vector<std::byte> scratch;                           // of allreduce_long: as long on every rank
  std::unique_ptr<detail::InterruptibleMessages> messages;  // where a lost rank interrupts; else null

  Handle() = default;
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  ~Handle() {
    const bool whole = !messages || messages->whole();
    messages.reset();
    int finalized = 0;
    MPI_Finalized(&finalized);
    if (finalized == 0 && comm != MPI_COMM_NULL && whole) MPI_Comm_free(&comm);
  }
};

/// Calls body(offset, count) for consecutive pieces no longer than a message may be.
template <class Body>
void Communicator::in_pieces(std::size_t bytes, std::size_t unit, Body&& body) const {
  const std::size_t piece = handle_->max_message_bytes / unit * unit;
  for (std::size_t offset = 0; offset < bytes; offset += piece) body(offset, std::min(piece, bytes - offset));
}

}  // namespace firesteel
