// SPDX-License-Identifier: Apache-2.0
#include "firesteel/core/memory_pool.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <utility>

#include "firesteel/core/error.hpp"
#include "firesteel/core/memory.hpp"

namespace firesteel {

namespace {

/// For what is small and not reserved: messages, indices of files, stacks, pages of libraries that are
/// touched late.
constexpr Index kMargin = Index{32} << 20;
constexpr Index kUnlimited = std::numeric_limits<Index>::max() / 4;

/// What `ulimit -v` leaves to all ranks of a host as if each had its share: it counts for each alone.
Index address_room() {
  const MemoryRoom room = process_memory_room();
  return room.source == "ulimit -v" ? room.available : kUnlimited;
}

}  // namespace

std::optional<Index> parse_bytes(std::string_view text) {
  Index number = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), number);
  if (result.ec != std::errc() || result.ptr == text.data() || number < 0) return std::nullopt;
  const std::string_view suffix(result.ptr, static_cast<std::size_t>(text.data() + text.size() - result.ptr));
  int shift = 0;
  if (suffix.size() > 1) return std::nullopt;
  if (suffix.size() == 1) {
    constexpr std::string_view kSuffixes = "KMGT";
    const auto place =
        kSuffixes.find(static_cast<char>(suffix[0] >= 'a' ? suffix[0] - 'a' + 'A' : suffix[0]));
    if (place == std::string_view::npos) return std::nullopt;
    shift = 10 * (static_cast<int>(place) + 1);
  }
  if (number > (Index{1} << 62) >> shift) return std::nullopt;
  return number << shift;
}

std::string bytes_text(Index bytes) {
  constexpr std::array<const char*, 5> kUnits{"bytes", "KiB", "MiB", "GiB", "TiB"};
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  for (; value >= 1024 && unit + 1 < kUnits.size(); ++unit) value /= 1024;
  std::array<char, 40> text{};
  std::snprintf(text.data(), text.size(), unit == 0 ? "%.0f %s" : "%.3g %s", value, kUnits[unit]);
  return text.data();
}

MemoryPool::MemoryPool(Index limit, bool strict)
    : limit_(limit), strict_(strict), base_(process_memory().current + kMargin) {}

Index MemoryPool::available() const {
  const std::lock_guard lock(mutex_);
  return std::max<Index>(0, limit_ - base_ - used_);
}

Index MemoryPool::used() const {
  const std::lock_guard lock(mutex_);
  return used_;
}

Index MemoryPool::peak() const {
  const std::lock_guard lock(mutex_);
  return peak_;
}

void MemoryPool::reclaim(Index bytes) {
  std::vector<Reclaimer> asked;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& entry : reclaimers_) asked.push_back(entry.second);
  }
  for (const auto& reclaimer : asked) {
    if (bytes <= 0) return;
    bytes -= reclaimer(bytes);
  }
}

void MemoryPool::reserve(Index bytes, const std::string& what) {
  if (const Index room = available(); bytes > room) reclaim(bytes - room);
  const std::lock_guard lock(mutex_);
  const Index room = limit_ - base_ - used_;
  if (strict_ && bytes > room)
    throw Error(ErrorCode::out_of_memory, "out of memory: " + what + " need " + std::to_string(bytes) +
                                              " bytes, but --memory " + std::to_string(limit_) + " leaves " +
                                              std::to_string(std::max<Index>(0, room)) +
                                              " beside what the rank holds: give at least --memory " +
                                              std::to_string(limit_ + bytes - room) + ", or use more ranks");
  used_ += bytes;
  peak_ = std::max(peak_, used_);
}

bool MemoryPool::try_reserve(Index bytes) {
  const std::lock_guard lock(mutex_);
  if (bytes > limit_ - base_ - used_) return false;
  used_ += bytes;
  peak_ = std::max(peak_, used_);
  return true;
}

void MemoryPool::release(Index bytes) {
  const std::lock_guard lock(mutex_);
  used_ -= bytes;
}

int MemoryPool::add_reclaimer(Reclaimer reclaimer) {
  const std::lock_guard lock(mutex_);
  reclaimers_.emplace_back(next_, std::move(reclaimer));
  return next_++;
}

void MemoryPool::remove_reclaimer(int number) {
  const std::lock_guard lock(mutex_);
  std::erase_if(reclaimers_, [number](const auto& entry) { return entry.first == number; });
}

MemoryReservation::MemoryReservation(std::shared_ptr<MemoryPool> pool, Index bytes, const std::string& what)
    : pool_(std::move(pool)), bytes_(bytes) {
  pool_->reserve(bytes_, what);
}

MemoryReservation::MemoryReservation(MemoryReservation&& other) noexcept
    : pool_(std::move(other.pool_)), bytes_(std::exchange(other.bytes_, 0)) {}

MemoryReservation& MemoryReservation::operator=(MemoryReservation&& other) noexcept {
  std::swap(pool_, other.pool_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

MemoryReservation::~MemoryReservation() {
  if (pool_) pool_->release(bytes_);
}

std::shared_ptr<MemoryPool> make_memory_pool(const Communicator& comm, const StorageOptions& options) {
  if (const char* forced = std::getenv("FIRESTEEL_POOL_BYTES"); forced != nullptr && *forced != '\0') {
    const auto bytes = parse_bytes(forced);
    if (!bytes)
      throw bad_parameter("FIRESTEEL_POOL_BYTES must be a number of bytes, got '" + std::string(forced) +
                          "'");
    return std::make_shared<MemoryPool>(process_memory().current + kMargin + *bytes, false);
  }
  Index limit = options.memory;
  if (limit == 0) {
    // What this process holds is its own already.
    const double there =
        static_cast<double>(std::min(available_memory(), address_room())) / comm.node_size() +
        static_cast<double>(process_memory().current);
    const double share = options.share > 0 ? options.share : kDefaultShare;
    limit = static_cast<Index>(std::min(share * there, static_cast<double>(kUnlimited)));
  }
  return std::make_shared<MemoryPool>(limit, options.bounded());
}

}  // namespace firesteel
