// SPDX-License-Identifier: Apache-2.0
#include "firesteel/io/block_shares.hpp"

#include <algorithm>
#include <limits>
#include <numeric>
#include <tuple>

namespace firesteel {

namespace {

/// With twice as many the exact assignment takes eight times as long: 8 s.
constexpr Index kMostExactRanks = 1024;

std::size_t at(Index i) { return static_cast<std::size_t>(i); }

/// The assignment of columns to rows that costs least, by one shortest augmenting path a row; cost(row,
/// column) may be negative. Returns the row of each column. Rows and columns are counted from 1, 0 stands for
/// none.
template <class Cost>
std::vector<Index> cheapest_assignment(Index count, Cost cost) {
  constexpr Index kFar = std::numeric_limits<Index>::max() / 2;
  std::vector<Index> row_price(at(count + 1));
  std::vector<Index> column_price(at(count + 1));
  std::vector<Index> row_of(at(count + 1));
  std::vector<Index> came_from(at(count + 1));
  std::vector<Index> distance(at(count + 1));
  std::vector<bool> done(at(count + 1));
  for (Index row = 1; row <= count; ++row) {
    std::fill(distance.begin(), distance.end(), kFar);
    std::fill(done.begin(), done.end(), false);
    row_of[0] = row;
    Index column = 0;
    do {
      done[at(column)] = true;
      const Index from = row_of[at(column)];
      Index nearest = 0;
      Index step = kFar;
      for (Index next = 1; next <= count; ++next) {
        if (done[at(next)]) continue;
        const Index reduced = cost(from, next) - row_price[at(from)] - column_price[at(next)];
        if (reduced < distance[at(next)]) {
          distance[at(next)] = reduced;
          came_from[at(next)] = column;
        }
        if (distance[at(next)] < step) {
          step = distance[at(next)];
          nearest = next;
        }
      }
      for (Index each = 0; each <= count; ++each) {
        if (done[at(each)]) {
          row_price[at(row_of[at(each)])] += step;
          column_price[at(each)] -= step;
        } else {
          distance[at(each)] -= step;
        }
      }
      column = nearest;
    } while (row_of[at(column)] != 0);
    for (; column != 0; column = came_from[at(column)])
      row_of[at(column)] = row_of[at(came_from[at(column)])];
  }
  return row_of;
}

/// The largest bytes first, each where a rank of the host is free; what is left stays, or takes the first
/// rank that is free.
std::vector<int> greedy_shares(const ShareBytes& share_bytes, const std::vector<int>& host_of_rank) {
  struct Held {
    Index bytes;
    Index share;
    Index host;
  };
  std::vector<Held> held;
  const auto ranks = static_cast<Index>(host_of_rank.size());
  for (Index share = 1; share < ranks; ++share)
    for (Index host = 0; host < static_cast<Index>(share_bytes[at(share)].size()); ++host)
      if (const Index bytes = share_bytes[at(share)][at(host)]; bytes > 0)
        held.push_back({bytes, share, host});
  const auto moves = [&](const Held& each) { return host_of_rank[at(each.share)] != each.host; };
  std::sort(held.begin(), held.end(), [&](const Held& a, const Held& b) {
    return std::tuple(-a.bytes, moves(a), a.share, a.host) < std::tuple(-b.bytes, moves(b), b.share, b.host);
  });
  constexpr int kFree = -1;
  std::vector<int> share_of_rank(host_of_rank.size(), kFree);
  std::vector<bool> given(host_of_rank.size());
  const auto give = [&](Index share, Index rank) {
    share_of_rank[at(rank)] = static_cast<int>(share);
    given[at(share)] = true;
  };
  const auto is_free = [&](Index rank) { return share_of_rank[at(rank)] == kFree; };
  give(0, 0);
  std::vector<std::vector<Index>> seats(share_bytes.front().size());  // of each host, the first rank last
  for (Index rank = ranks - 1; rank > 0; --rank) seats[at(host_of_rank[at(rank)])].push_back(rank);
  for (const auto& [bytes, share, host] : held) {
    auto& left = seats[at(host)];
    while (!left.empty() && !is_free(left.back())) left.pop_back();
    if (given[at(share)] || left.empty()) continue;
    const bool stays = host_of_rank[at(share)] == host && is_free(share);
    give(share, stays ? share : left.back());
  }
  for (Index share = 1; share < ranks; ++share)
    if (!given[at(share)] && is_free(share)) give(share, share);
  Index rank = 1;
  for (Index share = 1; share < ranks; ++share) {
    if (given[at(share)]) continue;
    while (!is_free(rank)) ++rank;
    give(share, rank);
  }
  return share_of_rank;
}

char small_letter(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool equal_letters(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return small_letter(x) == small_letter(y); });
}

bool is_address(std::string_view name) {
  return name.find(':') != std::string_view::npos ||
         name.find_first_not_of("0123456789.") == std::string_view::npos;
}

}  // namespace

std::vector<int> assign_shares(const ShareBytes& share_bytes, const std::vector<int>& host_of_rank) {
  const auto ranks = static_cast<Index>(host_of_rank.size());
  std::vector<int> share_of_rank(host_of_rank.size());
  std::iota(share_of_rank.begin(), share_of_rank.end(), 0);
  if (ranks < 3) return share_of_rank;  // rank 0 has share 0, and the other what is left
  if (ranks > kMostExactRanks) return greedy_shares(share_bytes, host_of_rank);
  // A byte counts more than all ranks that stay where they are. Row and column 1 are share and rank 1.
  const auto row_of = cheapest_assignment(ranks - 1, [&](Index share, Index rank) {
    const Index bytes = share_bytes[at(share)][at(host_of_rank[at(rank)])];
    return -bytes * ranks - (share == rank ? 1 : 0);
  });
  for (Index rank = 1; rank < ranks; ++rank) share_of_rank[at(rank)] = static_cast<int>(row_of[at(rank)]);
  return share_of_rank;
}

Index local_bytes(const ShareBytes& share_bytes, const std::vector<int>& host_of_rank,
                  const std::vector<int>& share_of_rank) {
  Index bytes = 0;
  for (std::size_t rank = 0; rank < host_of_rank.size(); ++rank)
    bytes += share_bytes[at(share_of_rank[rank])][at(host_of_rank[rank])];
  return bytes;
}

bool is_same_host(std::string_view a, std::string_view b) {
  if (equal_letters(a, b)) return true;
  if (is_address(a) || is_address(b)) return false;
  const auto dot_a = a.find('.');
  const auto dot_b = b.find('.');
  if ((dot_a == std::string_view::npos) == (dot_b == std::string_view::npos)) return false;
  return equal_letters(a.substr(0, dot_a), b.substr(0, dot_b));
}

}  // namespace firesteel
