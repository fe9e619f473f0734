// SPDX-License-Identifier: Apache-2.0
#include "firesteel/core/check_rows.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <type_traits>

#include "firesteel/core/parallel.hpp"
#include "firesteel/core/parameters.hpp"

namespace firesteel {

namespace {

Index padded(Index rows) { return (rows + kTileRows - 1) / kTileRows * kTileRows; }

void require_length(const std::string& what, Index found, Index expected) {
  if (found != expected)
    throw bad_input("row blocks: expected " + std::to_string(expected) + " " + what + ", got " +
                    std::to_string(found));
}

template <class Scalar>
void check_shape(const DenseTiles<Scalar>& tiles, Index rows) {
  require_length("dense rows", tiles.local_rows(), rows);
}
template <class Scalar>
void check_shape(const SparseRows<Scalar>& sparse, Index rows) {
  require_length("sparse rows", sparse.local_rows(), rows);
  if (sparse.store() != nullptr) return;
  if (sparse.row_begin.front() != 0 || !std::is_sorted(sparse.row_begin.begin(), sparse.row_begin.end()))
    throw bad_input("row blocks: the row_begin of sparse rows must rise from 0");
  require_length("indices of sparse values", static_cast<Index>(sparse.indices.size()),
                 sparse.row_begin.back());
  require_length("sparse values", static_cast<Index>(sparse.values.size()), sparse.row_begin.back());
}

void check_shapes(const RowBlocks& data) {
  const Index rows = data.local_rows();
  std::visit([&](const auto& storage) { check_shape(storage, rows); }, data.features);
  if (data.has_labels) require_length("labels", column_size(data.labels), rows);
  if (!data.weights.empty())
    require_length("weights (padded to whole tiles)", static_cast<Index>(data.weights.size()), padded(rows));
  if (!data.dropped.empty())
    require_length("marks of dropped rows", static_cast<Index>(data.dropped.size()), rows);
}

/// The control flow of learners follows these: they must be the same on every rank.
void check_agreement(const RowBlocks& data) {
  Communicator& comm = data.context.comm();
  const std::array<Index, 4> mine{data.columns(), static_cast<Index>(data.features.index()),
                                  data.has_labels ? 1 : 0, data.partition.rows()};
  std::array<Index, 8> widest{};
  for (std::size_t i = 0; i < mine.size(); ++i) {
    widest[2 * i] = mine[i];
    widest[2 * i + 1] = -mine[i];
  }
  comm.allreduce_max(widest);
  for (std::size_t i = 0; i < mine.size(); ++i)
    if (widest[2 * i] != -widest[2 * i + 1])
      throw Error(ErrorCode::bad_input,
                  "row blocks: columns, storage, labels and rows must be those of all ranks, got " +
                      std::to_string(-widest[2 * i + 1]) + " to " + std::to_string(widest[2 * i]) +
                      (i == 0 ? " columns" : (i == 3 ? " rows" : " as their kind")),
                  {}, true);
}

/// One look at many values without branches or comparisons: one added to an exponent of ones, which is that
/// of infinities and of what is not a number, carries into the sign.
template <class Scalar>
bool all_finite(const Scalar* values, Index count) {
  using Bits = std::conditional_t<sizeof(Scalar) == 4, std::uint32_t, std::uint64_t>;
  constexpr Bits kExponent = std::bit_cast<Bits>(std::numeric_limits<Scalar>::infinity());
  constexpr Bits kOne = kExponent & (~kExponent + 1);
  Bits carried = 0;
  for (Index i = 0; i < count; ++i) carried |= (std::bit_cast<Bits>(values[i]) & kExponent) + kOne;
  return (carried & (kExponent + kOne)) == 0;
}

Error bad_value(const RowBlocks& data, Index row, Index column, double value) {
  const Index global_row = data.partition.first_row(data.context.rank()) + row;
  return bad_input("row " + std::to_string(global_row) + ", " + data.schema.column(column) +
                       ": expected a finite number, got " + number_text(value),
                   {0, global_row});
}

template <class Scalar>
void check_tile(const RowBlocks& data, const DenseTiles<Scalar>& tiles, Index t) {
  const Scalar* tile = tiles.tile(t);
  if (all_finite(tile, kTileRows * tiles.columns())) return;
  for (Index r = 0; r < kTileRows; ++r)
    for (Index j = 0; j < tiles.columns(); ++j)
      if (const Scalar value = tile[j * kTileRows + r]; !std::isfinite(value))
        throw bad_value(data, t * kTileRows + r, j, static_cast<double>(value));
}

template <class Scalar>
void check_tile(const RowBlocks& data, const SparseRows<Scalar>& sparse, Index t) {
  for (Index row = t * kTileRows; row < std::min(sparse.local_rows(), (t + 1) * kTileRows); ++row) {
    const auto indices = sparse.row_indices(row);
    const auto values = sparse.row_values(row);
    Index last = -1;
    for (std::size_t i = 0; i < indices.size(); ++i) {
      const Index column = indices[i];
      const Index global_row = data.partition.first_row(data.context.rank()) + row;
      if (column <= last || column >= sparse.columns())
        throw bad_input("row " + std::to_string(global_row) + ": expected sparse indices that ascend to " +
                            std::to_string(sparse.columns() - 1) + ", got " + std::to_string(column) +
                            (last < 0 ? "" : " after " + std::to_string(last)),
                        {0, global_row});
      if (!std::isfinite(values[i])) throw bad_value(data, row, column, static_cast<double>(values[i]));
      last = column;
    }
  }
}

void check_weights(const RowBlocks& data, Index t) {
  if (data.weights.empty()) return;
  const double* weights = data.weights.data() + t * kTileRows;
  for (Index r = 0; r < kTileRows; ++r) {
    const double weight = weights[r];
    const Index row = t * kTileRows + r;
    const bool good = row < data.local_rows() ? weight >= 0 && std::isfinite(weight) : weight == 0;
    if (good) continue;
    const Index global_row = data.partition.first_row(data.context.rank()) + row;
    throw bad_input("row " + std::to_string(global_row) + ": expected a weight " +
                        (row < data.local_rows() ? ">= 0" : "of 0 past the last row") + ", got " +
                        number_text(weight),
                    {0, global_row});
  }
}

void check(const RowBlocks& data, bool features) {
  check_agreement(data);
  data.context.comm().collectively([&] {
    check_shapes(data);
    if (!features && data.weights.empty()) return;
    const Index first_row = data.partition.first_row(data.context.rank());
    const auto check_block = [&](Index block, int) {
      const Index end = padded(data.partition.row_of_block(block + 1) - first_row) / kTileRows;
      for (Index t = (data.partition.row_of_block(block) - first_row) / kTileRows; t < end; ++t) {
        check_weights(data, t);
        if (features) std::visit([&](const auto& storage) { check_tile(data, storage, t); }, data.features);
      }
    };
    if (features) {
      for_each_block(data, check_block);
      return;
    }
    // Nothing that may lie in scratch is looked at.
    const int rank = data.context.rank();
    for (Index block = data.partition.first_block(rank); block < data.partition.end_block(rank); ++block)
      check_block(block, 0);
  });
}

}  // namespace

void check_rows(const RowBlocks& data) { check(data, true); }

void check_rows_but_dense_features(const RowBlocks& data) { check(data, data.sparse()); }

void check_lengths(const Ratings& data) {
  const Index users = column_size(data.users);
  const Index ratings = data.has_ratings ? static_cast<Index>(data.ratings.size()) : users;
  if (column_size(data.items) != users || ratings != users)
    throw bad_input("ratings: " + std::to_string(users) + " users, " +
                    std::to_string(column_size(data.items)) + " items and " + std::to_string(ratings) +
                    " ratings: expected as many of each");
}

}  // namespace firesteel
