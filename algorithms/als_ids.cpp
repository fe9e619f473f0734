// SPDX-License-Identifier: Apache-2.0
#include "firesteel/algorithms/als_ids.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <numeric>
#include <optional>
#include <unordered_map>
#include <unordered_set>

#include "firesteel/algorithms/als_chunks.hpp"
#include "firesteel/core/parallel.hpp"
#include "firesteel/core/parameters.hpp"
#include "firesteel/core/rating_chunks.hpp"

namespace firesteel {

namespace {

constexpr std::size_t kSamplesPerRank = 64;
constexpr Index kLookupRows = 16384;  // rows a task

constexpr std::size_t at(Index i) { return static_cast<std::size_t>(i); }

std::vector<std::int64_t> gather_all(Communicator& comm, const std::vector<std::int64_t>& ids) {
  return comm.allgatherv(std::span<const std::int64_t>(ids));
}
std::vector<std::string> gather_all(Communicator& comm, const std::vector<std::string>& ids) {
  return comm.allgather_texts(ids);
}

std::vector<std::int64_t> exchange_ids(Communicator& comm, const std::vector<std::int64_t>& ids,
                                       const std::vector<Index>& counts) {
  return comm.alltoallv(std::span<const std::int64_t>(ids), counts);
}
std::vector<std::string> exchange_ids(Communicator& comm, const std::vector<std::string>& ids,
                                      const std::vector<Index>& counts) {
  std::vector<Index> lengths;
  std::string joined;
  std::vector<Index> byte_counts;
  comm.collectively([&] {
    for (const auto& id : ids) {
      lengths.push_back(static_cast<Index>(id.size()));
      joined += id;
    }
    std::size_t next = 0;
    for (const Index count : counts) {
      byte_counts.push_back(std::accumulate(lengths.begin() + static_cast<Index>(next),
                                            lengths.begin() + static_cast<Index>(next) + count, Index{0}));
      next += at(count);
    }
  });
  lengths = comm.alltoallv(std::span<const Index>(lengths), counts);
  const auto bytes = comm.alltoallv(std::span<const char>(joined.data(), joined.size()), byte_counts);
  return comm.collectively([&] { return cut_texts(lengths, bytes); });
}

template <class Id>
using Key = std::conditional_t<std::is_same_v<Id, std::string>, std::string_view, Id>;

/// The distinct ids of one rank, ascending, and each row's position among them.
template <class Id>
struct LocalIds {
  std::vector<Id> distinct;
  std::vector<std::int32_t> index;
};

void check_count(Index count, std::string_view what) {
  if (count > std::numeric_limits<std::int32_t>::max())
    throw bad_input(std::string(what) + ": " + std::to_string(count) +
                    " distinct ids, more than the 2147483647 that ALS takes");
}

Error ids_of_another_kind(std::string_view what) {
  return bad_input(std::string(what) + ": expected ids that are all 64-bit whole numbers or all texts");
}

template <class Id>
LocalIds<Id> distinct_ids(const std::vector<Id>& column, std::string_view what) {
  LocalIds<Id> local;
  local.index.reserve(column.size());
  std::unordered_map<Key<Id>, std::int32_t> seen;
  std::vector<Key<Id>> order;
  for (const Id& id : column) {
    const auto [entry, added] = seen.try_emplace(id, static_cast<std::int32_t>(order.size()));
    if (added) {
      order.push_back(entry->first);
      check_count(static_cast<Index>(order.size()), what);
    }
    local.index.push_back(entry->second);
  }
  // From order of appearance to ascending order.
  std::vector<std::int32_t> sorted(order.size());
  std::iota(sorted.begin(), sorted.end(), 0);
  std::sort(sorted.begin(), sorted.end(),
            [&](std::int32_t a, std::int32_t b) { return order[at(a)] < order[at(b)]; });
  std::vector<std::int32_t> position(order.size());
  for (std::size_t p = 0; p < sorted.size(); ++p) position[at(sorted[p])] = static_cast<std::int32_t>(p);
  for (const std::int32_t s : sorted) local.distinct.emplace_back(order[at(s)]);
  for (auto& index : local.index) index = position[at(index)];
  return local;
}

/// How many of the ascending `ids` go to each rank, by value.
template <class Id>
std::vector<Index> deal_by_value(const std::vector<Id>& ids, std::vector<Id> samples, std::size_t ranks) {
  std::sort(samples.begin(), samples.end());
  std::vector<Index> counts(ranks, 0);
  auto begin = ids.begin();
  for (std::size_t rank = 0; rank < ranks; ++rank) {
    const bool last = rank + 1 == ranks || samples.empty();
    const auto end =
        last ? ids.end() : std::lower_bound(begin, ids.end(), samples[(rank + 1) * samples.size() / ranks]);
    counts[rank] = end - begin;
    begin = end;
  }
  return counts;
}

/// The distinct ids of all ranks, ascending, from those of each. Collective.
template <class Id>
std::vector<Id> join_distinct(const Context& context, const std::vector<Id>& distinct) {
  Communicator& comm = context.comm();
  if (comm.size() == 1) return distinct;
  std::vector<Id> samples;
  const std::size_t count = std::min(kSamplesPerRank, distinct.size());
  for (std::size_t s = 0; s < count; ++s) samples.push_back(distinct[s * distinct.size() / count]);
  samples = gather_all(comm, samples);
  const auto counts = comm.collectively(
      [&] { return deal_by_value(distinct, samples, static_cast<std::size_t>(comm.size())); });
  std::vector<Id> all = exchange_ids(comm, distinct, counts);
  comm.collectively([&] {
    std::sort(all.begin(), all.end());
    all.erase(std::unique(all.begin(), all.end()), all.end());
  });
  return gather_all(comm, all);
}

template <class Id>
IndexedIds index_typed(const Context& context, const std::vector<Id>& column, std::string_view what) {
  Communicator& comm = context.comm();
  auto local = comm.collectively([&] { return distinct_ids(column, what); });
  auto all = join_distinct(context, local.distinct);
  return comm.collectively([&] {
    check_count(static_cast<Index>(all.size()), what);
    std::vector<std::int32_t> position;
    for (const Id& id : local.distinct)
      position.push_back(
          static_cast<std::int32_t>(std::lower_bound(all.begin(), all.end(), id) - all.begin()));
    for (auto& index : local.index) index = position[at(index)];
    return IndexedIds{std::move(all), std::move(local.index)};
  });
}

/// The distinct ids of a column that comes chunk by chunk.
template <class Id>
IdList index_chunked(const Context& context, const Ratings& ratings, bool users, std::string_view what) {
  std::vector<Id> distinct;
  context.comm().collectively([&] {
    std::unordered_set<Id> seen;
    for_each_chunk(ratings, [&](const Ratings& chunk) {
      const auto* const column = std::get_if<std::vector<Id>>(users ? &chunk.users : &chunk.items);
      if (column == nullptr) throw ids_of_another_kind(what);
      seen.insert(column->begin(), column->end());
      check_count(static_cast<Index>(seen.size()), what);
    });
    distinct.assign(seen.begin(), seen.end());
    std::sort(distinct.begin(), distinct.end());
  });
  auto all = join_distinct(context, distinct);
  context.comm().collectively([&] { check_count(static_cast<Index>(all.size()), what); });
  return all;
}

template <class Id>
std::int32_t find_sorted(const std::vector<Id>& ids, const Id& id) {
  const auto entry = std::lower_bound(ids.begin(), ids.end(), id);
  return entry != ids.end() && *entry == id ? static_cast<std::int32_t>(entry - ids.begin()) : -1;
}

/// Ids lie about evenly, as running numbers and hashes do: from where an id would lie then, in steps that
/// double; at worst twice the steps of a binary search.
std::int32_t find_one(const std::vector<std::int64_t>& ids, std::int64_t id) {
  if (ids.empty() || id < ids.front() || id > ids.back()) return -1;
  const std::size_t last = ids.size() - 1;
  const double share = (static_cast<double>(id) - static_cast<double>(ids.front())) /
                       std::max(1.0, static_cast<double>(ids.back()) - static_cast<double>(ids.front()));
  const std::size_t guess = std::min(last, static_cast<std::size_t>(share * static_cast<double>(last) + 0.5));
  std::size_t low = guess;   // ids[low] <= id, or it is the first
  std::size_t high = guess;  // ids[high] >= id, or it is the last
  for (std::size_t step = 1; ids[low] > id; step *= 2) low -= std::min(low, step);
  for (std::size_t step = 1; ids[high] < id; step *= 2) high = std::min(last, high + step);
  const auto found = std::lower_bound(ids.begin() + static_cast<std::ptrdiff_t>(low),
                                      ids.begin() + static_cast<std::ptrdiff_t>(high), id);
  return *found == id ? static_cast<std::int32_t>(found - ids.begin()) : -1;
}
std::int32_t find_one(const std::vector<std::string>& ids, const std::string& id) {
  return find_sorted(ids, id);
}
std::int32_t find_one(const std::vector<std::string>& ids, std::int64_t id) {
  return find_sorted(ids, std::to_string(id));
}
std::int32_t find_one(const std::vector<std::int64_t>& ids, const std::string& id) {
  const std::optional<std::int64_t> number = parse_integer(id);
  return number && std::to_string(*number) == id ? find_sorted(ids, *number) : -1;
}

}  // namespace

Index id_count(const IdList& ids) {
  return std::visit([](const auto& list) { return static_cast<Index>(list.size()); }, ids);
}

ColumnValues ids_at(const IdList& ids, const std::vector<std::int32_t>& which) {
  return std::visit(
      [&](const auto& list) -> ColumnValues {
        std::remove_cvref_t<decltype(list)> values;
        values.reserve(which.size());
        for (const std::int32_t position : which) values.push_back(list[at(position)]);
        return values;
      },
      ids);
}

IndexedIds index_ids(const Context& context, const ColumnValues& column, std::string_view what) {
  Communicator& comm = context.comm();
  // A rank without rows may hold an empty column of another kind.
  constexpr std::int64_t kNumbers = 1;
  constexpr std::int64_t kTexts = 2;
  std::int64_t kind = column_size(column) > 0 ? static_cast<std::int64_t>(column.index()) : kNumbers;
  std::array<std::int64_t, 2> kinds{kind, column_size(column) > 0 ? -kind : -kTexts};
  comm.allreduce_max(kinds);
  comm.collectively([&] {
    if (kinds[0] == 0 || kinds[1] == 0 || (column_size(column) > 0 && kinds[0] != kind))
      throw ids_of_another_kind(what);
  });
  if (kinds[0] == kTexts) {
    const auto* texts = std::get_if<std::vector<std::string>>(&column);
    return index_typed(context, texts != nullptr ? *texts : std::vector<std::string>{}, what);
  }
  const auto* numbers = std::get_if<std::vector<std::int64_t>>(&column);
  return index_typed(context, numbers != nullptr ? *numbers : std::vector<std::int64_t>{}, what);
}

IdList index_chunked_ids(const Context& context, const Ratings& ratings, bool users) {
  Communicator& comm = context.comm();
  const std::string& what = users ? ratings.user_name : ratings.item_name;
  // A rank without rows does not know the kind.
  bool texts = false;
  comm.collectively([&] {
    if (ratings.chunks->count() == 0) return;
    const Ratings first = ratings.chunks->read(ratings, 0);
    texts = std::holds_alternative<std::vector<std::string>>(users ? first.users : first.items);
  });
  if (comm.any(texts)) return index_chunked<std::string>(context, ratings, users, what);
  return index_chunked<std::int64_t>(context, ratings, users, what);
}

std::vector<std::int32_t> find_ids(const IdList& ids, const ColumnValues& column, int threads) {
  std::vector<std::int32_t> found(at(column_size(column)), -1);
  std::visit(
      [&](const auto& list, const auto& values) {
        using Id = typename std::remove_cvref_t<decltype(values)>::value_type;
        if constexpr (!std::is_same_v<Id, double>) {
          const Index rows = static_cast<Index>(values.size());
          parallel_for(threads, (rows + kLookupRows - 1) / kLookupRows, [&](Index task, int) {
            for (Index r = task * kLookupRows; r < std::min(rows, (task + 1) * kLookupRows); ++r)
              found[at(r)] = find_one(list, values[at(r)]);
          });
        }
      },
      ids, column);
  return found;
}

std::uint64_t id_key(const IdList& ids, Index position) {
  if (const auto* numbers = std::get_if<std::vector<std::int64_t>>(&ids))
    return static_cast<std::uint64_t>((*numbers)[at(position)]);
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char c : std::get<std::vector<std::string>>(ids)[at(position)])
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return hash;
}

}  // namespace firesteel
