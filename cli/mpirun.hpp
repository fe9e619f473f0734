// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdio>
#include <memory>
#include <string>
#include <vector>

namespace firesteel::cli {

/// The mpirun that --ranks starts: the one beside the MPI library that is loaded, else that of the MPI of the
/// build, else the first in PATH. Local.
std::string mpirun_path();

/// How one run of mpirun ended.
struct MpirunEnd {
  int code = 0;         ///< its exit code; 128 + signal where it was killed itself
  bool killed = false;  ///< mpirun itself was killed
  bool started = true;  ///< false: there is no mpirun to start
  double seconds = 0;
  std::string message;  ///< captured: the job's `firesteel: ` line without that prefix, if it said one
};

/// What a person asked this process for while it looks after a job.
struct StopRequest {
  bool save_and_stop = false;  ///< SIGUSR1, or the first interrupt of a job that has checkpoints
  bool interrupted = false;    ///< end at once
};
StopRequest stop_request();

/// From now on SIGINT, SIGTERM, SIGHUP and SIGUSR1 are passed to the job that mpirun runs: an interrupt to
/// its ranks, which end at once, and seconds later to an mpirun that is still there. `has_checkpoints`: the
/// first interrupt asks the job to save and stop, as SIGUSR1 does. Call once.
void pass_signals_to_mpirun(bool has_checkpoints);

/// Where the output of a job waits until the job is known to be done: a file without a name.
class OutputSpool {
 public:
  /// Throws cannot_create (73) where no temporary file can be made.
  OutputSpool();
  int descriptor() const;
  bool empty() const;
  /// Forgets what an attempt that failed has written.
  void clear();
  /// Copies everything to stdout; false with errno where that fails.
  bool forward() const;

 private:
  struct Closer {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  std::unique_ptr<std::FILE, Closer> file_;
};

/// Runs mpirun with `ranks` ranks of this program, given `words`, and waits for its end. mpirun ends when
/// this process is killed. `outlives_ranks`: where a rank dies mpirun lets the others go on (needs an MPI
/// that can, see core/ulfm.hpp). With a spool, stdout goes there, the lines of stderr that begin with
/// `firesteel: ` are held back as the message, and processes that mpirun left behind are gone when this
/// returns.
MpirunEnd run_mpirun(int ranks, const std::vector<std::string>& words, OutputSpool* spool,
                     bool outlives_ranks = false);

}  // namespace firesteel::cli
