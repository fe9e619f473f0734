// SPDX-License-Identifier: Apache-2.0
#include "firesteel/io/finish_rows.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "firesteel/core/canonical_sum.hpp"
#include "firesteel/core/parallel.hpp"
#include "firesteel/core/parameters.hpp"

namespace firesteel {

namespace {

std::size_t size(Index i) { return static_cast<std::size_t>(i); }

/// Readers that put rows into scratch leave zeros there.
template <class Scalar>
void clear_row(DenseTiles<Scalar>& tiles, Index row) {
  if (tiles.store() != nullptr) return;
  for (Index column = 0; column < tiles.columns(); ++column) tiles.at(row, column) = 0;
}
template <class Scalar>
void clear_row(SparseRows<Scalar>& rows, Index row) {
  if (rows.store() != nullptr) return;
  std::fill(rows.values.begin() + rows.row_begin[size(row)],
            rows.values.begin() + rows.row_begin[size(row) + 1], Scalar{0});
}

/// Gives dropped rows weight 0; every rank then has weights, so that learners treat ranks alike.
void leave_out_dropped(RowBlocks& rows) {
  const Index local = rows.local_rows();
  if (rows.dropped.empty()) rows.dropped.assign(size(local), 0);
  if (rows.weights.empty()) {
    rows.weights.assign(size((local + kTileRows - 1) / kTileRows * kTileRows), 0.0);
    std::fill_n(rows.weights.begin(), local, 1.0);
  }
  for (Index row = 0; row < local; ++row) {
    if (rows.dropped[size(row)] == 0) continue;
    rows.weights[size(row)] = 0;
    std::visit([row](auto& storage) { clear_row(storage, row); }, rows.features);
  }
}

/// Weighted sums and weights of one block's values that are not missing: out = {sums, weights}. Without
/// weights each is 1.
template <class Scalar>
void block_totals(const DenseTiles<Scalar>& tiles, std::span<const double> weights, Index first_row,
                  Index rows, std::span<double> out) {
  std::fill(out.begin(), out.end(), 0.0);
  const std::size_t columns = out.size() / 2;
  for (Index begin = first_row; begin < first_row + rows; begin += kTileRows) {
    const Index lanes = std::min(kTileRows, first_row + rows - begin);
    const Scalar* tile = tiles.tile(begin / kTileRows);
    for (std::size_t column = 0; column < columns; ++column) {
      for (Index lane = 0; lane < lanes; ++lane) {
        const double value = static_cast<double>(tile[static_cast<Index>(column) * kTileRows + lane]);
        const double weight = weights.empty() ? 1 : weights[size(begin + lane)];
        if (std::isnan(value) || weight == 0) continue;
        out[column] += weight * value;
        out[columns + column] += weight;
      }
    }
  }
}

template <class Scalar>
void replace_missing(const RowBlocks& rows, DenseTiles<Scalar>& tiles, const std::vector<double>& means) {
  const BlockPartition& partition = rows.partition;
  const int rank = rows.context.rank();
  for_each_block(rows, [&](Index block, int) {
    const Index end = partition.row_of_block(block + 1) - partition.first_row(rank);
    for (Index row = partition.row_of_block(block) - partition.first_row(rank); row < end; row += kTileRows) {
      Scalar* tile = tiles.tile(row / kTileRows);
      for (Index column = 0; column < tiles.columns(); ++column)
        for (Index lane = 0; lane < kTileRows; ++lane)
          if (std::isnan(tile[column * kTileRows + lane]))
            tile[column * kTileRows + lane] = static_cast<Scalar>(means[size(column)]);
    }
    if (tiles.store() != nullptr) tiles.store()->rewrite(block - partition.first_block(rank));
  });
}

template <class Scalar>
std::vector<double> column_means(const RowBlocks& rows, const DenseTiles<Scalar>& tiles,
                                 const std::string& source) {
  const Index columns = tiles.columns();
  CanonicalSum sum(rows.context.comm(), rows.partition, 2 * columns, rows.context.threads());
  const Index first_row = rows.partition.first_row(rows.context.rank());
  const auto totals = sum(
      [&](Index block, std::span<double> out) {
        const Index begin = rows.partition.row_of_block(block);
        block_totals(tiles, rows.weights, begin - first_row, rows.partition.row_of_block(block + 1) - begin,
                     out);
      },
      tiles.store());
  return rows.context.comm().collectively([&] {
    std::vector<double> means(size(columns));
    for (std::size_t column = 0; column < means.size(); ++column) {
      const double weight = totals[means.size() + column];
      const std::string name = rows.schema.names.empty() ? std::to_string(column) : rows.schema.names[column];
      if (weight == 0)
        throw bad_input(source + ": column '" + name +
                        "' has no values at all: --missing mean has nothing to average; "
                        "exclude it by --exclude");
      means[column] = totals[column] / weight;
      if (!std::isfinite(means[column]))
        throw bad_input(source + ": the mean of column '" + name + "' overflows: scale the column");
    }
    return means;
  });
}

template <class Scalar>
void put_means(RowBlocks& rows, DenseTiles<Scalar>& tiles, const ReadOptions& options,
               const std::string& source) {
  auto& means = rows.schema.missing_means;
  if (options.expected == nullptr) {
    means = column_means(rows, tiles, source);
  } else {
    means = options.expected->missing_means;
    rows.context.comm().collectively([&] {
      if (static_cast<Index>(means.size()) != tiles.columns())
        throw bad_input(
            "the model holds no training means to stand in for missing values: it was trained without "
            "--missing mean");
      for (const double mean : means)
        if (!std::isfinite(static_cast<Scalar>(mean)))
          throw bad_input("the model's training mean " + number_text(mean) + " is beyond single precision");
    });
  }
  rows.context.comm().collectively([&] { replace_missing(rows, tiles, means); });
}
template <class Scalar>
void put_means(RowBlocks&, SparseRows<Scalar>&, const ReadOptions&, const std::string&) {}

}  // namespace

void finish_rows(RowBlocks& rows, const ReadOptions& options, const std::string& source) {
  Communicator& comm = rows.context.comm();
  const bool scoring = options.expected != nullptr;
  rows.schema.missing = options.missing;
  const Index dropped = comm.sum(std::accumulate(rows.dropped.begin(), rows.dropped.end(), Index{0}));
  rows.rows_used = rows.partition.rows() - dropped;
  if (dropped == 0) rows.dropped.clear();
  const bool weighted = comm.any(!rows.weights.empty());
  comm.collectively([&] {
    if (rows.rows_used == 0 && !scoring)
      throw bad_input(source + ": every row has a missing value, so that --missing drop leaves none");
    if (dropped > 0) leave_out_dropped(rows);
  });
  const bool positive = comm.any(
      std::any_of(rows.weights.begin(), rows.weights.end(), [](double weight) { return weight > 0; }));
  comm.collectively([&] {
    if (weighted && !positive && !scoring) throw bad_input(source + ": all weights are zero");
  });
  if (options.missing == "mean")
    std::visit([&](auto& storage) { put_means(rows, storage, options, source); }, rows.features);
}

}  // namespace firesteel
