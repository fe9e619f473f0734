// SPDX-License-Identifier: Apache-2.0
#include "firesteel/cli/mpirun.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string_view>
#include <thread>

#include "firesteel/cli/ending.hpp"
#include "firesteel/cli/launch.hpp"
#include "firesteel/core/atomic_file.hpp"
#include "firesteel/core/error.hpp"
#include "firesteel/core/mpi_runtime.hpp"
#include "firesteel/core/ulfm.hpp"

namespace firesteel::cli {

namespace {

using Clock = std::chrono::steady_clock;

constexpr int kSignalBase = 128;
constexpr int kPollMs = 50;
constexpr auto kAskAgain = std::chrono::seconds(1);
constexpr auto kAskRanksAgain = std::chrono::milliseconds(250);
constexpr auto kRanksMustEnd = std::chrono::seconds(3);
constexpr auto kMpirunMustEnd = std::chrono::seconds(6);
constexpr auto kOrphansMayEnd = std::chrono::seconds(3);
constexpr auto kOrphansMustEnd = std::chrono::seconds(10);
constexpr std::string_view kMessagePrefix = "firesteel: ";

volatile std::sig_atomic_t interrupted = 0;
volatile std::sig_atomic_t save_and_stop = 0;
volatile pid_t mpirun_process = 0;

extern "C" void pass_interrupt(int) {
  // mpirun tells its ranks of an interrupt a second late, in which they could still write a model; what it
  // forwards reaches them at once.
  if (interrupted == 0 && mpirun_process > 0) kill(mpirun_process, SIGUSR2);
  interrupted = 1;
}

extern "C" void pass_stop(int) {
  save_and_stop = 1;
  if (mpirun_process > 0) kill(mpirun_process, SIGUSR1);
}

/// The first interrupt asks the job to save and stop; the next one ends it.
extern "C" void pass_gently(int number) {
  if (save_and_stop != 0) return pass_interrupt(number);
  pass_stop(number);
}

struct Pipe {
  FileDescriptor read_end;
  FileDescriptor write_end;
};

Pipe make_pipe() {
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0)
    throw Error(ErrorCode::unavailable, std::string("cannot make a pipe: ") + std::strerror(errno));
  return {FileDescriptor(ends[0]), FileDescriptor(ends[1])};
}

/// Whether PATH has what Open MPI reaches other hosts by.
bool has_remote_shell() {
  const char* path = std::getenv("PATH");
  for (std::string_view rest = path == nullptr ? "" : path; !rest.empty();) {
    const std::string folder(rest.substr(0, rest.find(':')));
    rest.remove_prefix(std::min(rest.size(), folder.size() + 1));
    for (const char* name : {"/ssh", "/rsh"})
      if (access((folder + name).c_str(), X_OK) == 0) return true;
  }
  return false;
}

/// In the child: becomes mpirun; writes errno to `failure` where that cannot be.
[[noreturn]] void become_mpirun(std::vector<std::string>& line, pid_t parent, int failure) {
  setpgid(0, 0);  // ctrl-C reaches mpirun once, from us
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (getppid() != parent) _exit(kSignalBase + SIGTERM);  // killed before the line above
  for (const int number : {SIGINT, SIGTERM, SIGPIPE, SIGXFSZ}) signal(number, SIG_DFL);
  if (hangups_matter()) signal(SIGHUP, SIG_DFL);
  for (const int number : {SIGUSR1, SIGUSR2}) signal(number, SIG_IGN);  // until mpirun listens, and after
  for (const char* name :
       {"OMPI_ALLOW_RUN_AS_ROOT", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "PRTE_ALLOW_RUN_AS_ROOT",
        "PRTE_ALLOW_RUN_AS_ROOT_CONFIRM", "OMPI_MCA_orte_execute_quiet"})
    setenv(name, "1", 0);
  // mpirun refuses even a job on this host alone where its way to other hosts is not there: do without it.
  if (std::getenv("OMPI_MCA_plm_rsh_agent") == nullptr && !has_remote_shell())
    setenv("OMPI_MCA_plm", "^rsh", 0);
  std::vector<char*> arguments;
  for (auto& word : line) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  execvp(arguments.front(), arguments.data());
  const int reason = errno;
  (void)!write(failure, &reason, sizeof reason);
  _exit(static_cast<int>(ErrorCode::unavailable));
}

/// Passes the lines of a stream on, but for the one message of the job.
class ErrorStream {
 public:
  void add(std::string_view bytes) {
    line_ += bytes;
    std::size_t begin = 0;
    for (auto end = line_.find('\n'); end != std::string::npos; end = line_.find('\n', begin)) {
      pass(std::string_view(line_).substr(begin, end + 1 - begin));
      begin = end + 1;
    }
    line_.erase(0, begin);
  }
  std::string finish() {
    if (!line_.empty()) pass(line_);
    line_.clear();
    return std::move(message_);
  }

