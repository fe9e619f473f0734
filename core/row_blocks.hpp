// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "firesteel/core/aligned_vector.hpp"
#include "firesteel/core/block_partition.hpp"
#include "firesteel/core/block_store.hpp"
#include "firesteel/core/columns.hpp"
#include "firesteel/core/context.hpp"
#include "firesteel/core/parallel.hpp"

namespace firesteel {

/// Dense rows of this rank in tiles: 32 rows, stored column by column, so that value (row r, column j) of
/// tile t is tile(t)[j · 32 + r]. The last tile is padded with zeros. 64-byte aligned; the tiles of a block
/// follow one another.
///
/// All in memory, or, where they have a BlockStore, block by block: then tiles can be looked at only while
/// their block is open for filling (begin_rows … end_rows) or held by a pass (for_each_block, CanonicalSum
/// over the rows).
template <class Scalar>
class DenseTiles {
 public:
  using value_type = Scalar;

  DenseTiles() = default;
  DenseTiles(Index local_rows, Index columns)
      : rows_(local_rows),
        columns_(columns),
        values_(static_cast<std::size_t>((local_rows + kTileRows - 1) / kTileRows * kTileRows * columns)) {}
  /// As many in memory as `context` has room for. `block_rows` a power of two. Local; throws 73, 71.
  DenseTiles(const Context& context, Index local_rows, Index columns, Index block_rows);
  /// Tiles that lie in memory that somebody else has, such as a mapped file, and that lives as long as
  /// `owner` does; `first` on a 64-byte boundary. Local.
  DenseTiles(std::shared_ptr<const void> owner, Scalar* first, Index local_rows, Index columns)
      : rows_(local_rows), columns_(columns), owner_(std::move(owner)), mapped_(first) {}

  Index local_rows() const { return rows_; }
  Index columns() const { return columns_; }
  Index tiles() const { return (rows_ + kTileRows - 1) / kTileRows; }
  Scalar* tile(Index t) { return const_cast<Scalar*>(std::as_const(*this).tile(t)); }
  const Scalar* tile(Index t) const {
    if (!store_) return (mapped_ != nullptr ? mapped_ : values_.data()) + t * kTileRows * columns_;
    return reinterpret_cast<const Scalar*>(store_->address(t >> block_shift_)) +
           (t & ((Index{1} << block_shift_) - 1)) * kTileRows * columns_;
  }
  Scalar& at(Index row, Index column) { return tile(row / kTileRows)[column * kTileRows + row % kTileRows]; }
  Scalar at(Index row, Index column) const {
    return tile(row / kTileRows)[column * kTileRows + row % kTileRows];
  }
  /// The values of a row, wherever it lies: for a few rows here and there (DenseRowReader: for many). By any
  /// thread. Throws 74.
  void copy_row(Index row, std::span<double> values) const;
  /// The tiles from `first` on, wherever they lie; they are of one block. By any thread. Throws 74.
  void copy_tiles(Index first, std::span<Scalar> tiles) const;
  /// Tiles of a block; 0: all lie in memory.
  Index block_tiles() const { return store_ ? Index{1} << block_shift_ : 0; }

  /// Rows [first, end) will be written, or have been, each once; between the two calls their tiles are in
  /// memory. By any thread. Throw 71, 74.
  void begin_rows(Index first, Index end);
  void end_rows(Index first, Index end);

  /// Where blocks lie that are not in memory; null where all are.
  BlockStore* store() const { return store_.get(); }

 private:
  Index rows_ = 0;
  Index columns_ = 0;
  AlignedVector<Scalar> values_;
  std::shared_ptr<const void> owner_;
  Scalar* mapped_ = nullptr;
  int block_shift_ = 0;  ///< tiles a block, as a power of two
  std::shared_ptr<MemoryReservation> reserved_;
  std::shared_ptr<BlockStore> store_;
  std::shared_ptr<std::vector<std::atomic<Index>>> rows_left_;  ///< of a block: rows still to be written
};

/// Sparse rows of this rank (CSR): the non-zeros of local row r are [row_begin[r], row_begin[r + 1]), indices
/// ascending.
///
/// Where they do not fit into memory they lie block by block in a BlockStore and the vectors are empty
/// (SparseRowsBuilder): then rows can be looked at only while their block is held by a pass. A block is, from
/// its first byte: the non-zeros before each of its rows and their number (32 bits each, filled up to 8
/// bytes), the values, the indices.
template <class Scalar>
struct SparseRows {
  using value_type = Scalar;

  Index columns_count = 0;
  std::vector<Index> row_begin{0};
  std::vector<std::int32_t> indices;
  AlignedVector<Scalar> values;
  std::shared_ptr<MemoryReservation> reserved;

  /// Rows in a store.
  struct Blocks {
    std::shared_ptr<BlockStore> store;
    Index rows = 0;
    int row_shift = 0;  ///< rows a block, as a power of two
    Index non_zeros = 0;
  } blocks;

  Index local_rows() const { return blocks.store ? blocks.rows : static_cast<Index>(row_begin.size()) - 1; }
  Index columns() const { return columns_count; }
  Index non_zeros() const { return blocks.store ? blocks.non_zeros : static_cast<Index>(indices.size()); }
  std::span<const std::int32_t> row_indices(Index r) const {
    if (blocks.store) return in_block(r).indices;
    return {indices.data() + row_begin[size(r)], length(r)};
  }
  std::span<const Scalar> row_values(Index r) const {
    if (blocks.store) return in_block(r).values;
    return {values.data() + row_begin[size(r)], length(r)};
  }
  /// Where blocks lie that are not in memory; null where all are.
  BlockStore* store() const { return blocks.store.get(); }

