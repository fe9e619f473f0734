// SPDX-License-Identifier: Apache-2.0
#include "firesteel/cli/lost_contact.hpp"

#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <csignal>
#include <fstream>
#include <string_view>
#include <thread>

#include "firesteel/cli/ending.hpp"
#include "firesteel/core/atomic_file.hpp"

namespace firesteel::cli {

namespace {

constexpr int kUnavailable = static_cast<int>(ErrorCode::unavailable);
constexpr int kAbortLimit_ms = 5000;  // for mpirun to end a job by itself; under a second where CPUs are free

/// Whether a process is one of Open MPI's that start ranks. Others, such as Slurm's, know when a host is
/// gone.
bool is_launcher(pid_t process) {
  constexpr std::array<std::string_view, 7> kNames{"mpirun",  "mpiexec", "orterun", "orted",
                                                   "prterun", "prted",   "prte"};
  std::string name;
  std::ifstream("/proc/" + std::to_string(process) + "/comm") >> name;
  return std::find(kNames.begin(), kNames.end(), name) != kNames.end();
}

// glibc 2.36 declares these without C linkage.
int open_process(pid_t process) { return static_cast<int>(syscall(SYS_pidfd_open, process, 0)); }
void kill_process(int process) { syscall(SYS_pidfd_send_signal, process, SIGKILL, nullptr, 0); }

void wait_for_exit(int process, int milliseconds) {
  pollfd waiting{process, POLLIN, 0};
  poll(&waiting, 1, milliseconds);
}

/// Leaves a process behind that kills this one and its launcher unless they end by themselves. A process
/// group of its own: mpirun kills that of a rank. Handles on processes, not numbers: those could be reused.
void start_reaper() {
  const pid_t parent = getppid();
  const int rank = open_process(getpid());
  const int launcher = is_launcher(parent) ? open_process(parent) : -1;
  if (rank < 0 || fork() != 0) return;
  // Only calls that are safe after a fork of a process with threads. The pipes to mpirun are closed: it would
  // wait for them.
  setsid();
  const auto first = static_cast<unsigned>(std::min(rank, launcher < 0 ? rank : launcher));
  const auto last = static_cast<unsigned>(std::max(rank, launcher));
  if (first > 0) close_range(0, first - 1, 0);
  if (last > first + 1) close_range(first + 1, last - 1, 0);
  close_range(last + 1, ~0U, 0);
  wait_for_exit(launcher < 0 ? rank : launcher, kAbortLimit_ms);
  if (launcher >= 0) kill_process(launcher);
  wait_for_exit(rank, 1000);
  kill_process(rank);
  _exit(0);
}

}  // namespace

std::string loss_message(const PeerLoss& loss, const std::string& checkpoint) {
  std::string text = "lost contact with rank " + std::to_string(loss.rank) + " on host " + loss.host;
  if (loss.others > 0)
    text += " and " + std::to_string(loss.others) + " other rank" + (loss.others > 1 ? "s" : "");
  const auto seconds = std::to_string(std::lround(loss.seconds));
  text += loss.connection_ended ? ": its process has ended"
                                : " for " + seconds + " s: the host, the network or the process has stopped";
  if (checkpoint.empty()) return text;
  return text + "; --resume goes on from the checkpoint in " + checkpoint;
}

void end_after_loss(const Communicator& comm, const PeerLoss& loss, const std::string& message) {
  remove_temporary_files();
  if (loss.speaks) {
    std::this_thread::sleep_for(std::chrono::duration<double>(loss.turn_s));
    print_error(message);
  }
  start_reaper();
  if (loss.speaks) comm.abort(kUnavailable);
  std::this_thread::sleep_for(std::chrono::milliseconds(kAbortLimit_ms + 2000));
  _exit(kUnavailable);
}

}  // namespace firesteel::cli
