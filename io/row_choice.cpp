// SPDX-License-Identifier: Apache-2.0
#include "firesteel/io/row_choice.hpp"

#include <algorithm>
#include <cmath>
#include <set>

#include "firesteel/core/error.hpp"
#include "firesteel/core/memory_pool.hpp"
#include "firesteel/core/philox.hpp"
#include "firesteel/io/kth_smallest.hpp"

namespace firesteel {

namespace {

constexpr std::uint64_t kPurpose = std::uint64_t{0x63686F69} << 32;  // "choi"

std::size_t size(Index i) { return static_cast<std::size_t>(i); }

/// The group of each local row by number, and how many there are: texts of all ranks in byte order.
struct Groups {
  std::vector<std::uint32_t> of_row;  ///< empty: all rows are of group 0
  std::size_t count = 1;
  std::size_t of(std::size_t row) const { return of_row.empty() ? 0 : of_row[row]; }
};

Groups number_groups(Communicator& comm, std::span<const std::string> texts, bool grouped) {
  Groups groups;
  if (!grouped) return groups;
  const auto own = comm.collectively([&] {
    std::set<std::string> distinct(texts.begin(), texts.end());
    if (static_cast<Index>(distinct.size()) > kMostGroups)
      throw bad_input("--stratify: more than " + std::to_string(kMostGroups) +
                      " different values; name a column of classes");
    return std::vector<std::string>(distinct.begin(), distinct.end());
  });
  auto all = comm.allgather_texts(own);
  comm.collectively([&] {
    std::sort(all.begin(), all.end());
    all.erase(std::unique(all.begin(), all.end()), all.end());
    if (static_cast<Index>(all.size()) > kMostGroups)
      throw bad_input("--stratify: more than " + std::to_string(kMostGroups) +
                      " different values; name a column of classes");
    for (const auto& text : texts)
      groups.of_row.push_back(
          static_cast<std::uint32_t>(std::lower_bound(all.begin(), all.end(), text) - all.begin()));
    groups.count = std::max<std::size_t>(1, all.size());
  });
  return groups;
}

Index chosen_of(const RowShare& share, Index rows) {
  if (share.rows) return std::min(*share.rows, rows);
  return std::min(rows, static_cast<Index>(std::floor(share.fraction * static_cast<double>(rows) + 0.5)));
}

}  // namespace

std::vector<std::uint8_t> choose_rows(const Context& context, Index local_rows, const RowShare& share,
                                      std::uint64_t seed, std::span<const std::string> texts) {
  Communicator& comm = context.comm();
  const bool grouped = comm.any(!texts.empty());
  const Index first = comm.exclusive_scan(local_rows);
  MemoryReservation reserved;
  comm.collectively(
      [&] { reserved = MemoryReservation(context.memory(), 17 * local_rows, "random draws of rows"); });
  const Groups groups = number_groups(comm, texts, grouped);
  std::vector<std::uint64_t> draws;
  std::vector<std::vector<std::uint64_t>> sorted;
  std::vector<std::int64_t> sizes;
  comm.collectively([&] {
    sorted.resize(groups.count);
    sizes.resize(groups.count);
    for (Index row = 0; row < local_rows; ++row) {
      draws.push_back(philox_bits(seed, kPurpose, static_cast<std::uint64_t>(first + row)));
      sorted[groups.of(size(row))].push_back(draws.back());
    }
    for (std::size_t g = 0; g < groups.count; ++g) {
      std::sort(sorted[g].begin(), sorted[g].end());
      sizes[g] = static_cast<std::int64_t>(sorted[g].size());
    }
  });
  comm.allreduce_sum(std::span(sizes));

  // The last draw of each group that is taken, and how many rows with that very draw.
  std::vector<KthTarget> targets;
  std::vector<Index> wanted(groups.count, 0);
  comm.collectively([&] {
    for (std::size_t g = 0; g < groups.count; ++g) {
      wanted[g] = chosen_of(share, sizes[g]);
      if (wanted[g] > 0) targets.push_back({g, wanted[g] - 1});
    }
  });
  const auto found = kth_smallest(comm, sorted, targets);
  std::vector<std::uint64_t> last(groups.count, 0);
  std::vector<std::int64_t> counts(2 * groups.count, 0);  // of each group: draws below the last, and like it
  comm.collectively([&] {
    for (std::size_t i = 0; i < targets.size(); ++i) {
      const std::size_t g = targets[i].group;
      last[g] = found[i];
      const auto range = std::equal_range(sorted[g].begin(), sorted[g].end(), last[g]);
      counts[2 * g] = range.first - sorted[g].begin();
      counts[2 * g + 1] = range.second - range.first;
    }
  });
  const auto all = comm.allgatherv(std::span<const std::int64_t>(counts));
  return comm.collectively([&] {
    std::vector<Index> like_left(groups.count, 0);  // rows with the last draw that are taken from here on
    for (std::size_t g = 0; g < groups.count; ++g) {
      Index below = 0;
      Index like_before = 0;
      for (int rank = 0; rank < comm.size(); ++rank) {
        below += all[size(rank) * counts.size() + 2 * g];
        if (rank < comm.rank()) like_before += all[size(rank) * counts.size() + 2 * g + 1];
      }
      like_left[g] = wanted[g] - below - like_before;
    }
    std::vector<std::uint8_t> chosen(size(local_rows), 0);
    for (std::size_t row = 0; row < chosen.size(); ++row) {
      const std::size_t g = groups.of(row);
      if (wanted[g] == 0) continue;
      if (draws[row] < last[g] || (draws[row] == last[g] && like_left[g]-- > 0)) chosen[row] = 1;
    }
    return chosen;
  });
}

}  // namespace firesteel
