// SPDX-License-Identifier: Apache-2.0
#include "firesteel/core/rating_chunks.hpp"

#include <algorithm>

namespace firesteel {

namespace {

/// Of a rating in memory: users, items and values as they are read, and at most as much again three times
/// while they are dealt by user and by item.
constexpr Index kBytes = 104;
constexpr Index kBytesOfTexts = 240;
/// Of a value beside it: as it is read, and as it is written.
constexpr Index kBytesOfKept = 64;

Index bytes_of(Index rows, bool text_ids) { return rows * (text_ids ? kBytesOfTexts : kBytes); }

void write_column(ByteWriter& out, const ColumnValues& column) {
  out.write(static_cast<Index>(column.index()));
  std::visit([&](const auto& values) { out.write(values); }, column);
}

ColumnValues read_column(ByteReader& in) {
  switch (in.read<Index>()) {
    case 0:
      return in.read<std::vector<double>>();
    case 1:
      return in.read<std::vector<std::int64_t>>();
    default:
      return in.read<std::vector<std::string>>();
  }
}

}  // namespace

void RatingChunks::put(Index first, const ColumnValues& users, const ColumnValues& items,
                       const std::vector<double>& ratings, const std::vector<ColumnValues>& kept) {
  ByteWriter out;
  write_column(out, users);
  write_column(out, items);
  out.write(ratings);
  const auto place = file_.append(out.buffer());
  detail::RecordFile::Place beside;
  if (!kept.empty()) {
    ByteWriter columns;
    for (const auto& column : kept) write_column(columns, column);
    beside = file_.append(columns.buffer());
  }
  const std::lock_guard lock(mutex_);
  chunks_.push_back({first, place, beside});
  rows_ += column_size(users);
}

void RatingChunks::finish() {
  std::sort(chunks_.begin(), chunks_.end(), [](const Chunk& a, const Chunk& b) { return a.first < b.first; });
}

Ratings RatingChunks::read(const Ratings& whole, Index i) const {
  const Chunk& chunk = chunks_[static_cast<std::size_t>(i)];
  const PageMemory pages = file_.read(chunk.place);
  ByteReader in({pages.data(), static_cast<std::size_t>(chunk.place.bytes)});
  Ratings ratings{.context = whole.context, .rows = whole.rows, .first_row = whole.first_row + chunk.first};
  ratings.users = read_column(in);
  ratings.items = read_column(in);
  ratings.ratings = in.read<std::vector<double>>();
  ratings.user_name = whole.user_name;
  ratings.item_name = whole.item_name;
  ratings.has_ratings = whole.has_ratings;
  ratings.single_precision = whole.single_precision;
  return ratings;
}

std::vector<ColumnValues> RatingChunks::read_kept(Index i) const {
  const auto& place = chunks_[static_cast<std::size_t>(i)].kept;
  std::vector<ColumnValues> kept;
  if (place.bytes == 0) return kept;
  const PageMemory pages = file_.read(place);
  ByteReader in({pages.data(), static_cast<std::size_t>(place.bytes)});
  while (!in.at_end()) kept.push_back(read_column(in));
  return kept;
}

void RatingChunks::add_traffic(const BlockStore& store) const {
  const StoreTraffic& more = store.traffic();
  traffic_.blocks += more.blocks;
  traffic_.spilled_blocks += more.spilled_blocks;
  traffic_.spilled_bytes += more.spilled_bytes;
  traffic_.passes += more.passes;
  traffic_.bytes_read += more.bytes_read;
  traffic_.bytes_written += more.bytes_written;
  traffic_.most_in_flight = std::max(traffic_.most_in_flight, more.most_in_flight);
  traffic_.stalls += more.stalls;
  traffic_.in_flight_at_stalls += more.in_flight_at_stalls;
  traffic_.stall_s += more.stall_s;
  if (more.passes > 0) reader_ = store.reader_name();
}

bool ratings_spill(const Context& context, Index own_rows, bool text_ids, std::size_t kept) {
  const Index bytes = bytes_of(own_rows, text_ids) + own_rows * static_cast<Index>(kept) * kBytesOfKept;
  return context.comm().any(bytes > context.memory()->available());
}

std::shared_ptr<MemoryReservation> reserve_ratings(const Context& context, Index own_rows, bool text_ids) {
  return std::make_shared<MemoryReservation>(context.memory(), bytes_of(own_rows, text_ids), "ratings");
}

void for_each_chunk(const Ratings& ratings, FunctionRef<void(const Ratings&)> body) {
  if (!ratings.chunks) return body(ratings);
  for (Index i = 0; i < ratings.chunks->count(); ++i) body(ratings.chunks->read(ratings, i));
}

}  // namespace firesteel
