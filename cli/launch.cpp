// SPDX-License-Identifier: Apache-2.0
#include "firesteel/cli/launch.hpp"

#include <sched.h>
#include <sys/prctl.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "firesteel/cli/ending.hpp"
#include "firesteel/core/error.hpp"
#include "firesteel/core/parameters.hpp"
#include "firesteel/core/placement.hpp"

namespace firesteel::cli {

namespace {

constexpr int kServiceUnavailable = static_cast<int>(ErrorCode::unavailable);
constexpr int kInterrupted = static_cast<int>(ErrorCode::interrupted);

/// The number an environment variable holds; `fallback` where it is unset or something else.
Index environment_number(const char* name, Index fallback) {
  const char* text = std::getenv(name);
  if (text == nullptr) return fallback;
  return parse_integer(text).value_or(fallback);
}

void set_unless_set(const char* name, const char* value) { setenv(name, value, 0); }

int usable_cpus() {
  const auto online = std::min<long>(sysconf(_SC_NPROCESSORS_ONLN), 1 << 20);
  return std::min(static_cast<int>(online), cgroup_cpu_quota());
}

/// Whether one process may read another's memory here. Containers often forbid it, and Open MPI's shared
/// memory then complains on stderr at the first long message.
bool can_copy_between_processes() {
  char from = 1;
  char to = 0;
  const iovec local{&to, 1};
  const iovec remote{&from, 1};
  return process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == 1;
}

/// Steps of a Slurm job are numbered from 0; the batch script and other special steps are numbered from the
/// top.
bool inside_slurm_step() {
  constexpr Index kSpecialSteps = 0xfffffff0;
  const Index step = environment_number("SLURM_STEP_ID", -1);
  return step >= 0 && step < kSpecialSteps;
}

Launcher find_launcher() {
  Launcher found;
  found.mpirun = std::getenv("OMPI_COMM_WORLD_SIZE") != nullptr || std::getenv("PMIX_RANK") != nullptr;
  for (const char* name : {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK"})
    if (const Index rank = environment_number(name, -1); rank >= 0) {
      found.rank = static_cast<int>(rank);
      return found;
    }
  if (inside_slurm_step()) found.rank = static_cast<int>(environment_number("SLURM_PROCID", 0));
  return found;
}

std::string mpirun_path() { return access(FIRESTEEL_MPIRUN, X_OK) == 0 ? FIRESTEEL_MPIRUN : "mpirun"; }

std::string own_path() {
  std::array<char, 4096> path{};
  const auto length = readlink("/proc/self/exe", path.data(), path.size() - 1);
  return length > 0 ? std::string(path.data(), static_cast<std::size_t>(length)) : "firesteel";
}

volatile std::sig_atomic_t interrupted = 0;
volatile pid_t mpirun_process = 0;

extern "C" void pass_interrupt(int) {
  // mpirun takes a second interrupt for impatience and leaves ranks behind: pass on one.
  if (interrupted == 0 && mpirun_process > 0) kill(mpirun_process, SIGTERM);
  interrupted = 1;
}

/// The first interrupt asks the job to save and stop; the next one ends it.
extern "C" void pass_gently(int number) {
  static volatile std::sig_atomic_t asked = 0;
  if (asked != 0) return pass_interrupt(number);
  asked = 1;
  if (mpirun_process > 0) kill(mpirun_process, SIGUSR1);
}

extern "C" void pass_stop(int) {
  if (mpirun_process > 0) kill(mpirun_process, SIGUSR1);
}

[[noreturn]] void become_mpirun(const std::vector<std::string>& words) {
  setpgid(0, 0);  // ctrl-C reaches mpirun once, from us
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGPIPE, SIGXFSZ}) signal(number, SIG_DFL);
  set_unless_set("OMPI_ALLOW_RUN_AS_ROOT", "1");
  set_unless_set("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1");
  set_unless_set("OMPI_MCA_orte_execute_quiet", "1");
  std::vector<std::string> line(words);
  std::vector<char*> arguments;
  for (auto& word : line) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  execvp(arguments.front(), arguments.data());
  print_error("cannot start " + words.front() + ": " + std::strerror(errno) +
              "; install Open MPI, or run without --ranks");
  _exit(kServiceUnavailable);
}

}  // namespace

const Launcher& launcher() {
  static const Launcher found = find_launcher();
  return found;
}

void prepare_mpi_environment() {
  set_unless_set("OMPI_MCA_orte_execute_quiet", "1");
  const bool other_launcher = std::getenv("PMI_RANK") != nullptr || inside_slurm_step();
  const bool alone = !launcher().mpirun && !other_launcher;
  if (alone) set_unless_set("OMPI_MCA_ess_singleton_isolated", "1");
  const Index size = environment_number("OMPI_COMM_WORLD_SIZE", alone ? 1 : 0);
  const Index on_node = environment_number("OMPI_COMM_WORLD_LOCAL_SIZE", alone ? 1 : -1);
  if (size != on_node) return;
  if (std::getenv("OMPI_MCA_pml") == nullptr && std::getenv("OMPI_MCA_btl") == nullptr) {
    set_unless_set("OMPI_MCA_pml", "ob1");
    set_unless_set("OMPI_MCA_btl", on_node > 1 ? "self,vader" : "self");
  }
  // Ranks that take every CPU leave none to others: a rank that waits gives its own away.
  if (on_node > 1 && on_node >= usable_cpus()) set_unless_set("OMPI_MCA_mpi_yield_when_idle", "1");
  if (on_node > 1 && !can_copy_between_processes())
    set_unless_set("OMPI_MCA_btl_vader_single_copy_mechanism", "none");
}

void restart_with_patient_threads(const std::vector<std::string>& words) {
  if (std::getenv("GOMP_SPINCOUNT") != nullptr || std::getenv("OMP_WAIT_POLICY") != nullptr) return;
  set_unless_set("GOMP_SPINCOUNT", "1000");
  std::vector<std::string> line{own_path()};
  line.insert(line.end(), words.begin(), words.end());
  std::vector<char*> arguments;
  for (auto& word : line) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  execv(arguments.front(), arguments.data());  // returns only where it fails: then threads spin
}

std::string split_job_explanation(int world_size) {
  if (world_size != 1 || launcher().mpirun) return {};
  Index meant = 1;
  for (const char* name : {"PMI_SIZE", "MPI_LOCALNRANKS", "MV2_COMM_WORLD_SIZE"})
    meant = std::max(meant, environment_number(name, 1));
  if (inside_slurm_step()) meant = std::max(meant, environment_number("SLURM_STEP_NUM_TASKS", 1));
  if (meant == 1) return {};
  const std::string count = std::to_string(meant);
  return "started as " + count +
         " ranks, but each is a job of its own (all would write the same file): the " +
         "launcher is not that of the Open MPI this program was built with; use that mpirun, firesteel "
         "--ranks " +
         count + ", or srun --mpi=pmix";
}

int run_under_mpirun(int ranks, const std::vector<std::string>& words, bool has_checkpoints) {
  std::vector<std::string> line{mpirun_path(),     "-n",        std::to_string(ranks),
                                "--oversubscribe", "--bind-to", "none",
                                "--quiet",         own_path()};
  line.insert(line.end(), words.begin(), words.end());

  struct sigaction action {};
  sigemptyset(&action.sa_mask);
  action.sa_handler = has_checkpoints ? pass_gently : pass_interrupt;
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) sigaction(number, &action, nullptr);
  action.sa_handler = pass_stop;
  sigaction(SIGUSR1, &action, nullptr);

  const pid_t child = fork();
  if (child < 0) {
    print_error(std::string("cannot start mpirun: ") + std::strerror(errno));
    return kServiceUnavailable;
  }
  if (child == 0) become_mpirun(line);
  mpirun_process = child;
  if (interrupted != 0) kill(child, SIGTERM);
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (interrupted != 0) {
    print_error("interrupted");
    return kInterrupted;
  }
  if (WIFEXITED(status)) return WEXITSTATUS(status);
  constexpr int kSignalBase = 128;
  return kSignalBase + WTERMSIG(status);
}

}  // namespace firesteel::cli
