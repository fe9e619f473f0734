// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "firesteel/core/communicator.hpp"
#include "firesteel/core/index.hpp"

namespace firesteel {

/// How much memory a rank may take and where data go that do not fit.
struct StorageOptions {
  Index memory = 0;     ///< bytes of the whole process (peak resident size); 0: a share of what there is
  double share = 0;     ///< where memory is 0: of what machine, cgroup and ulimit -v leave to this rank
  std::string scratch;  ///< directory of local disk; empty: $TMPDIR, else /tmp
  bool bounded() const { return memory > 0 || share > 0; }  ///< a user has set the bound
};

inline constexpr double kDefaultShare = 0.8;
/// The smallest bound that is accepted: an empty rank with its libraries takes a third of it.
inline constexpr Index kSmallestMemory = Index{128} << 20;

/// Bytes of a size as users write it: a whole number with one of K, M, G, T (powers of 1024) or none.
/// nullopt for anything else and beyond 2^62. Local.
std::optional<Index> parse_bytes(std::string_view text);

/// "1.5 GiB", for people. Local.
std::string bytes_text(Index bytes);

/// The one account of a rank's memory: blocks of rows, buffers of passes and exchanges, cached datasets and
/// the state of fits are reserved here before they are allocated. What the process took before (libraries,
/// MPI) is counted as used, and a margin for small allocations is kept.
///
/// Where a reservation does not fit, those who hold memory that they can put elsewhere (BlockStore) are asked
/// to give some back. Where that is not enough, a bound that the user set is an error (71) that names both
/// numbers; the default bound lets it pass, because estimates may be too high. Local. Only the thread that
/// calls collectives may reserve, and not during a pass over blocks.
class MemoryPool {
 public:
  /// `limit`: bytes of the process; `strict`: a reservation beyond it throws.
  MemoryPool(Index limit, bool strict);

  Index limit() const { return limit_; }  ///< of the process
  bool strict() const { return strict_; }
  /// Bytes that may still be reserved; never negative.
  Index available() const;
  /// Whether rows of so many bytes may stay in memory for good. Under a bound that the user set that is where
  /// three times as much is left for what is made of them.
  bool has_ample_room(Index bytes) const { return bytes <= (strict_ ? available() / 4 : available()); }
  Index used() const;  ///< reserved now, without what the process took before
  Index peak() const;  ///< the highest `used` so far

  /// Throws out_of_memory (71): "`what` needs N bytes, but …".
  void reserve(Index bytes, const std::string& what);
  /// False, and nothing reserved, where there is no room as it is. By any thread, at any time.
  bool try_reserve(Index bytes);
  void release(Index bytes);

  /// Asked to give back at least so many bytes; returns how many it gave.
  using Reclaimer = std::function<Index(Index bytes)>;
  int add_reclaimer(Reclaimer reclaimer);
  void remove_reclaimer(int number);

 private:
  void reclaim(Index bytes);

  mutable std::mutex mutex_;
  Index limit_;
  bool strict_;
  Index base_;  ///< of the process before the pool, and the margin
  Index used_ = 0;
  Index peak_ = 0;
  int next_ = 0;
  std::vector<std::pair<int, Reclaimer>> reclaimers_;
};

/// Bytes of a pool, given back on destruction. Local.
class MemoryReservation {
 public:
  MemoryReservation() = default;
  MemoryReservation(std::shared_ptr<MemoryPool> pool, Index bytes, const std::string& what);
  MemoryReservation(MemoryReservation&& other) noexcept;
  MemoryReservation& operator=(MemoryReservation&& other) noexcept;
  ~MemoryReservation();

  Index bytes() const { return bytes_; }

 private:
  std::shared_ptr<MemoryPool> pool_;
  Index bytes_ = 0;
};

/// The pool of this rank: `options.memory`, or the share of what the tightest of machine, memory cgroup (v1,
/// v2) and ulimit -v leaves, divided by the ranks of this host. FIRESTEEL_POOL_BYTES says in tests how much
/// may be reserved. Local.
std::shared_ptr<MemoryPool> make_memory_pool(const Communicator& comm, const StorageOptions& options);

}  // namespace firesteel
