// SPDX-License-Identifier: Apache-2.0
// The command line: checks the words, starts MPI where the command needs it, runs one verb and ends every
// rank with one exit code and at most one message.
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "firesteel/cli/ending.hpp"
#include "firesteel/cli/help.hpp"
#include "firesteel/cli/launch.hpp"
#include "firesteel/cli/progress.hpp"
#include "firesteel/cli/verbs.hpp"
#include "firesteel/core/atomic_file.hpp"
#include "firesteel/core/mpi_runtime.hpp"

namespace firesteel::cli {

namespace {

constexpr Index kMaxRanks = 1 << 20;

/// What main does before, or instead of, a verb.
struct Invocation {
  std::optional<int> ranks;
  std::vector<std::string> words;  ///< without `--ranks N`
  Job job;
  std::string answer;  ///< text to print, where no MPI is needed
};

int ranks_of(const std::string& text) {
  const auto number = parse_integer(text);
  if (!number || *number < 1 || *number > kMaxRanks)
    throw bad_parameter("--ranks: expected a whole number >= 1, got '" + text + "'");
  return static_cast<int>(*number);
}

/// Takes `--ranks N`, which stands before the command, off the words.
void take_ranks(Invocation& invocation) {
  auto& words = invocation.words;
  if (words.empty() || !words.front().starts_with("--ranks")) return;
  if (words.front() == "--ranks") {
    if (words.size() < 2) throw bad_parameter("--ranks: expected a value (N), got none");
    invocation.ranks = ranks_of(words[1]);
    words.erase(words.begin(), words.begin() + 2);
  } else if (words.front().starts_with("--ranks=")) {
    invocation.ranks = ranks_of(words.front().substr(8));
    words.erase(words.begin());
  }
  if (invocation.ranks && launcher().mpirun)
    throw bad_parameter("--ranks starts mpirun itself: leave out either mpirun or --ranks");
}

void check_invocation(Invocation& invocation) {
  take_ranks(invocation);
  const auto& words = invocation.words;
  if (words.empty())
    throw bad_parameter(
        "expected a command (train, score, evaluate, inspect, convert, learners); see firesteel --help");
  if (words.front() == "--version") {
    invocation.answer = "firesteel " FIRESTEEL_VERSION "\n";
    return;
  }
  if (words.front() == "--help" && words.size() == 1) {
    invocation.answer = general_help();
    return;
  }
  if (words.front() == "--help") {
    const Command* command = find_command(words[1]);
    if (command != nullptr) {
      invocation.answer = command_help(*command, nullptr);
      return;
    }
    throw bad_parameter("unknown command '" + words[1] + "'" + suggestion(words[1], command_names()) +
                        " (see firesteel --help)");
  }
  if (words.front().starts_with("--"))
    throw bad_parameter("unknown option " + words.front() + " before the command" +
                        suggestion(words.front().substr(2), {"ranks", "help", "version"}, "--") +
                        " (see firesteel --help)");
  invocation.job = check_words(words);
  const Job& job = invocation.job;
  if (job.help)
    invocation.answer = command_help(*job.command, job.entry);
  else if (job.command->verb == Verb::learners)
    invocation.answer = job.json ? learners_json(job.entry) : learners_text(job.entry);
}

/// Prints what needs no MPI, once, whatever the number of processes. Returns the exit code.
int print_answer(const std::string& text) {
  if (launcher().rank != 0) return 0;
  if (std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0) return 0;
  print_error(std::string("stdout: cannot write: ") + std::strerror(errno));
  return static_cast<int>(ErrorCode::io_failed);
}

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
    case Verb::learners:
      return;  // answered without MPI
  }
}

void run_job(Context& context, TerminalMonitor& monitor, Job& job) {
  monitor.set_rank(context.rank());
  if (job.command->verb != Verb::inspect) {
    monitor.say(context.placement().describe());
    const std::string warning = context.placement().warning();
    if (!warning.empty()) monitor.warning(warning);
  }
  run_verb({context, monitor, job});
  monitor.clear_bar();
  monitor.report_traffic(context.comm());
}

int end_alone(const Error& error) {
  remove_temporary_files();
  print_error(error.what());
  return static_cast<int>(error.code());
}

/// Runs the job on all ranks; `word_failure` is what this rank found wrong in its words.
int run_with_mpi(Job& job, const std::exception_ptr& word_failure) {
  prepare_mpi_environment();
  if (!job.checkpoint.directory.empty() && !launcher().mpirun) interrupts_ask_to_stop();
  auto monitor = std::make_shared<TerminalMonitor>(job.quiet, job.verbose);
  std::optional<Context> context;
  try {
    context.emplace(ContextOptions{.threads = job.threads, .monitor = monitor, .checkpoint = job.checkpoint});
    const std::string split = split_job_explanation(context->size());
    if (!split.empty() && launcher().rank != 0) return static_cast<int>(ErrorCode::bad_parameter);
    if (!split.empty()) throw bad_parameter(split);
    context->comm().agree(word_failure);
    run_job(*context, *monitor, job);
    return 0;
  } catch (...) {
    monitor->clear_bar();
    const Error error = to_error(std::current_exception());
    if (context && launcher().mpirun) end_ranks(context->comm(), error);
    // Without the usual clean-up: a library whose write failed may fail again in its own.
    end_job(end_alone(error));
  }
}

int run(std::vector<std::string> words) {
  prepare_ending(launcher().mpirun);
  Invocation invocation;
  invocation.words = std::move(words);
  std::exception_ptr word_failure;
  try {
    check_invocation(invocation);
  } catch (...) {
    word_failure = std::current_exception();
  }
  if (word_failure && !launcher().mpirun) return end_alone(to_error(word_failure));
  if (!word_failure && !invocation.answer.empty()) return print_answer(invocation.answer);
  if (!word_failure && invocation.ranks)
    return run_under_mpirun(*invocation.ranks, invocation.words,
                            !invocation.job.checkpoint.directory.empty());
  if (!word_failure && invocation.job.threads != 1) restart_with_patient_threads(invocation.words);
  return run_with_mpi(invocation.job, word_failure);
}

}  // namespace

}  // namespace firesteel::cli

int main(int argc, char** argv) {
  return firesteel::cli::run(std::vector<std::string>(argv + 1, argv + argc));
}
