// SPDX-License-Identifier: Apache-2.0
#include "firesteel/cli/mpi_job.hpp"

#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <optional>

#include "firesteel/cli/ending.hpp"
#include "firesteel/cli/launch.hpp"
#include "firesteel/cli/lost_contact.hpp"
#include "firesteel/cli/progress.hpp"
#include "firesteel/cli/verbs.hpp"
#include "firesteel/core/atomic_file.hpp"
#include "firesteel/core/mpi_runtime.hpp"
#include "firesteel/core/state_copies.hpp"
#include "firesteel/core/survivors.hpp"
#include "firesteel/core/ulfm.hpp"
#include "firesteel/io/arrow_file.hpp"
#include "firesteel/io/near_blocks.hpp"
#include "firesteel/io/parts_output.hpp"
#include "firesteel/io/store.hpp"
#include "firesteel/io/write_arrow.hpp"

namespace firesteel::cli {

namespace {

void run_verb(const Run& run) {
  switch (run.job.command->verb) {
    case Verb::train:
      return run_train(run);
    case Verb::score:
      return run_score(run);
    case Verb::evaluate:
      return run_evaluate(run);
    case Verb::inspect:
      return run_inspect(run);
    case Verb::convert:
      return run_convert(run);
    case Verb::doctor:
      return run_doctor(run);
    case Verb::plan:
      return run_plan(run);
    case Verb::describe:
      return run_describe(run);
    case Verb::sample:
      return run_sample(run);
    case Verb::split:
      return run_split(run);
    case Verb::sort:
      return run_sort(run);
    case Verb::join:
      return run_join(run);
    case Verb::learners:
      return;  // answered without MPI
  }
}

/// What is freed leaves the process at once, so that a bound on its memory can be kept: malloc would move its
/// thresholds up to what it has seen, and give every thread an arena of its own.
void give_memory_back() {
  constexpr int kLargeBytes = 128 << 10;
  mallopt(M_MMAP_THRESHOLD, kLargeBytes);
  mallopt(M_TRIM_THRESHOLD, kLargeBytes);
  mallopt(M_ARENA_MAX, 1);
}

/// Apache Arrow takes some 20 MB; where it is to write, it is counted with what the process holds when it
/// starts. Where it cannot be loaded, who needs it says so.
void load_what_is_written_with(const Job& job) {
  const std::string format = arrow_format_of(without_slash(job.output));
  if (format.empty()) return;
  try {
    arrow_module(format);
  } catch (const Error&) {
    return;
  }
}

/// How ranks notice that they have lost one, or wait for one.
WatchdogOptions watchdog_options(const Job& job, bool goes_on) {
  double beat_s = 1;
  for (const double wait_s : {job.peer_timeout_s, job.stall_s})
    if (wait_s > 0) beat_s = std::min(beat_s, wait_s / 4);
  if (job.peer_timeout_s <= 0 && job.stall_s <= 0) return {};
  const std::string checkpoint = job.checkpoint.directory;
  return {.beat_s = beat_s,
          .peer_timeout_s = job.peer_timeout_s,
          .processes_may_end = goes_on,
          .on_loss = [checkpoint](const Communicator& comm, const PeerLoss& loss) {
            end_after_loss(comm, loss, loss_message(loss, checkpoint));
          }};
}

/// "rank 2 of 4 has died", "ranks 0 and 3 of 4 have died".
std::string loss_text(const std::vector<int>& lost, int ranks) {
  std::string text = lost.size() == 1 ? "rank " : "ranks ";
  for (std::size_t i = 0; i < lost.size(); ++i)
    text += (i == 0 ? "" : i + 1 == lost.size() ? " and " : ", ") + std::to_string(lost[i]);
  return text + " of " + std::to_string(ranks) + (lost.size() == 1 ? " has died" : " have died");
}

std::string point_text(const RecoveryPoint& point, const std::string& checkpoint) {
  if (point.from_memory()) return "after iteration " + std::to_string(*point.in_memory);
  if (point.on_disk)
    return "from the checkpoint of iteration " + std::to_string(*point.on_disk) + " in " + checkpoint;
  return "from the beginning: no copy of the fit's state is left";
}

/// The job on all ranks: one try, or where ranks may be lost as many as it takes.
class MpiJob {
 public:
  MpiJob(Job& job, const std::vector<std::string>& words, const std::exception_ptr& word_failure,
         std::shared_ptr<Watchdog>& watchdog)
      : job_(job),
        words_(words),
        word_failure_(word_failure),
        monitor_(std::make_shared<TerminalMonitor>(job.quiet, job.verbose)),
        watchdog_(watchdog) {}

