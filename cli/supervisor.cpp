// SPDX-License-Identifier: Apache-2.0
#include "firesteel/cli/supervisor.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <optional>
#include <thread>

#include "firesteel/cli/ending.hpp"
#include "firesteel/cli/mpirun.hpp"
#include "firesteel/cli/steps.hpp"
#include "firesteel/core/checkpoint.hpp"
#include "firesteel/core/mpi_runtime.hpp"
#include "firesteel/core/placement.hpp"
#include "firesteel/core/printable.hpp"
#include "firesteel/core/ulfm.hpp"

namespace firesteel::cli {

namespace {

constexpr int kSignalBase = 128;
constexpr int kInterrupted = static_cast<int>(ErrorCode::interrupted);
constexpr int kStopped = static_cast<int>(ErrorCode::stopped);
constexpr double kLongestPauseS = 60;
constexpr std::size_t kReportedFailures = 10;
constexpr int kRestartsOfShrinkingJobs = 5;

std::string count_text(int count, const std::string& noun) {
  return std::to_string(count) + " " + noun + (count == 1 ? "" : "s");
}

std::string seconds_text(double seconds) { return short_number(std::round(seconds * 100) / 100) + " s"; }

/// A word as a shell takes it.
std::string shell_word(const std::string& word) {
  const bool plain =
      !word.empty() &&
      word.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=.,:/@%") ==
          std::string::npos;
  if (plain) return word;
  std::string quoted = "'";
  for (const char c : word) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

/// The words without `--name VALUE` and `--name=VALUE`.
std::vector<std::string> without_option(std::vector<std::string> words, const std::string& name) {
  for (auto word = words.begin(); word != words.end();) {
    const bool apart = *word == name && word + 1 != words.end();
    if (apart || word->starts_with(name + "="))
      word = words.erase(word, word + (apart ? 2 : 1));
    else
      ++word;
  }
  return words;
}

/// Says that the job was stopped before it could say so itself; the exit code for it.
int stopped_early(const std::string& how, const std::optional<SavedCheckpoint>& last) {
  print_error("stopped by request: " + how + "; " +
              (last ? "--resume goes on from " + last->path : std::string("nothing was saved")));
  return kStopped;
}

/// "a rank was killed by signal 9 (Killed)", "code 74: ...".
std::string cause(const MpirunEnd& end) {
  std::string text;
  if (end.code > kSignalBase) {
    const int number = end.code - kSignalBase;
    const char* name = strsignal(number);
    text = std::string(end.killed ? "mpirun" : "a rank") + " was killed by signal " + std::to_string(number) +
           " (" + (name != nullptr ? name : "?") + ")";
  } else {
    text = "code " + std::to_string(end.code);
  }
  return end.message.empty() ? text : text + ": " + end.message;
}

std::string too_early(const MpirunEnd& end) { return "it ended before it could save (" + cause(end) + ")"; }

/// One job with restarts: what happened so far.
class Supervisor {
 public:
  Supervisor(const LaunchOptions& options, const std::vector<std::string>& words, const Job& job)
      : options_(options),
        most_restarts_(options.max_restarts.value_or(kRestartsOfShrinkingJobs)),
        shrinks_(job.shrink && mpi_outlives_ranks()),
        words_(shrinks_ ? words : without_option(words, "--on-failure")),
        job_(job),
        first_cpus_(available_cpus()),
        ranks_(options.ranks),
        before_(newest_checkpoint(job.checkpoint.directory)),
        last_(before_) {}

  int run() {
    if (job_.shrink && !shrinks_)
      warn("--on-failure shrink: " + mpi_found() + " cannot go on without a rank, Open MPI 5 can; when one " +
           "dies the job is started anew");
    while (true) {
      spool_.clear();
      MpirunEnd end = run_mpirun(ranks_, words_of_try(), &spool_, shrinks_);
      if (shrinks_ && end.code == 0 && spool_.empty()) {
        // Open MPI 5 has it that all is well where no rank is left: a job that is done has said so.
        end.code = kSignalBase + SIGKILL;
        end.message = "no rank is left";
      }
      if (const auto code = final_code(end)) return *code;
      note_failure(end);
      if (restarts_ == most_restarts_) return give_up(end);
      if (const auto code = prepare_restart()) return *code;
    }
  }

 private:
  /// A checkpoint that this job has saved, not one that lay there before.
  bool has_saved() const { return last_ && last_ != before_; }

  std::vector<std::string> words_of_try() const {
    std::vector<std::string> words = words_;
    if (has_saved() && !job_.checkpoint.resume) {
      std::erase(words, "--no-resume");
      std::erase(words, "--resume=false");
      words.emplace_back("--resume");
    }
    return words;
  }

  /// The exit code, everything said, where this end is the end.
  std::optional<int> final_code(const MpirunEnd& end) {
    if (end.code == 0) return finish();  // done, whatever was asked for meanwhile
    if (stop_request().interrupted) {
      print_error("interrupted");
      return kInterrupted;
    }
    if (!end.started) {
      print_error(end.message);
      return static_cast<int>(ErrorCode::unavailable);
    }
    if (worth_restarting(end.code)) {
      if (!stop_request().save_and_stop) return std::nullopt;
      return stopped(too_early(end));
    }
    if (!end.message.empty()) print_error(end.message);
    return end.code;
  }

  int finish() {
    if (spool_.forward()) return 0;
    print_error(std::string("stdout: cannot write: ") + std::strerror(errno));
    return static_cast<int>(ErrorCode::io_failed);
  }

  int stopped(const std::string& how) {
    last_ = newest_checkpoint(job_.checkpoint.directory);
    return stopped_early(how, last_);
  }

  void note_failure(const MpirunEnd& end) {
    const auto now = newest_checkpoint(job_.checkpoint.directory);
    failures_in_row_ = now != last_ ? 1 : failures_in_row_ + 1;
    last_ = now;
    std::string text = count_text(ranks_, "rank") + ", " + cause(end) + " after " + seconds_text(end.seconds);
    if (has_saved()) text += ", iteration " + std::to_string(last_->iteration) + " saved";
    failures_.push_back(std::move(text));
  }

  void warn(const std::string& text) const {
    if (!job_.quiet) std::fputs(("warning: " + printable(text) + "\n").c_str(), stderr);
  }

  /// Settles the next try and waits; a code where the wait was ended by a signal.
  std::optional<int> prepare_restart() {
    ++restarts_;
    ranks_ = ranks_to_be_had(options_.ranks, first_cpus_, available_cpus(), failures_in_row_);
    const double pause_s = pause_before_restart(options_.restart_delay, failures_in_row_);
    warn(failures_.back() + "; restart " + std::to_string(restarts_) + " of " +
         std::to_string(most_restarts_) + " with " + count_text(ranks_, "rank") + " in " +
         seconds_text(pause_s) +
         (has_saved() ? ", going on from " + last_->path : std::string(", from the beginning")));
    const auto until = std::chrono::steady_clock::now() + std::chrono::duration<double>(pause_s);
    while (std::chrono::steady_clock::now() < until) {
      if (stop_request().interrupted) {
        print_error("interrupted");
        return kInterrupted;
      }
      if (stop_request().save_and_stop) return stopped("it was waiting to be restarted");
      const auto left = until - std::chrono::steady_clock::now();
      std::this_thread::sleep_for(
          std::min<std::chrono::duration<double>>(left, std::chrono::milliseconds(50)));
    }
    return std::nullopt;
  }

  int give_up(const MpirunEnd& end) const {
    std::string text = "gave up after " + count_text(restarts_, "restart") + ": ";
    const std::size_t skipped = failures_.size() - std::min(failures_.size(), kReportedFailures);
    if (skipped > 0) text += std::to_string(skipped) + " earlier failures; ";
    for (std::size_t i = skipped; i < failures_.size(); ++i)
      text += "(" + std::to_string(i + 1) + ") " + failures_[i] + "; ";
    text += has_saved() ? "last checkpoint " + last_->path : std::string("no checkpoint was saved");
    text += "; when the cause is gone, " + std::string(has_saved() ? "go on" : "start again") +
            " with: firesteel --ranks " + std::to_string(options_.ranks) + " --max-restarts " +
            std::to_string(most_restarts_);
    for (const auto& word : words_of_try()) text += " " + shell_word(word);
    print_error(text);
    return end.code;
  }

  const LaunchOptions& options_;
  int most_restarts_;
  bool shrinks_;  ///< when a rank dies the others go on
  std::vector<std::string> words_;
  const Job& job_;
  OutputSpool spool_;
  int first_cpus_;
  int ranks_;
  std::optional<SavedCheckpoint> before_;  ///< the newest when the job began
  std::optional<SavedCheckpoint> last_;    ///< the newest now
  int restarts_ = 0;
  int failures_in_row_ = 0;
  std::vector<std::string> failures_;
};

void refuse_too_many_ranks(int ranks) {
  const int cpus = available_cpus();
  if (ranks <= most_ranks_here(cpus) || hosts_are_given()) return;
  throw bad_parameter("--ranks " + std::to_string(ranks) + ": expected at most " +
                      std::to_string(most_ranks_here(cpus)) + " ranks on this machine of " +
                      count_text(cpus, "CPU") +
                      "; give fewer, or name other hosts, as by OMPI_MCA_orte_default_hostfile=FILE");
}

int launch_once(int ranks, const std::vector<std::string>& words, const Job& job) {
  const MpirunEnd end = run_mpirun(ranks, words, nullptr);
  if (!end.started) {
    print_error(end.message);
    return static_cast<int>(ErrorCode::unavailable);
  }
  if (end.code == 0) return 0;  // done, whatever was asked for meanwhile
  if (stop_request().interrupted) {
    print_error("interrupted");
    return kInterrupted;
  }
  // A rank that does not listen yet dies of the request to stop.
  if (stop_request().save_and_stop && end.code == kSignalBase + SIGUSR1)
    return stopped_early(too_early(end), newest_checkpoint(job.checkpoint.directory));
  return end.code;
}

}  // namespace

int most_ranks_here(int cpus) {
  constexpr int kRanksOfACpu = 64;
  constexpr int kAlwaysAllowed = 256;
  return std::max(kAlwaysAllowed, kRanksOfACpu * cpus);
}

bool hosts_are_given() {
  constexpr std::array kNames{"SLURM_JOB_ID",
                              "PBS_NODEFILE",
                              "LSB_HOSTS",
                              "LSB_DJOB_HOSTFILE",
                              "PE_HOSTFILE",
                              "OMPI_MCA_orte_default_hostfile",
                              "PRTE_MCA_prte_default_hostfile",
                              "PRTE_MCA_default_hostfile"};
  return std::any_of(kNames.begin(), kNames.end(),
                     [](const char* name) { return std::getenv(name) != nullptr; });
}

bool worth_restarting(int code) {
  constexpr int kMpirunGaveUp = 1;
  if (code == kMpirunGaveUp || (code > kSignalBase && code != kInterrupted)) return true;
  const auto error = static_cast<ErrorCode>(code);
  return error == ErrorCode::unavailable || error == ErrorCode::internal || error == ErrorCode::io_failed;
}

double pause_before_restart(double first, int failures) {
  return std::min(std::max(first, kLongestPauseS), std::ldexp(first, std::min(failures - 1, 60)));
}

int ranks_to_be_had(int ranks, int first_cpus, int cpus, int failures) {
  const Index share = cpus >= first_cpus ? ranks : static_cast<Index>(ranks) * cpus / first_cpus;
  const int halvings = std::min(failures / 2, 30);
  return static_cast<int>(std::max<Index>(1, share >> halvings));
}

int launch(const LaunchOptions& options, const std::vector<std::string>& words, const Job& job) {
  pass_signals_to_mpirun(!job.checkpoint.directory.empty());
  try {
    refuse_too_many_ranks(options.ranks);
    if (!job.shrink && options.max_restarts.value_or(0) == 0) return launch_once(options.ranks, words, job);
    return Supervisor(options, words, job).run();
  } catch (...) {
    const Error error = to_error(std::current_exception());
    print_error(error.what());
    return static_cast<int>(error.code());
  }
}

}  // namespace firesteel::cli
