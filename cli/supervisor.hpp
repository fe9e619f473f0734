// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "firesteel/cli/job.hpp"

namespace firesteel::cli {

/// What stands before the command: how the job is launched.
struct LaunchOptions {
  int ranks = 1;
  std::optional<int> max_restarts;  ///< none or 0: the job is not looked after
  double restart_delay = 1;  ///< seconds before the first restart; doubled at each failure without progress
};

/// The most ranks that --ranks starts on this machine alone: 64 for each of its `cpus`, and 256 at least.
/// More are a slip, which would keep it busy for minutes before any of them fails.
int most_ranks_here(int cpus);

/// Whether the environment names the hosts of the job, by a host file of Open MPI or as the allocation of a
/// scheduler (Slurm, PBS, LSF, Grid Engine): then they are not bounded by this machine.
bool hosts_are_given();

/// `--ranks N COMMAND …`: runs this program under mpirun and returns the exit code for it. Interrupts are
/// passed on and end with 130; where the job has checkpoints the first one asks it to save and stop (75), as
/// SIGUSR1 always does. More than most_ranks_here() are refused (64) unless hosts_are_given().
///
/// With restarts the job is looked after: when a rank or mpirun dies it is started anew, with --resume where
/// the job has saved a checkpoint since, on the ranks that are still to be had, after a pause. The job's
/// stdout is held back until it is done, so that it comes once. Errors that would come again end it at once.
///
/// A job whose ranks are to go on when one dies (--on-failure shrink) is looked after, too, with 5 restarts
/// unless a number is given: for what its MPI does not survive, which may be any loss.
int launch(const LaunchOptions& options, const std::vector<std::string>& words, const Job& job);

// The rules, for launch() and for tests.

/// Whether a job that ended with this code may do better at another try: it died of a signal (128 + n, but
/// not 130), mpirun gave up (1), or it met what may pass: a service that is away (69), an internal error such
/// as a lost connection (70), failed I/O (74). The words, the data, the files, memory and a requested stop
/// stay what they are.
bool worth_restarting(int code);

/// Seconds to wait: `first` · 2^(failures − 1), at most a minute (or `first`, if that is longer). `failures`:
/// in a row, without a checkpoint between; at least 1.
double pause_before_restart(double first, int failures);

/// Ranks of the next try. The ranks a CPU stay what they were: where `cpus` are left of `first_cpus`, that
/// share of `ranks`, at least 1. After every second failure in a row without progress half of that: fewer
/// ranks need less memory and fewer connections.
int ranks_to_be_had(int ranks, int first_cpus, int cpus, int failures);

}  // namespace firesteel::cli
