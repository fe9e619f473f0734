// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "firesteel/core/watchdog.hpp"

namespace firesteel {

/// A job in which some ranks wait and nothing moves.
struct Stall {
  double seconds = 0;            ///< that nothing has moved for
  std::vector<PeerAge> waiting;  ///< in an operation on the others
  std::vector<PeerAge> busy;     ///< waited for, in no operation: computes, reads or writes by itself
  std::vector<PeerAge> silent;   ///< waited for, without a sign of life
};

/// Finds, from Watchdog::ages() now and then, the ranks that others wait for: a rank waits where it is in an
/// operation; it is waited for where it is in none or has fallen silent. It is a stall where at least one
/// rank waits and for `stall_s` no rank at all has begun or ended an operation or read a piece of a file. A
/// job in which every rank computes is none. Where every rank is in an operation nobody is waited for.
///
/// Time is counted by the looks: of the time between two no more than twice the interval counts, so that a
/// job which was suspended as a whole is not taken for one that stalled. Local; not for several threads.
class StallFinder {
 public:
  /// `interval_s`: between two looks, as planned. `sees_all`: whether ages() has every rank (on rank 0);
  /// otherwise only the silence of rank 0 is a stall, since rank 0 finds the others.
  StallFinder(double stall_s, double interval_s, bool sees_all);

  /// `now_s`: of a clock that only grows.
  std::optional<Stall> look(std::span<const PeerAge> ages, double now_s);
  /// Whether any rank had moved at the last look.
  bool moved() const { return moved_; }

 private:
  struct Seen {
    Index ticks = 0;
    double still_s = 0;  ///< that the ticks have been the same for
  };
  bool silent(const PeerAge& age) const;

  double stall_s_;
  double interval_s_;
  bool sees_all_;
  bool moved_ = false;
  std::optional<double> last_look_s_;
  std::vector<Seen> seen_;  // as ages are ordered
};

}  // namespace firesteel
