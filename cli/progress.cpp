// SPDX-License-Identifier: Apache-2.0
#include "firesteel/cli/progress.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <new>

#include "firesteel/cli/ending.hpp"
#include "firesteel/core/parameters.hpp"
#include "firesteel/core/printable.hpp"

namespace firesteel::cli {

namespace {

constexpr auto kBarInterval = std::chrono::milliseconds(100);
constexpr auto kLineInterval = std::chrono::seconds(5);
constexpr int kBarCells = 30;

void write_line(const std::string& text) {
  const std::string line = text + "\n";
  std::fwrite(line.data(), 1, line.size(), stderr);
}

std::string seconds_text(double seconds) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3g s", seconds);
  return text;
}

std::string significant(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.10g", value);
  return text;
}

}  // namespace

TerminalMonitor::TerminalMonitor(bool quiet, bool verbose)
    : quiet_(quiet), verbose_(verbose), terminal_(isatty(STDERR_FILENO) != 0), last_(Clock::now()) {}

TerminalMonitor::~TerminalMonitor() { clear_bar(); }

void TerminalMonitor::say(std::string_view text) {
  if (!speaks_ || quiet_) return;
  clear_bar();
  write_line(std::string(text));
}

void TerminalMonitor::warning(std::string_view text) { say("warning: " + printable(text)); }

void TerminalMonitor::note(std::string_view text) {
  if (verbose_) say(printable(text));
}

bool TerminalMonitor::due() {
  const auto now = Clock::now();
  if (now - last_ < (terminal_ ? Clock::duration(kBarInterval) : Clock::duration(kLineInterval)))
    return false;
  last_ = now;
  return true;
}

void TerminalMonitor::watch_for_stalls(const Context& context, double stall_s) {
  if (quiet_ && context.rank() != 0) return;  // rank 0's also tells the heartbeat
  // In a thread that does not know of the bar: the line takes its place, and it is drawn again below.
  stalls_ = std::make_unique<StallDetector>(
      context.watchdog(), context.rank(), stall_s,
      [quiet = quiet_, terminal = terminal_](const std::string& line, bool warns) {
        if (!quiet) write_line((terminal ? "\r\033[K" : "") + std::string(warns ? "warning: " : "") + line);
      });
}

void TerminalMonitor::stop_watching() {
  clear_bar();
  heartbeat_.reset();
  stalls_.reset();
}

void TerminalMonitor::start_heartbeat(Heartbeat::Subject subject) {
  if (stalls_) subject.stall = [this] { return stalls_->now(); };
  heartbeat_ = std::make_unique<Heartbeat>(std::move(subject));
}

void TerminalMonitor::finish_heartbeat(const Error* error) {
  if (!heartbeat_) return;
  bool written = false;
  try {
    written = heartbeat_->finish(error);
  } catch (const std::bad_alloc&) {  // the job may be ending for want of memory
  }
  heartbeat_.reset();
  if (!written) warning("--heartbeat: the last state could not be written");
}

void TerminalMonitor::memory(std::span<const ProcessMemory> ranks) {
  if (heartbeat_) heartbeat_->memory(ranks);
}

void TerminalMonitor::progress(std::string_view phase, Index done, Index total) {
  if (heartbeat_ && total > 0) heartbeat_->progress(static_cast<double>(done) / static_cast<double>(total));
  if (!speaks_ || quiet_ || total <= 0 || !due()) return;
  show(phase, static_cast<double>(done) / static_cast<double>(total), {});
}

void TerminalMonitor::iteration(const IterationReport& report) {
  if (heartbeat_) heartbeat_->iteration(report);
  if (!speaks_ || quiet_) return;
  std::string detail = "iteration " + std::to_string(report.iteration) + " of at most " +
                       std::to_string(report.max_iterations) + ", objective " + significant(report.objective);
  if (verbose_) {
    if (report.gradient_norm) detail += ", gradient norm " + significant(*report.gradient_norm);
    detail += ", " + seconds_text(report.seconds) + ", " + std::to_string(report.bytes_sent) + " bytes sent";
    say(std::string(report.learner) + ": " + detail);
    return;
  }
  if (!due()) return;
  show(report.learner,
       static_cast<double>(report.iteration) / static_cast<double>(std::max<Index>(1, report.max_iterations)),
       detail);
}

bool TerminalMonitor::stop_requested() { return cli::stop_requested(); }

void TerminalMonitor::show(std::string_view phase, double fraction, std::string_view detail) {
  if (terminal_)
    draw_bar(phase, fraction, detail);
  else if (detail.empty())
    write_line(std::string(phase) + ": " + std::to_string(static_cast<int>(100 * fraction)) + " %");
  else
    write_line(std::string(phase) + ": " + std::string(detail));
}

void TerminalMonitor::draw_bar(std::string_view phase, double fraction, std::string_view detail) {
  const int filled = static_cast<int>(kBarCells * std::clamp(fraction, 0.0, 1.0));
  std::string bar = "\r\033[K" + std::string(phase) + " [";
  for (int cell = 0; cell < kBarCells; ++cell) bar += cell < filled ? '#' : '.';
  bar +=
      "] " + (detail.empty() ? std::to_string(static_cast<int>(100 * fraction)) + " %" : std::string(detail));
  std::fwrite(bar.data(), 1, bar.size(), stderr);
  std::fflush(stderr);
  bar_shown_ = true;
}

void TerminalMonitor::clear_bar() {
  if (!bar_shown_) return;
  std::fputs("\r\033[K", stderr);
  bar_shown_ = false;
}

void TerminalMonitor::report_traffic(const Communicator& comm) {
  if (!verbose_) return;
  for (const auto& [name, traffic] : comm.traffic())
    say("rank 0 sent by " + name + ": " + std::to_string(traffic.calls) + " calls, " +
        std::to_string(traffic.messages) + " messages, " + std::to_string(traffic.bytes_sent) + " bytes");
}

}  // namespace firesteel::cli