 private:
  void pass(std::string_view line) {
    if (line.starts_with(kMessagePrefix)) {
      message_ = line.substr(kMessagePrefix.size());
      while (!message_.empty() && message_.back() == '\n') message_.pop_back();
      return;
    }
    std::fwrite(line.data(), 1, line.size(), stderr);
    std::fflush(stderr);
  }

  std::string line_;
  std::string message_;
};

/// Reads what is there, for at most `timeout_ms` until something is. False at the end of the stream.
bool drain(int descriptor, int timeout_ms, ErrorStream& errors) {
  pollfd ready{descriptor, POLLIN, 0};
  if (poll(&ready, 1, timeout_ms) <= 0) return true;
  std::array<char, 4096> bytes{};
  const ssize_t got = read(descriptor, bytes.data(), bytes.size());
  if (got > 0) errors.add({bytes.data(), static_cast<std::size_t>(got)});
  return got > 0 || (got < 0 && (errno == EINTR || errno == EAGAIN));
}

/// Says a request once more: it may have come before anybody listened.
class Insistence {
 public:
  explicit Insistence(pid_t child) : child_(child) {}

  void ask_again() {
    const auto now = Clock::now();
    if (interrupted != 0) return end(now);
    if (save_and_stop == 0 || now - asked_ < kAskAgain) return;
    kill(child_, SIGUSR1);
    asked_ = now;
  }

 private:
  /// mpirun takes a second interrupt for impatience and leaves ranks behind: it gets one. Seldom it waits for
  /// itself when its ranks are gone (a lock in its PMIx), for ever.
  void end(Clock::time_point now) {
    if (since_ == Clock::time_point::max()) since_ = asked_ = now;
    if (now - since_ > kMpirunMustEnd) kill(child_, SIGKILL);
    if (now - asked_ > kAskRanksAgain) {
      kill(child_, SIGUSR2);
      asked_ = now;
    }
    if (terminated_ || now - since_ < kRanksMustEnd) return;
    kill(child_, SIGTERM);
    terminated_ = true;
  }

