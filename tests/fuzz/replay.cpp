// SPDX-License-Identifier: Apache-2.0
// main() of a fuzz target as an ordinary program:
//
//   replay_csv FILE|FOLDER …               runs these inputs, on all ranks together
//   replay_csv --seconds 10 [--seed N] [--first N] [--longest BYTES] [--dictionary FILE] [--failures FOLDER]
//              [--name NAME] FILE|FOLDER … makes new inputs from these for so long, on one rank
//
// An input that makes the target end the program, run for longer than 20 seconds or take more than 4 GiB is
// written to the folder and named. The n-th input of a seed is the same everywhere; nothing is learnt from
// what an input reaches: for that there is libFuzzer (tests/fuzz/run).
#include <fcntl.h>
#include <mpi.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <thread>

#include "mutator.hpp"
#include "support.hpp"

namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr double kMostProcessor_s = 20;
constexpr auto kMostTime = std::chrono::seconds(90);  // a machine may be busy
constexpr std::size_t kMostBytes = std::size_t{4} << 30;

struct Options {
  double seconds = 0;
  std::uint64_t seed = 1;
  std::uint64_t first = 0;
  std::size_t longest = 512;
  std::string dictionary;
  std::string failures = ".";
  std::string name;  // of a file there
  std::vector<fs::path> files;
};

void run(std::string_view bytes) {
  LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
}

std::string read(const fs::path& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

// What a signal's handler may look at: the input that runs now, and where to write it.
std::string failure_path;
std::string failure_line;
const char* current = nullptr;
std::size_t current_bytes = 0;
std::atomic<std::uint64_t> executions{0};
std::atomic<bool> done{false};

/// Keeps the input and says where. Calls what a signal's handler may call, nothing else.
void keep_input() {
  const int file = ::open(failure_path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  const bool kept = file >= 0 && ::write(file, current, current_bytes) == static_cast<ssize_t>(current_bytes);
  const std::string_view line = kept ? std::string_view(failure_line) : "the input cannot be written\n";
  if (::write(STDERR_FILENO, line.data(), line.size()) < 0) return;
}

void on_signal(int number) {
  keep_input();
  std::signal(number, SIG_DFL);
  std::raise(number);
}

void on_exit() {
  if (done) return;
  keep_input();
  ::_exit(1);
}

std::size_t resident_bytes() {
  std::size_t all = 0;
  std::size_t resident = 0;
  std::ifstream("/proc/self/statm") >> all >> resident;
  return resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

double processor_s() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
         static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

/// Ends the program where one input takes too long or too much.
void watch() {
  std::uint64_t before = 0;
  auto since = Clock::now();
  double since_s = 0;
  while (!done) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    const std::uint64_t now = executions;
    if (now != before || since_s == 0) {
      since = Clock::now();
      since_s = processor_s();
    }
    before = now;
    const bool slow = processor_s() - since_s > kMostProcessor_s || Clock::now() - since > kMostTime;
    if (!slow && resident_bytes() < kMostBytes) continue;
    std::fputs(slow ? "an input takes too long\n" : "more than 4 GiB of memory are held\n", stderr);
    std::abort();
  }
}

int make_inputs(const Options& options) {
  std::vector<std::string> known;
  for (const auto& file : options.files) known.push_back(read(file));
  firesteel::fuzz::Mutator mutator(options.seed, std::move(known),
                                   firesteel::fuzz::read_dictionary(options.dictionary), options.longest);
  fs::create_directories(options.failures);
  firesteel::fuzz::everyone();  // MPI sets handlers of its own, before ours
  for (const int number : {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL}) std::signal(number, on_signal);
  std::atexit(on_exit);
  std::thread watcher(watch);
  const std::string name = options.name + "-" + std::to_string(options.seed) + "-";
  const auto end = Clock::now() + std::chrono::duration<double>(options.seconds);
  while (Clock::now() < end) {
    const std::uint64_t n = options.first + executions;
    const std::string input = mutator.input(n);
    failure_path = options.failures + "/" + name + std::to_string(n);
    failure_line = "the input that failed: " + failure_path + '\n';
    current = input.data();
    current_bytes = input.size();
    run(input);
    ++executions;
  }
  done = true;
  watcher.join();
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  std::printf("seed %llu, %llu executions from number %llu, %.1f CPU seconds, at most %ld MB\n",
              static_cast<unsigned long long>(options.seed), static_cast<unsigned long long>(executions),
              static_cast<unsigned long long>(options.first), processor_s(), usage.ru_maxrss >> 10);
  return executions == 0 ? 1 : 0;
}

Options read_options(int argc, char** argv) {
  Options options;
  options.name = fs::path(argv[0]).filename().string();
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    const char* value = i + 1 < argc ? argv[i + 1] : "";
    if (word.starts_with("--")) ++i;
    if (word == "--seconds")
      options.seconds = std::atof(value);
    else if (word == "--seed")
      options.seed = std::strtoull(value, nullptr, 10);
    else if (word == "--first")
      options.first = std::strtoull(value, nullptr, 10);
    else if (word == "--longest")
      options.longest = std::strtoull(value, nullptr, 10);
    else if (word == "--dictionary")
      options.dictionary = value;
    else if (word == "--failures")
      options.failures = value;
    else if (word == "--name")
      options.name = value;
    else if (word.starts_with("--"))
      firesteel::fuzz::broken("no option is called " + std::string(word));
    else if (fs::is_directory(word))
      for (const auto& entry : fs::directory_iterator(word)) options.files.push_back(entry.path());
    else
      options.files.emplace_back(word);
  }
  std::sort(options.files.begin(), options.files.end());
  return options;
}

}  // namespace

int main(int argc, char** argv) {
  const Options options = read_options(argc, argv);
  if (options.files.empty()) firesteel::fuzz::broken("no inputs");
  if (options.seconds > 0) return make_inputs(options);
  const bool speaks = firesteel::fuzz::everyone().rank() == 0;
  for (const auto& file : options.files) {
    if (speaks) std::fprintf(stderr, "%s\n", file.filename().c_str());
    run(read(file));
  }
  if (speaks)
    std::printf("%zu inputs on %d ranks\n", options.files.size(), firesteel::fuzz::everyone().size());
  return 0;
}