  int run() {
    try {
      if (job_.shrink) prepare_for_losses();
      while (!try_once()) go_on_without_the_lost();
      monitor_->finish_heartbeat(nullptr);
      if (survivors_) leave();
      return code_;
    } catch (...) {
      end();
    }
  }

 private:
  /// Survivors where MPI can go on without a rank; else why it cannot.
  void prepare_for_losses() {
    runtime_ = MpiRuntime::acquire();
    cannot_go_on_ = why_no_rank_may_be_lost();
    if (!cannot_go_on_.empty()) return;
    survivors_.emplace();
    copies_ = std::make_shared<StateCopies>();
  }

  /// True where the job is done, for all ranks alike.
  bool try_once() {
    interruption_ = nullptr;
    try {
      work();
    } catch (const MpiError&) {
      if (!survivors_) throw;
      interruption_ = std::current_exception();
    }
    if (!survivors_) return true;
    context_.reset();
    constexpr int kDone = 1;
    constexpr int kNotPrinted = 2;
    const int agreed =
        survivors_->agree((interruption_ ? 0 : kDone) | (job_.result_printed ? 0 : kNotPrinted));
    return (agreed & kDone) != 0 || (agreed & kNotPrinted) == 0;
  }

  void work() {
    const ContextOptions options{
        .threads = job_.threads,
        .monitor = monitor_,
        .checkpoint = job_.checkpoint,
        .watchdog = watchdog_options(job_, survivors_.has_value()),
        .rank_loss = survivors_ ? Communicator::RankLoss::interrupts : Communicator::RankLoss::ends_the_job,
        .copies = copies_,
        .storage = job_.storage};
    if (survivors_)
      context_.emplace(survivors_->comm(), options);
    else
      context_.emplace(options);
    watchdog_ = context_->watchdog();
    set_store_scratch(context_->scratch());
    const std::string split = split_job_explanation(context_->size());
    if (!split.empty() && launcher().rank != 0) {
      code_ = static_cast<int>(ErrorCode::bad_parameter);
      return;
    }
    if (!split.empty()) throw bad_parameter(split);
    context_->comm().agree(word_failure_);
    monitor_->set_rank(context_->rank());
    if (lost_.empty())
      introduce();
    else
      report_losses();
    place_ranks();
    if (job_.command->verb != Verb::inspect && job_.command->verb != Verb::doctor)
      monitor_->watch_for_stalls(*context_, job_.stall_s);
    run_verb({*context_, *monitor_, job_});
    monitor_->clear_bar();
    monitor_->report_traffic(context_->comm());
  }

  /// Gives ranks new numbers where their hosts hold blocks of the input. Where ranks may be lost they stay.
  void place_ranks() {
    if (survivors_ || job_.command->verb == Verb::plan) return;
    context_ = near_blocks(*context_, job_.read.inputs);
    watchdog_ = context_->watchdog();
  }

