// SPDX-License-Identifier: Apache-2.0
// What starting and joining the ranks of a job needs.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <thread>

#include "firesteel/cli/doctor.hpp"
#include "firesteel/cli/launch.hpp"
#include "firesteel/cli/mpirun.hpp"
#include "firesteel/core/atomic_file.hpp"
#include "firesteel/core/mpi_runtime.hpp"
#include "firesteel/core/placement.hpp"
#include "firesteel/core/ulfm.hpp"

namespace firesteel::cli {

namespace {

using Clock = std::chrono::steady_clock;
constexpr auto kAnswerLimit = std::chrono::seconds(5);

bool variable_is_set(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr && *value != '\0';
}

/// The first file of that name in PATH that can be run; empty where there is none.
std::string first_in_path(const std::string& name) {
  const char* path = std::getenv("PATH");
  std::istringstream directories(path != nullptr ? path : "");
  for (std::string directory; std::getline(directories, directory, ':');) {
    const std::string file = (directory.empty() ? "." : directory) + "/" + name;
    if (access(file.c_str(), X_OK) == 0) return file;
  }
  return {};
}

/// The first line that `program --version` prints within some seconds; empty where it does not.
std::string version_line(const std::string& program) {
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) return {};
  const FileDescriptor reading(ends[0]);
  FileDescriptor writing(ends[1]);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, writing.get(), STDOUT_FILENO);
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  std::string name = program;
  std::string option = "--version";
  std::array<char*, 3> words{name.data(), option.data(), nullptr};
  pid_t child = 0;
  const int failure = posix_spawn(&child, name.c_str(), &actions, nullptr, words.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  writing.close();
  if (failure != 0) return {};
  std::string text;
  const auto limit = Clock::now() + kAnswerLimit;
  while (text.find('\n') == std::string::npos && Clock::now() < limit) {
    pollfd ready{reading.get(), POLLIN, 0};
    if (poll(&ready, 1, 50) <= 0) continue;
    std::array<char, 256> bytes{};
    const ssize_t got = read(reading.get(), bytes.data(), bytes.size());
    if (got == 0 || (got < 0 && errno != EINTR)) break;
    if (got > 0) text.append(bytes.data(), static_cast<std::size_t>(got));
  }
  kill(child, SIGKILL);  // it has said what we asked, or never will
  while (waitpid(child, nullptr, 0) < 0 && errno == EINTR) {
  }
  return text.substr(0, text.find('\n'));
}

/// "mpirun (Open MPI) 4.1.4" → "4.1.4".
std::string number_in(const std::string& text) {
  const auto begin = text.find_first_of("0123456789");
  if (begin == std::string::npos) return {};
  return text.substr(begin, text.find_first_not_of("0123456789.", begin) - begin);
}

}  // namespace

Check check_mpi_library() {
  const std::string compiled = mpi_compiled();
  const std::string found = mpi_found();
  if (compiled == found) return {"mpi_library", Health::ok, found + ", that of the build", ""};
  if (mpi_outlives_ranks() && compiled.starts_with("Open MPI 4.1") && found.starts_with("Open MPI 5"))
    return {"mpi_library", Health::ok,
            found + ", which runs what was built against " + compiled + " and can go on without a rank", ""};
  return {"mpi_library", Health::failed, found + " is loaded, but the program was built against " + compiled,
          "take the other MPI out of LD_LIBRARY_PATH, or build Firesteel against it"};
}

Check check_mpirun() {
  if (launcher().mpirun) return {"mpirun", Health::ok, "it has started this job", ""};
  const std::string in_path = first_in_path("mpirun");
  const std::string own = mpirun_path();
  const std::string remedy =
      access(own.c_str(), X_OK) == 0 ? "use " + own + ", or firesteel --ranks N" : "install openmpi-bin";
  if (in_path.empty())
    return {"mpirun", Health::warning, "there is none in PATH: only jobs of one process can be started",
            remedy};
  const std::string version = version_line(in_path);
  const std::string number = number_in(version);
  if (number.empty()) return {"mpirun", Health::warning, in_path + " does not say its version", remedy};
  if (number != number_in(mpi_compiled()) && number != number_in(mpi_found()))
    return {"mpirun", Health::warning,
            in_path + " is '" + version + "', but the program was built against " + mpi_compiled(), remedy};
  return {"mpirun", Health::ok, in_path + ", version " + number, ""};
}

Check check_root() {
  if (geteuid() != 0) return {"root", Health::ok, "an ordinary user", ""};
  if (launcher().mpirun) return {"root", Health::ok, "root, and mpirun allows it", ""};
  if (variable_is_set("OMPI_ALLOW_RUN_AS_ROOT") && variable_is_set("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM"))
    return {"root", Health::ok, "root, which the environment allows mpirun", ""};
  return {"root", Health::warning, "mpirun refuses to run as root",
          "export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1, or firesteel --ranks N, which "
          "does"};
}

Check check_shared_memory(int ranks_of_node) {
  constexpr Index kBytesOfRank = Index{5} << 20;  // vader: 4 MiB a rank, and what it manages them by
  constexpr const char* kDirectory = "/dev/shm";
  const std::string remedy =
      "containers: docker run --shm-size=1g; elsewhere: export OMPI_MCA_btl_vader_backing_directory=/tmp";
  const int ranks = std::max(ranks_of_node, available_cpus());
  struct statvfs room {};
  if (access(kDirectory, W_OK) != 0 || statvfs(kDirectory, &room) != 0)
    return {"shared_memory", Health::warning, "/dev/shm is not there or not writable", remedy};
  const Index free = static_cast<Index>(room.f_bavail) * static_cast<Index>(room.f_frsize);
  const std::string finding = "/dev/shm has " + bytes_text(free) + " free; " + std::to_string(ranks) +
                              " ranks here take " + bytes_text(kBytesOfRank * ranks);
  if (free < kBytesOfRank * ranks_of_node) return {"shared_memory", Health::failed, finding, remedy};
  if (free < kBytesOfRank * ranks) return {"shared_memory", Health::warning, finding, remedy};
  return {"shared_memory", Health::ok, finding, ""};
}

Check check_single_copy() {
  constexpr int kOnlyDescendants = 1;
  if (!can_copy_between_processes())
    return {"single_copy", Health::warning,
            "process_vm_readv is forbidden: long messages between ranks of a node are copied twice",
            "containers: docker run --cap-add=SYS_PTRACE"};
  int scope = 0;
  std::ifstream("/proc/sys/kernel/yama/ptrace_scope") >> scope;
  if (scope > kOnlyDescendants && geteuid() != 0)
    return {"single_copy", Health::warning,
            "ptrace_scope is " + std::to_string(scope) +
                ": long messages between ranks of a node are copied twice",
            "as root: sysctl kernel.yama.ptrace_scope=1"};
  return {"single_copy", Health::ok, "ranks of a node may copy from each other's memory", ""};
}

}  // namespace firesteel::cli
