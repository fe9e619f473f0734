// SPDX-License-Identifier: Apache-2.0
#include "firesteel/cli/ending.hpp"

#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <initializer_list>
#include <string>
#include <thread>

#include "firesteel/core/atomic_file.hpp"

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

[[noreturn]] void wait_for_the_end() {
  while (true) std::this_thread::sleep_for(std::chrono::seconds(1));
}

}  // namespace

void prepare_ending(bool under_launcher) {
  launcher_speaks = under_launcher ? 1 : 0;
  handle(SIGPIPE, SIG_IGN);
  handle(SIGXFSZ, SIG_IGN);
  for (const int signal_number : {SIGINT, SIGTERM, SIGHUP}) handle(signal_number, on_interrupt);
  handle(SIGUSR1, on_stop);
}

void interrupts_ask_to_stop() {
  for (const int signal_number : {SIGINT, SIGTERM}) handle(signal_number, on_gentle_interrupt);
}

bool stop_requested() { return stop_flag != 0; }

void print_error(std::string_view message) {
  std::string line = "firesteel: ";
  bool blank = false;
  for (const char c : message) {
    const bool is_blank = c == '\n' || c == '\r' || c == '\t' || c == ' ';
    if (!is_blank)
      line += c;
    else if (!blank)
      line += ' ';
    blank = is_blank;
  }
  line += '\n';
  std::fflush(stdout);
  std::fwrite(line.data(), 1, line.size(), stderr);
  std::fflush(stderr);
}

void end_ranks(Communicator& comm, const Error& error) {
  remove_temporary_files();
  const int code = static_cast<int>(error.code());
  if (error.agreed()) {
    if (comm.rank() == 0) print_error(error.what());
    comm.barrier();
    if (comm.rank() == 0) comm.abort(code);
    wait_for_the_end();
  }
  // Ranks that fail alike without having agreed take turns, so that the first ends the job before another
  // speaks.
  constexpr auto kTurn = std::chrono::milliseconds(400);
  std::this_thread::sleep_for(kTurn * std::min(comm.rank(), 8));
  print_error(error.what());
  comm.abort(code);
}

}  // namespace firesteel::cli