  void introduce() const {
    if (job_.command->verb == Verb::inspect || job_.command->verb == Verb::doctor) return;
    monitor_->say(context_->placement().describe());
    const std::string warning = context_->placement().warning();
    if (!warning.empty()) monitor_->warning(warning);
    const std::string& unwatched = context_->watchdog()->problem();
    if (!unwatched.empty())
      monitor_->warning("a lost host or a stall will not be noticed: " + unwatched +
                        "; --peer-timeout 0 --stall-seconds 0 does without");
    if (!cannot_go_on_.empty() && context_->size() > 1)
      monitor_->warning("--on-failure shrink: " + cannot_go_on_ + "; the job will end when a rank dies" +
                        (job_.checkpoint.directory.empty()
                             ? ", and --checkpoint DIR is not given"
                             : ", and --resume go on from " + job_.checkpoint.directory));
  }

  /// Once: what has happened and from where the others go on.
  void report_losses() {
    const RecoveryPoint point = copies_->settle(context_->comm());
    if (reported_ == lost_.size()) return;
    std::string text;
    for (; reported_ < lost_.size(); ++reported_) text += (text.empty() ? "" : ", then ") + lost_[reported_];
    const int left = context_->size();
    monitor_->warning(text + ": " + std::to_string(left) + (left == 1 ? " rank goes" : " ranks go") + " on " +
                      point_text(point, job_.checkpoint.directory));
  }

  void go_on_without_the_lost() {
    monitor_->stop_watching();
    const int before = survivors_->size();
    const auto lost = survivors_->remove_lost();
    if (lost.empty()) refuse_to_go_on();
    lost_.push_back(loss_text(lost, before));
    job_ = check_words(words_);  // as before the first try
  }

  /// MPI has failed, and nobody is lost: it would fail again.
  [[noreturn]] void refuse_to_go_on() {
    std::string reason = "an operation failed on another rank";
    if (interruption_) reason = to_error(interruption_).what();
    context_.emplace(survivors_->comm());  // to end all ranks together
    throw Error(ErrorCode::internal, "MPI failed though no rank has died: " + reason, {}, true);
  }

  /// Ends this process well. Not by MPI_Finalize, in which Open MPI 5 may wait for those that have died.
  [[noreturn]] void leave() {
    watchdog_.reset();
    std::fflush(stdout);
    std::fflush(stderr);
    _exit(code_);
  }

  [[noreturn]] void end() {
    monitor_->clear_bar();
    const Error error = to_error(std::current_exception());
    monitor_->finish_heartbeat(&error);
    if (watchdog_) watchdog_->announce_end();
    if (context_ && launcher().mpirun) end_ranks(context_->comm(), error);
    if (launcher().mpirun) wait_for_turn(launcher().rank);  // what begins the context failed, on all ranks
    // Without the usual clean-up: a library whose write failed may fail again in its own.
    end_job(end_alone(error));
  }

  Job& job_;
  const std::vector<std::string>& words_;
  const std::exception_ptr& word_failure_;
  std::shared_ptr<MpiRuntime> runtime_;
  std::shared_ptr<TerminalMonitor> monitor_;
  std::shared_ptr<Watchdog>& watchdog_;
  std::optional<Survivors> survivors_;   // where ranks may be lost
  std::shared_ptr<StateCopies> copies_;  // null where none may be
  std::string cannot_go_on_;             // why, where it was asked for
  std::optional<Context> context_;
  std::exception_ptr interruption_;
  std::vector<std::string> lost_;  // one text each time
  std::size_t reported_ = 0;       // of lost_
  int code_ = 0;
};

}  // namespace

int end_alone(const Error& error) {
  remove_temporary_files();
  print_error(error.what());
  return static_cast<int>(error.code());
}

int run_with_mpi(Job& job, const std::vector<std::string>& words, const std::exception_ptr& word_failure) {
  prepare_mpi_environment();
  if (job.storage.bounded()) {
    give_memory_back();
    load_what_is_written_with(job);
  }
  if (!job.checkpoint.directory.empty() && !launcher().mpirun) interrupts_ask_to_stop();
  static std::shared_ptr<Watchdog> watchdog;  // made before MPI is, so it also watches over the end of MPI
  return MpiJob(job, words, word_failure, watchdog).run();
}

}  // namespace firesteel::cli