  pid_t child_;
  Clock::time_point asked_ = Clock::now();
  Clock::time_point since_ = Clock::time_point::max();  // of the interrupt
  bool terminated_ = false;
};

/// Waits for mpirun; reads its stderr meanwhile.
int wait_reading(pid_t child, int errors_end, ErrorStream& errors) {
  bool open = true;
  Insistence insistence(child);
  int status = 0;
  while (true) {
    const pid_t ended = waitpid(child, &status, WNOHANG);
    if (ended == child || (ended < 0 && errno != EINTR)) break;
    if (open)
      open = drain(errors_end, kPollMs, errors);
    else
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    insistence.ask_again();
  }
  mpirun_process = 0;
  // What it wrote last. A process that it left behind may hold the pipe open: an empty pipe is the end, too.
  for (pollfd ready{errors_end, POLLIN, 0}; open && poll(&ready, 1, 0) > 0;)
    open = drain(errors_end, 0, errors);
  return status;
}

/// Waits for mpirun, whose streams are ours.
int wait_only(pid_t child) {
  Insistence insistence(child);
  int status = 0;
  while (true) {
    const pid_t ended = waitpid(child, &status, WNOHANG);
    if (ended == child || (ended < 0 && errno != EINTR)) break;
    insistence.ask_again();
    poll(nullptr, 0, kPollMs);  // until a signal comes: also that of the child's end
  }
  mpirun_process = 0;
  return status;
}

std::vector<pid_t> own_children() {
  std::ifstream list("/proc/self/task/" + std::to_string(getpid()) + "/children");
  std::vector<pid_t> children;
  for (pid_t child = 0; list >> child;) children.push_back(child);
  return children;
}

/// Ranks of an mpirun that was killed end by themselves within seconds, as children of this process (it is
/// their reaper); those that do not are killed: the next attempt must be alone.
void end_orphans() {
  const auto start = Clock::now();
  while (Clock::now() - start < kOrphansMustEnd) {
    while (waitpid(-1, nullptr, WNOHANG) > 0) {
    }
    const auto left = own_children();
    if (left.empty()) return;
    if (Clock::now() - start > kOrphansMayEnd)
      for (const pid_t child : left) kill(child, SIGKILL);
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
}

}  // namespace

std::string mpirun_path() {
  const auto loaded = std::filesystem::path(mpi_library_path()).parent_path().parent_path() / "bin/mpirun";
  if (access(loaded.c_str(), X_OK) == 0) return loaded;
  return access(FIRESTEEL_MPIRUN, X_OK) == 0 ? FIRESTEEL_MPIRUN : "mpirun";
}

StopRequest stop_request() { return {save_and_stop != 0, interrupted != 0}; }

void pass_signals_to_mpirun(bool has_checkpoints) {
  struct sigaction action {};
  sigemptyset(&action.sa_mask);
  action.sa_handler = has_checkpoints ? pass_gently : pass_interrupt;
  for (const int number : {SIGINT, SIGTERM}) sigaction(number, &action, nullptr);
  // A terminal that is lost sends several: no sign of impatience.
  if (has_checkpoints) action.sa_handler = pass_stop;
  if (hangups_matter()) sigaction(SIGHUP, &action, nullptr);
  action.sa_handler = pass_stop;
  sigaction(SIGUSR1, &action, nullptr);
  action.sa_handler = pass_interrupt;
  sigaction(SIGUSR2, &action, nullptr);
  action.sa_handler = [](int) {};  // so that the end of a child ends a wait
  sigaction(SIGCHLD, &action, nullptr);
}

OutputSpool::OutputSpool() : file_(std::tmpfile()) {
  if (!file_)
    throw Error(ErrorCode::cannot_create,
                std::string("cannot make a temporary file for the job's output: ") + std::strerror(errno));
  fcntl(descriptor(), F_SETFD, FD_CLOEXEC);
}

int OutputSpool::descriptor() const { return fileno(file_.get()); }

bool OutputSpool::empty() const {
  struct stat status {};
  return fstat(descriptor(), &status) == 0 && status.st_size == 0;
}

void OutputSpool::clear() {
  (void)!ftruncate(descriptor(), 0);
  lseek(descriptor(), 0, SEEK_SET);
}

bool OutputSpool::forward() const {
  std::array<char, 1 << 16> bytes{};
  off_t offset = 0;
  while (true) {
    const ssize_t got = pread(descriptor(), bytes.data(), bytes.size(), offset);
    if (got < 0) return false;
    if (got == 0) return std::fflush(stdout) == 0;
    const auto count = static_cast<std::size_t>(got);
    if (std::fwrite(bytes.data(), 1, count, stdout) != count) return false;
    offset += got;
  }
}

namespace {
std::vector<std::string> mpirun_line(int ranks, const std::vector<std::string>& words, bool outlives_ranks) {
  std::vector<std::string> line{mpirun_path(),     "-n",        std::to_string(ranks),
                                "--oversubscribe", "--bind-to", "none"};
  if (!mpi_outlives_ranks()) line.emplace_back("--quiet");  // an option that Open MPI 5 does not have
  if (outlives_ranks) line.insert(line.end(), {"--with-ft", "ulfm"});
  line.push_back(own_path());
  line.insert(line.end(), words.begin(), words.end());
  return line;
}
}  // namespace

MpirunEnd run_mpirun(int ranks, const std::vector<std::string>& words, OutputSpool* spool,
                     bool outlives_ranks) {
  std::vector<std::string> line = mpirun_line(ranks, words, outlives_ranks);
  if (spool != nullptr) prctl(PR_SET_CHILD_SUBREAPER, 1);
  Pipe errors = make_pipe();
  Pipe failure = make_pipe();
  std::fflush(stdout);
  std::fflush(stderr);
  MpirunEnd end;
  const auto start = Clock::now();
  const pid_t parent = getpid();
  const pid_t child = fork();
  if (child < 0)
    throw Error(ErrorCode::unavailable, std::string("cannot start mpirun: ") + std::strerror(errno));
  if (child == 0) {
    if (spool != nullptr) {
      dup2(spool->descriptor(), STDOUT_FILENO);
      dup2(errors.write_end.get(), STDERR_FILENO);
    }
    become_mpirun(line, parent, failure.write_end.get());
  }
  mpirun_process = child;
  if (interrupted != 0) kill(child, SIGTERM);
  errors.write_end.close();
  failure.write_end.close();
  int reason = 0;
  ssize_t got = 0;
  while ((got = read(failure.read_end.get(), &reason, sizeof reason)) < 0 && errno == EINTR) {
  }
  ErrorStream stream;
  const int status = spool != nullptr ? wait_reading(child, errors.read_end.get(), stream) : wait_only(child);
  end.message = stream.finish();
  if (spool != nullptr) end_orphans();
  end.seconds = std::chrono::duration<double>(Clock::now() - start).count();
  if (got == sizeof reason) {
    end.started = false;
    end.message = "cannot start " + line.front() + ": " + std::strerror(reason) +
                  "; install Open MPI, or put its mpirun in PATH, or run without --ranks";
  }
  end.killed = !WIFEXITED(status);
  end.code = end.killed ? kSignalBase + WTERMSIG(status) : WEXITSTATUS(status);
  return end;
}

}  // namespace firesteel::cli
