// SPDX-License-Identifier: Apache-2.0
#include "firesteel/cli/heartbeat.hpp"

#include <unistd.h>

#include <ctime>
#include <new>
#include <numeric>
#include <system_error>

#include "firesteel/cli/json.hpp"
#include "firesteel/core/atomic_file.hpp"
#include "firesteel/core/file_lock.hpp"

namespace firesteel::cli {

namespace {

constexpr auto kInterval = std::chrono::seconds(1);
constexpr std::size_t kRemembered = 10;

std::string time_text() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  char text[32];
  return {text, std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts)};
}

Json memory_json(const std::vector<ProcessMemory>& ranks, Index ProcessMemory::*member) {
  Json list = Json::array();
  for (const auto& memory : ranks) list.push_back(memory.*member > 0 ? Json(memory.*member) : Json(nullptr));
  return list;
}

Json rank_json(const PeerAge& age, bool silent) {
  const auto word = [](const std::string& text) { return text.empty() ? Json(nullptr) : Json(text); };
  return {{"rank", age.rank},
          {"host", age.host},
          {"phase", word(age.phase)},
          {"iteration", age.iteration},
          {"operation", word(age.operation)},
          {"silent", silent},
          {"heard_seconds", age.heard_s}};
}

/// Null where there is none.
Json stall_json(const std::optional<Stall>& stall) {
  if (!stall) return nullptr;
  Json object = Json::object();
  object["seconds"] = stall->seconds;
  object["waiting"] = Json::array();
  for (const auto& age : stall->waiting) object["waiting"].push_back(age.rank);
  object["waited_for"] = Json::array();
  for (const auto& age : stall->silent) object["waited_for"].push_back(rank_json(age, true));
  for (const auto& age : stall->busy) object["waited_for"].push_back(rank_json(age, false));
  return object;
}

}  // namespace

Heartbeat::Heartbeat(Subject subject)
    : subject_(std::move(subject)), memory_(static_cast<std::size_t>(subject_.ranks)) {
  memory_.front() = process_memory();
  AtomicFile file(subject_.path);
  file.write(text());
  file.commit();
  try {
    thread_.emplace(kInterval, [this] { beat(); });
  } catch (const std::system_error& error) {
    throw internal_error(std::string("--heartbeat: cannot start a thread: ") + error.what());
  }
}

void Heartbeat::phase(std::string_view name) {
  const std::scoped_lock lock(mutex_);
  phase_ = name;
  fraction_.reset();
}

void Heartbeat::rows(Index rows) {
  const std::scoped_lock lock(mutex_);
  rows_ = rows;
}

void Heartbeat::progress(double fraction) {
  const std::scoped_lock lock(mutex_);
  fraction_ = fraction;
}

void Heartbeat::iteration(const IterationReport& report) {
  const std::scoped_lock lock(mutex_);
  iteration_ = report.iteration;
  max_iterations_ = report.max_iterations;
  objective_ = report.objective;
  latest_seconds_.push_back(report.seconds);
  if (latest_seconds_.size() > kRemembered) latest_seconds_.pop_front();
}

bool Heartbeat::memory_due() {
  const std::scoped_lock lock(mutex_);
  if (Clock::now() - memory_asked_ < kInterval) return false;
  memory_asked_ = Clock::now();
  return true;
}

void Heartbeat::memory(std::span<const ProcessMemory> ranks) {
  const std::scoped_lock lock(mutex_);
  memory_.assign(ranks.begin(), ranks.end());
}

bool Heartbeat::finish(const Error* error) {
  thread_.reset();
  const auto code = error != nullptr ? error->code() : ErrorCode{};
  const std::scoped_lock lock(mutex_);
  phase_ = error == nullptr ? "done" : code == ErrorCode::stopped ? "stopped" : "failed";
  if (error != nullptr) error_ = error->what();
  exit_code_ = static_cast<int>(code);
  fraction_.reset();
  memory_.front() = process_memory();
  return write(text());
}

void Heartbeat::beat() {
  try {
    std::unique_lock lock(mutex_);
    memory_.front() = process_memory();
    const std::string now = text();
    lock.unlock();
    write(now);                      // where that fails, the next second has another try
  } catch (const std::bad_alloc&) {  // the job itself will say so
  }
}

bool Heartbeat::write(const std::string& text) const {
  try {
    AtomicFile file(subject_.path);
    file.write(text);
    file.commit();
    return true;
  } catch (const Error&) {
    return false;
  }
}

std::optional<double> Heartbeat::seconds_an_iteration() const {
  if (latest_seconds_.empty()) return std::nullopt;
  return std::accumulate(latest_seconds_.begin(), latest_seconds_.end(), 0.0) /
         static_cast<double>(latest_seconds_.size());
}

std::string Heartbeat::text() const {
  const auto optional = [](const std::optional<double>& value) {
    return value ? json_number(*value) : Json(nullptr);
  };
  const auto seconds = seconds_an_iteration();
  const bool goes_on = exit_code_ < 0;
  std::optional<double> rate;
  std::optional<double> left;
  if (seconds && *seconds > 0 && rows_ > 0) rate = static_cast<double>(rows_) / *seconds;
  if (seconds && goes_on && phase_ == "fitting")
    left = *seconds * static_cast<double>(max_iterations_ - iteration_);
  Json object = Json::object();
  object["phase"] = phase_;
  object["command"] = subject_.command;
  object["learner"] = subject_.learner;
  object["progress"] = optional(fraction_);
  object["iteration"] = iteration_;
  object["max_iter"] = max_iterations_ > 0 ? Json(max_iterations_) : Json(nullptr);
  object["objective"] = optional(objective_);
  object["rows"] = rows_ > 0 ? Json(rows_) : Json(nullptr);
  object["rows_per_second"] = optional(rate);
  object["eta_seconds"] = optional(left);
  object["stalled"] = goes_on && subject_.stall ? stall_json(subject_.stall()) : Json(nullptr);
  object["ranks"] = subject_.ranks;
  object["threads"] = subject_.threads;
  object["memory_bytes"] = memory_json(memory_, &ProcessMemory::current);
  object["peak_memory_bytes"] = memory_json(memory_, &ProcessMemory::peak);
  object["elapsed_seconds"] = std::chrono::duration<double>(Clock::now() - start_).count();
  object["time"] = time_text();
  object["host"] = host_name();
  object["process"] = getpid();
  object["error"] = error_.empty() ? Json(nullptr) : Json(error_);
  object["exit_code"] = goes_on ? Json(nullptr) : Json(exit_code_);
  return json_text(object);
}

}  // namespace firesteel::cli
