// SPDX-License-Identifier: Apache-2.0
#include "firesteel/cli/launch.hpp"

#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>

#include "firesteel/cli/ending.hpp"
#include "firesteel/core/parameters.hpp"
#include "firesteel/core/placement.hpp"

namespace firesteel::cli {

namespace {

/// The number an environment variable holds; `fallback` where it is unset or something else.
Index environment_number(const char* name, Index fallback) {
  const char* text = std::getenv(name);
  if (text == nullptr) return fallback;
  return parse_integer(text).value_or(fallback);
}

void set_unless_set(const char* name, const char* value) { setenv(name, value, 0); }

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

}  // namespace

bool can_copy_between_processes() {
  char from = 1;
  char to = 0;
  const iovec local{&to, 1};
  const iovec remote{&from, 1};
  return process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == 1;
}

std::string own_path() {
  std::array<char, 4096> path{};
  const auto length = readlink("/proc/self/exe", path.data(), path.size() - 1);
  return length > 0 ? std::string(path.data(), static_cast<std::size_t>(length)) : "firesteel";
}

const Launcher& launcher() {
  static const Launcher found = find_launcher();
  return found;
}

void prepare_mpi_environment() {
  set_unless_set("OMPI_MCA_orte_execute_quiet", "1");
  const bool other_launcher = std::getenv("PMI_RANK") != nullptr || inside_slurm_step();
  const bool alone = !launcher().mpirun && !other_launcher;
  if (alone) {
    set_unless_set("OMPI_MCA_ess_singleton_isolated", "1");
    // Isolated processes would all use one directory of /tmp and remove it under each other's feet.
    if (std::getenv("OMPI_MCA_ess_singleton_isolated") == std::string_view("1"))
      set_unless_set("OMPI_MCA_orte_create_session_dirs", "0");
  }
  const Index size = environment_number("OMPI_COMM_WORLD_SIZE", alone ? 1 : 0);
  const Index on_node = environment_number("OMPI_COMM_WORLD_LOCAL_SIZE", alone ? 1 : -1);
  if (size != on_node) return;
  if (std::getenv("OMPI_MCA_pml") == nullptr && std::getenv("OMPI_MCA_btl") == nullptr) {
    set_unless_set("OMPI_MCA_pml", "ob1");
    set_unless_set("OMPI_MCA_btl", on_node > 1 ? "self,vader" : "self");
  }
  // Ranks that take every CPU leave none to others: a rank that waits gives its own away.
  if (on_node > 1 && on_node >= available_cpus()) set_unless_set("OMPI_MCA_mpi_yield_when_idle", "1");
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
  hold_signals();
  execv(arguments.front(), arguments.data());  // returns only where it fails: then threads spin
  let_signals_in();
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

}  // namespace firesteel::cli