  struct Row {
    std::span<const std::int32_t> indices;
    std::span<const Scalar> values;
  };
  /// A row of a block of `rows` rows whose bytes begin at `block`.
  static Row row_of(const std::byte* block, Index rows, Index row) {
    const auto* const begin = reinterpret_cast<const std::uint32_t*>(block);
    const auto* const all_values = reinterpret_cast<const Scalar*>(block + header_bytes(rows));
    const auto* const all_indices = reinterpret_cast<const std::int32_t*>(all_values + begin[rows]);
    const std::size_t number = begin[row + 1] - begin[row];
    return {{all_indices + begin[row], number}, {all_values + begin[row], number}};
  }
  static Index header_bytes(Index rows) { return (4 * (rows + 1) + 7) / 8 * 8; }
  Index rows_of_block(Index block) const {
    return std::min(Index{1} << blocks.row_shift, blocks.rows - (block << blocks.row_shift));
  }

 private:
  static std::size_t size(Index i) { return static_cast<std::size_t>(i); }
  std::size_t length(Index r) const { return size(row_begin[size(r) + 1] - row_begin[size(r)]); }
  Row in_block(Index r) const {
    const Index block = r >> blocks.row_shift;
    return row_of(blocks.store->address(block), rows_of_block(block), r - (block << blocks.row_shift));
  }
};

using FeatureStorage =
    std::variant<DenseTiles<double>, DenseTiles<float>, SparseRows<double>, SparseRows<float>>;

/// What is known of the columns: travels with the data into the model and back at scoring.
struct FeatureSchema {
  std::vector<std::string> names;     ///< one a column; empty where the source has none (LIBSVM)
  std::string missing = "error";      ///< how missing values were treated: error, drop, mean
  std::vector<double> missing_means;  ///< where "mean": the training means that stand in

  /// "column 'age'", or "column 3" without names, for messages.
  std::string column(Index j) const;
};

/// Rows packed for learners: an ordered sequence of blocks of rows, dealt to ranks in contiguous runs
/// (BlockPartition). Local row r of this rank is global row partition.first_row(rank) + r. Vectors that go
/// with rows hold one value a local row, zero-padded to a whole number of tiles. Every member is local.
struct RowBlocks {
  Context context;
  BlockPartition partition;
  FeatureStorage features;
  FeatureSchema schema;

  /// One label a local row where the source has labels: numbers or texts; empty vectors otherwise.
  ColumnValues labels;
  bool has_labels = false;
  /// Row weights, padded with zeros; empty: all 1. A row left out by `--missing drop` has weight 0 and counts
  /// in `dropped`.
  AlignedVector<double> weights;
  std::vector<std::uint8_t> dropped;  ///< one a local row, 1 = left out; empty: none on any rank or none here
  Index rows_used = 0;                ///< global rows without the dropped ones
  std::shared_ptr<MemoryReservation> reserved;  ///< for labels and weights

  Index columns() const {
    return std::visit([](const auto& storage) { return storage.columns(); }, features);
  }
  Index local_rows() const { return partition.local_rows(context.rank()); }
  bool sparse() const { return features.index() >= 2; }
  bool single_precision() const { return features.index() % 2 == 1; }
  /// Weights of the 32 rows of local tile t: 1, the given ones, 0 past the last row. `buffer` is used where
  /// needed.
  const double* tile_weights(Index t, std::span<double, kTileRows> buffer) const;
  /// Where blocks of features lie that are not in memory; null where all are.
  BlockStore* store() const;
};

/// Calls body(block, thread) for every block of this rank, by several threads, with its features in memory:
/// blocks in scratch are read ahead, each once. An exception ends the walk as in parallel_for. Local.
template <class Body>
void for_each_block(const RowBlocks& data, Body&& body) {
  const int rank = data.context.rank();
  const Index first = data.partition.first_block(rank);
  BlockPass pass(data.store());
  parallel_for(data.context.threads(), data.partition.end_block(rank) - first, [&](Index i, int thread) {
    const BlockPass::Hold hold(pass, i);
    body(first + i, thread);
  });
}

/// Packs a row-major matrix (this rank's rows) into tiles; labels and weights may be empty. The ranks' rows,
/// in rank order, are the global rows: they are moved between ranks so that every rank ends with whole
/// blocks. Labels and weights are given on every rank that has rows or on none; a rank without rows may leave
/// out everything. Throws bad_input where a value is not finite or a weight negative (named by row), or where
/// ranks disagree on columns. Collective.
struct DenseMatrix {
  std::span<const double> values;  ///< local rows x columns
  Index columns = 0;
  ColumnValues labels = std::vector<double>{};
  std::span<const double> weights = {};
};
RowBlocks pack_rows(const Context& context, const DenseMatrix& matrix, bool single_precision = false);

class RatingChunks;

/// Ratings for ALS, rows partitioned over ranks in input order: rank's rows are [first_row, first_row + size)
/// of `rows`. Where they do not fit into memory they lie in chunks in scratch, on all ranks, and `users`,
/// `items` and `ratings` are empty: for_each_chunk() walks both.
struct Ratings {
  Context context;
  Index rows = 0;       ///< global
  Index first_row = 0;  ///< of this rank
  ColumnValues users;   ///< int64 ids where every id of the column (all ranks) is one, else texts
  ColumnValues items;
  std::string user_name = "user";  ///< column names of the input
  std::string item_name = "item";
  std::vector<double> ratings;  ///< one a row; empty where the source has no rating column
  bool has_ratings = false;
  bool single_precision = false;  ///< sums of normal equations within 32 ratings in float; as stored, double
  std::shared_ptr<const RatingChunks> chunks;   ///< null: all in memory
  std::shared_ptr<MemoryReservation> reserved;  ///< for what is in memory, here and while they are fitted
};

}  // namespace firesteel
