// SPDX-License-Identifier: Apache-2.0
// The command line: checks the words, starts MPI where the command needs it, runs one verb and ends every
// rank with one exit code and at most one message.
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <exception>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "firesteel/cli/ending.hpp"
#include "firesteel/cli/help.hpp"
#include "firesteel/cli/launch.hpp"
#include "firesteel/cli/mpi_job.hpp"
#include "firesteel/cli/supervisor.hpp"

namespace firesteel::cli {

namespace {

constexpr Index kMaxRanks = 1 << 20;

/// What main does before, or instead of, a verb.
struct Invocation {
  std::optional<LaunchOptions> launch;
  std::vector<std::string> words;  ///< without what stands before the command
  Job job;
  std::string answer;  ///< text to print, where no MPI is needed
};

constexpr double kLongestDelayS = 1e6;

Index whole_number(std::string_view option, const std::string& text, Index least, Index most) {
  const auto number = parse_integer(text);
  if (!number || *number < least || *number > most)
    throw bad_parameter(std::string(option) + ": expected a whole number >= " + std::to_string(least) +
                        ", got '" + text + "'");
  return *number;
}

double delay_of(const std::string& text) {
  const auto number = parse_number(text);
  if (!number || !(*number >= 0) || *number > kLongestDelayS)
    throw bad_parameter("--restart-delay: expected seconds >= 0, got '" + text + "'");
  return *number;
}

/// Takes the option `name VALUE` or `name=VALUE` off the front of the words; nullopt where it does not stand
/// there.
std::optional<std::string> take_front(std::vector<std::string>& words, const std::string& name) {
  if (words.empty() || (words.front() != name && !words.front().starts_with(name + "="))) return std::nullopt;
  const bool apart = words.front() == name;
  if (apart && words.size() < 2) throw bad_parameter(name + ": expected a value, got none");
  std::string value = apart ? words[1] : words.front().substr(name.size() + 1);
  words.erase(words.begin(), words.begin() + (apart ? 2 : 1));
  return value;
}

/// Takes what says how to launch the job, and stands before the command, off the words.
void take_launch_options(Invocation& invocation) {
  auto& words = invocation.words;
  std::map<std::string, std::string> given;
  for (bool more = true; more;) {
    more = false;
    for (const char* name : {"--ranks", "--max-restarts", "--restart-delay", "--on-failure"})
      if (auto value = take_front(words, name)) {
        if (!given.emplace(name, std::move(*value)).second)
          throw bad_parameter(std::string(name) + " is given twice");
        more = true;
      }
  }
  if (given.empty()) return;
  if (!given.contains("--ranks"))
    throw bad_parameter(given.begin()->first +
                        " needs --ranks N: a job is looked after by whom it was started");
  LaunchOptions options;
  options.ranks = static_cast<int>(whole_number("--ranks", given["--ranks"], 1, kMaxRanks));
  if (given.contains("--max-restarts"))
    options.max_restarts =
        static_cast<int>(whole_number("--max-restarts", given["--max-restarts"], 0, 1'000'000));
  if (given.contains("--restart-delay")) options.restart_delay = delay_of(given["--restart-delay"]);
  if (given.contains("--on-failure"))  // an option of the job, too
    words.insert(words.end(), {"--on-failure", given["--on-failure"]});
  if (given.contains("--restart-delay") && options.max_restarts.value_or(0) == 0)
    throw bad_parameter("--restart-delay is used with --max-restarts N; it is not given, or 0");
  invocation.launch = options;
  if (launcher().mpirun)
    throw bad_parameter("--ranks starts mpirun itself: leave out either mpirun or --ranks");
}

void check_invocation(Invocation& invocation) {
  take_launch_options(invocation);
  const auto& words = invocation.words;
  if (words.empty())
    throw bad_parameter(
        "expected a command (train, score, evaluate, inspect, convert, learners, doctor, plan, describe, "
        "sample, split, sort, join); see firesteel --help");
  if (words.front() == "--version") {
    if (words.size() > 1) throw bad_parameter("unexpected word '" + words[1] + "' after --version");
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
    throw bad_parameter(
        "unknown option " + words.front() + " before the command" +
        suggestion(words.front().substr(2),
                   {"ranks", "max-restarts", "restart-delay", "on-failure", "help", "version"}, "--") +
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
  if (!word_failure && invocation.launch) return launch(*invocation.launch, invocation.words, invocation.job);
  if (!word_failure && invocation.job.threads != 1) restart_with_patient_threads(invocation.words);
  return run_with_mpi(invocation.job, invocation.words, word_failure);
}

}  // namespace

}  // namespace firesteel::cli

int main(int argc, char** argv) {
  return firesteel::cli::run(std::vector<std::string>(argv + 1, argv + argc));
}
