// SPDX-License-Identifier: Apache-2.0
#include "firesteel/cli/ending.hpp"

#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <exception>
#include <initializer_list>
#include <string>
#include <thread>

#include "firesteel/cli/launch.hpp"
#include "firesteel/core/atomic_file.hpp"
#include "firesteel/core/mpi_runtime.hpp"
#include "firesteel/core/printable.hpp"

namespace firesteel::cli {

namespace {

volatile std::sig_atomic_t stop_flag = 0;
volatile std::sig_atomic_t launcher_speaks = 0;

extern "C" void on_interrupt(int) {
  remove_temporary_files();
  if (launcher_speaks == 0) {
    static constexpr std::string_view kLine = "firesteel: interrupted\n";
    static constexpr std::string_view kClearBar = "\r\033[K";
    if (isatty(STDERR_FILENO) != 0) (void)!write(STDERR_FILENO, kClearBar.data(), kClearBar.size());
    (void)!write(STDERR_FILENO, kLine.data(), kLine.size());
  }
  _exit(static_cast<int>(ErrorCode::interrupted));
}

extern "C" void on_stop(int) { stop_flag = 1; }

extern "C" void on_gentle_interrupt(int number) {
  if (stop_flag != 0) on_interrupt(number);
  stop_flag = 1;
}

void handle(int signal_number, void (*handler)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  sigaction(signal_number, &action, nullptr);
}

sigset_t signals_meant_for_the_job() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2}) sigaddset(&signals, number);
  return signals;
}

[[noreturn]] void wait_for_the_end() {
  while (true) std::this_thread::sleep_for(std::chrono::seconds(1));
}

/// What cannot be caught, because it was thrown where a library allows no exception (mostly bad_alloc in a
/// destructor) or in a thread of its own, ends the job like any other error: one line, one code.
[[noreturn]] void on_terminate() {
  static std::atomic_flag ending;
  if (ending.test_and_set()) wait_for_the_end();
  remove_temporary_files();
  int code = static_cast<int>(ErrorCode::out_of_memory);
  const char* text = "firesteel: out of memory\n";
  std::string message;
  try {
    if (const auto exception = std::current_exception()) {
      const Error error = to_error(exception);
      code = static_cast<int>(error.code());
      message = std::string("firesteel: ") + error.what() + "\n";
      text = message.c_str();
    }
  } catch (...) {  // even that needs memory
  }
  if (launcher().mpirun) wait_for_turn(launcher().rank);
  (void)!write(STDERR_FILENO, text, std::strlen(text));
  end_job(code);
}

/// A file or socket opened later must not get the number of a standard stream that the caller closed, and
/// with it what is printed. Writing there fails as it did before.
void occupy_standard_streams() {
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
    if (fcntl(stream, F_GETFD) < 0) (void)!open("/dev/null", stream == STDIN_FILENO ? O_WRONLY : O_RDONLY);
}

}  // namespace

void prepare_ending(bool under_launcher) {
  occupy_standard_streams();
  launcher_speaks = under_launcher ? 1 : 0;
  std::set_terminate(on_terminate);
  handle(SIGPIPE, SIG_IGN);
  handle(SIGXFSZ, SIG_IGN);
  for (const int signal_number : {SIGINT, SIGTERM, SIGUSR2}) handle(signal_number, on_interrupt);
  if (hangups_matter()) handle(SIGHUP, on_interrupt);
  handle(SIGUSR1, on_stop);
  let_signals_in();
}

void hold_signals() {
  const sigset_t signals = signals_meant_for_the_job();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  if (stop_flag != 0) raise(SIGUSR1);  // waits, too: what is pending stays so
}

void let_signals_in() {
  const sigset_t signals = signals_meant_for_the_job();
  pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
}

void interrupts_ask_to_stop() {
  for (const int signal_number : {SIGINT, SIGTERM}) handle(signal_number, on_gentle_interrupt);
  if (hangups_matter()) handle(SIGHUP, on_stop);
}

bool hangups_matter() {
  struct sigaction now {};
  return sigaction(SIGHUP, nullptr, &now) != 0 || now.sa_handler != SIG_IGN;
}

void interrupts_come_too_late() { handle(SIGUSR2, SIG_IGN); }

bool stop_requested() { return stop_flag != 0; }

void wait_for_turn(int rank) {
  constexpr auto kTurn = std::chrono::milliseconds(400);
  std::this_thread::sleep_for(kTurn * std::min(rank, 8));
}

void print_error(std::string_view message) {
  const std::string line = "firesteel: " + printable(message) + "\n";
  std::fflush(stdout);
  std::fwrite(line.data(), 1, line.size(), stderr);
  std::fflush(stderr);
}

void end_ranks(Communicator& comm, const Error& error) {
  remove_temporary_files();
  const int code = static_cast<int>(error.code());
  if (error.agreed()) {
    if (comm.rank() == 0) print_error(error.what());
    try {
      comm.barrier();
    } catch (const MpiError&) {
      // A rank has died meanwhile. Where it was rank 0 nobody may have spoken.
      if (comm.rank() != 0) wait_for_turn(comm.rank());
      if (comm.rank() != 0) print_error(error.what());
      comm.abort(code);
    }
    if (comm.rank() == 0) comm.abort(code);
    wait_for_the_end();
  }
  wait_for_turn(comm.rank());
  print_error(error.what());
  comm.abort(code);
}

}  // namespace firesteel::cli
