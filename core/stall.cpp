// SPDX-License-Identifier: Apache-2.0
#include "firesteel/core/stall.hpp"

#include <algorithm>

namespace firesteel {

namespace {

constexpr double kSilence_s = 5;  // without a sign of life, of which there is one a second or more

}  // namespace

StallFinder::StallFinder(double stall_s, double interval_s, bool sees_all)
    : stall_s_(stall_s), interval_s_(interval_s), sees_all_(sees_all) {}

bool StallFinder::silent(const PeerAge& age) const { return age.heard_s > std::min(kSilence_s, stall_s_); }

std::optional<Stall> StallFinder::look(std::span<const PeerAge> ages, double now_s) {
  const double passed_s = last_look_s_ ? std::min(now_s - *last_look_s_, 2 * interval_s_) : 0;
  last_look_s_ = now_s;
  const bool first = seen_.size() != ages.size();
  seen_.resize(ages.size());
  Stall stall;
  bool patient = false;
  moved_ = false;
  for (std::size_t i = 0; i < ages.size(); ++i) {
    const PeerAge& age = ages[i];
    Seen& seen = seen_[i];
    const bool still = !first && age.ticks == seen.ticks;
    moved_ = moved_ || !still;
    seen.still_s = still ? seen.still_s + passed_s : 0;
    seen.ticks = age.ticks;
    if (age.ended) continue;
    patient = patient || seen.still_s < stall_s_;
    stall.seconds = stall.seconds > 0 ? std::min(stall.seconds, seen.still_s) : seen.still_s;
    (silent(age) ? stall.silent : age.operation.empty() ? stall.busy : stall.waiting).push_back(age);
  }
  if (patient || stall.waiting.empty()) return std::nullopt;
  if (!sees_all_ && stall.silent.empty()) return std::nullopt;
  return stall;
}

}  // namespace firesteel
