// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mutex>
#include <string>
#include <vector>

#include "firesteel/core/dataset/cache.hpp"
#include "firesteel/core/function_ref.hpp"
#include "firesteel/core/row_blocks.hpp"

namespace firesteel {

/// Ratings of a rank that lie in scratch, in runs of rows. Local.
class RatingChunks {
 public:
  explicit RatingChunks(const std::string& scratch)
      : file_(scratch, detail::RecordFile::Through::page_cache) {}

  /// The ratings from local row `first` on, at most kRows of them best, and the columns that are kept beside
  /// them. By any thread, in any order. Throws 73, 74.
  void put(Index first, const ColumnValues& users, const ColumnValues& items,
           const std::vector<double>& ratings, const std::vector<ColumnValues>& kept = {});
  /// All were put: they are looked at in order of rows from now on.
  void finish();

  Index count() const { return static_cast<Index>(chunks_.size()); }
  Index rows() const { return rows_; }
  /// In scratch.
  Index bytes() const { return file_.bytes(); }
  /// The i-th chunk as ratings of its own, with what `whole` says of names and ranks. Throws 74.
  Ratings read(const Ratings& whole, Index i) const;
  /// The columns that are kept beside it. Throws 74.
  std::vector<ColumnValues> read_kept(Index i) const;

  /// What the passes over a fit's copies of the ratings have cost, told by the fit at its end.
  void add_traffic(const BlockStore& store) const;
  const StoreTraffic& traffic() const { return traffic_; }
  const char* reader_name() const { return reader_; }

  /// Rows a chunk that readers aim at.
  static constexpr Index kRows = 32768;

 private:
  struct Chunk {
    Index first = 0;
    detail::RecordFile::Place place;
    detail::RecordFile::Place kept;  ///< of no bytes where nothing is
  };
  detail::RecordFile file_;
  std::mutex mutex_;
  std::vector<Chunk> chunks_;
  Index rows_ = 0;
  mutable StoreTraffic traffic_;
  mutable const char* reader_ = "none";
};

/// Whether ratings go to scratch: where some rank's account has no room for so many rows, with what a fit
/// makes of them and `kept` columns beside them. The same on all ranks. Collective.
bool ratings_spill(const Context& context, Index own_rows, bool text_ids, std::size_t kept = 0);
/// For ratings that are kept in memory. Local; throws 71 where a bound does not allow it.
std::shared_ptr<MemoryReservation> reserve_ratings(const Context& context, Index own_rows, bool text_ids);

/// Calls body(chunk) for this rank's ratings, in order of rows: once where they are in memory. Local; throws
/// what body throws, and 74.
void for_each_chunk(const Ratings& ratings, FunctionRef<void(const Ratings& chunk)> body);

}  // namespace firesteel
