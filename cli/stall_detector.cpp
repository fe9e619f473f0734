// SPDX-License-Identifier: Apache-2.0
#include "firesteel/cli/stall_detector.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <new>
#include <system_error>

namespace firesteel::cli {

namespace {

constexpr std::size_t kNamed = 3;  // ranks that a line says more of
constexpr double kLongestInterval_s = 1;

double interval_of(double stall_s) { return std::min(kLongestInterval_s, stall_s / 4); }

double now_s() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

std::string seconds_text(double seconds) {
  char text[32];
  std::snprintf(text, sizeof text, seconds < 10 ? "%.1f s" : "%.0f s", seconds);
  return text;
}

std::string rank_text(const PeerAge& age) {
  return "rank " + std::to_string(age.rank) + " on host " + age.host;
}

/// "fitting, iteration 8".
std::string place_text(const PeerAge& age) {
  const std::string phase = age.phase.empty() ? "starting" : age.phase;
  return age.iteration > 0 ? phase + ", iteration " + std::to_string(age.iteration) : phase;
}

std::string busy_text(const PeerAge& age) {
  return rank_text(age) + " (" + place_text(age) + "; at work by itself, last heard of " +
         seconds_text(age.heard_s) + " ago)";
}

std::string silent_text(const PeerAge& age) {
  return rank_text(age) + " (last heard of " + seconds_text(age.heard_s) + " ago, then " + place_text(age) +
         "; its host, network or process has stopped)";
}

/// "A", "A and B", "A, B, C and 7 others".
std::string joined(const std::vector<std::string>& texts) {
  std::string text;
  const std::size_t named = std::min(texts.size(), kNamed);
  const std::size_t others = texts.size() - named;
  for (std::size_t i = 0; i < named; ++i)
    text += (i == 0 ? "" : i + 1 == named && others == 0 ? " and " : ", ") + texts[i];
  if (others > 0) text += " and " + std::to_string(others) + (others == 1 ? " other" : " others");
  return text;
}

}  // namespace

std::string stall_text(const Stall& stall) {
  const std::string begin = "nothing has moved for " + seconds_text(stall.seconds) + ": ";
  std::vector<std::string> waited_for;
  for (const PeerAge& age : stall.silent) waited_for.push_back(silent_text(age));
  for (const PeerAge& age : stall.busy) waited_for.push_back(busy_text(age));
  const std::size_t waiting = stall.waiting.size();
  const PeerAge& first = stall.waiting.front();
  if (waited_for.empty())
    return begin + "all " + std::to_string(waiting) + " ranks are in operations between them (" +
           place_text(first) + "; " + first.operation +
           "): the network between them is slow, or has lost a message";
  const std::string who = waiting == 1 ? "rank " + std::to_string(first.rank) + " waits for "
                                       : std::to_string(waiting) + " ranks wait for ";
  return begin + who + joined(waited_for);
}

std::string stall_over_text(const Stall& stall) {
  std::vector<std::string> waited_for;
  for (const auto* ranks : {&stall.silent, &stall.busy})
    for (const PeerAge& age : *ranks) waited_for.push_back(rank_text(age));
  const std::string after = " after " + seconds_text(stall.seconds);
  if (waited_for.empty()) return "all ranks go on" + after;
  return joined(waited_for) + (waited_for.size() == 1 ? " goes on" : " go on") + after;
}

StallDetector::StallDetector(std::shared_ptr<Watchdog> watchdog, int rank, double stall_s, Say say)
    : watchdog_(std::move(watchdog)),
      finder_(stall_s, interval_of(stall_s), rank == 0),
      say_(std::move(say)),
      stall_s_(stall_s),
      next_warning_s_(stall_s) {
  if (rank > 1 || stall_s <= 0 || watchdog_->ages().empty()) return;
  try {
    thread_.emplace(std::chrono::duration<double>(interval_of(stall_s)), [this] { look(); });
  } catch (const std::system_error&) {  // a job that has no thread for it does without
  }
}

StallDetector::~StallDetector() {
  if (!thread_) return;
  thread_.reset();
  look();
}

std::optional<Stall> StallDetector::now() const {
  const std::scoped_lock lock(mutex_);
  return stall_;
}

void StallDetector::look() {
  try {
    const auto stall = finder_.look(watchdog_->ages(), now_s());
    const auto before = now();
    if (stall && stall->seconds >= next_warning_s_) {
      say_(stall_text(*stall), true);
      next_warning_s_ = 2 * stall->seconds;
    }
    if (before && !stall) {
      if (finder_.moved()) say_(stall_over_text(*before), false);
      next_warning_s_ = stall_s_;
    }
    const std::scoped_lock lock(mutex_);
    stall_ = stall;
  } catch (const std::bad_alloc&) {  // the job itself will say so
  }
}

}  // namespace firesteel::cli
