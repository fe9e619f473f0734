// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "firesteel/core/watchdog.hpp"

namespace firesteel::cli {

/// The message for a lost rank; `checkpoint` is the directory of checkpoints, or empty.
std::string loss_message(const PeerLoss& loss, const std::string& checkpoint);

/// Ends this process and the whole job after ranks lost contact: one rank speaks and aborts the job with code
/// 69. Across a cut cable mpirun waits for hosts that cannot answer, and daemons on the far side for orders
/// that never come: what is left of this rank and of the launcher that started it is killed after some
/// seconds, on both sides. For WatchdogOptions::on_loss; does not return.
[[noreturn]] void end_after_loss(const Communicator& comm, const PeerLoss& loss, const std::string& message);

}  // namespace firesteel::cli
