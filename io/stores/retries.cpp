// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <thread>

#include "firesteel/core/philox.hpp"
#include "firesteel/io/stores/http.hpp"

namespace firesteel {

namespace {

constexpr double kFirstWaitS = 0.1;
constexpr double kLongestWaitS = 10;
constexpr double kLongestAskedS = 30;
constexpr Index kBytesPerAttempt = Index{8} << 20;
constexpr std::uint64_t kPurpose = 0x7265747279;

long setting(const char* name, long fallback, long most) {
  const char* text = std::getenv(name);
  if (text == nullptr || *text == '\0') return fallback;
  char* end = nullptr;
  const long value = std::strtol(text, &end, 10);
  if (*end != '\0' || value < 1 || value > most)
    throw bad_parameter(std::string(name) + " must be in 1 ... " + std::to_string(most) + ", got '" + text +
                        "'");
  return value;
}

std::uint64_t hash(std::string_view text) {
  std::uint64_t value = 0xcbf29ce484222325;
  for (const char c : text) value = (value ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return value;
}

}  // namespace

long store_timeout_s() {
  static const long seconds = setting("FIRESTEEL_STORE_TIMEOUT", 30, 3600);
  return seconds;
}

Retries::Retries(std::string_view what) : key_(hash(what)) {
  // Ranks differ by their process, threads by what they fetch.
  if (const char* rank = std::getenv("OMPI_COMM_WORLD_RANK"); rank != nullptr) key_ ^= hash(rank);
}

std::string Retries::told() const {
  return made_ > 1 ? " (after " + std::to_string(made_) + " attempts)" : "";
}

bool Retries::again(const HttpAnswer& answer, const std::atomic<bool>* cancelled) {
  static const long attempts = setting("FIRESTEEL_STORE_ATTEMPTS", 7, 20);
  if (made_ >= attempts + bytes_ / kBytesPerAttempt) return false;
  const double factor = 0.5 + philox_uniform(key_, kPurpose, static_cast<std::uint64_t>(made_));
  double wait = std::min(kLongestWaitS, std::ldexp(kFirstWaitS, std::min(made_ - 1, 10))) * factor;
  const double asked = std::atof(answer.header("retry-after").c_str());
  if (asked > 0 && asked <= kLongestAskedS) wait = std::max(wait, asked);
  ++made_;
  const auto until = std::chrono::steady_clock::now() + std::chrono::duration<double>(wait);
  while (std::chrono::steady_clock::now() < until) {
    if (cancelled != nullptr && *cancelled) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return true;
}

}  // namespace firesteel
