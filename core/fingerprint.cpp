// SPDX-License-Identifier: Apache-2.0
#include "firesteel/core/fingerprint.hpp"

#include <algorithm>
#include <atomic>
#include <cstdio>

#include "firesteel/core/fit_loop.hpp"
#include "firesteel/core/parallel.hpp"
#include "firesteel/core/rating_chunks.hpp"

namespace firesteel {

namespace {

template <class T>
std::uint64_t hash_values(std::uint64_t hash, const T* values, Index count) {
  return hash_bytes(hash, values, static_cast<std::size_t>(count) * sizeof(T));
}

std::uint64_t hash_column(std::uint64_t hash, const ColumnValues& column, Index first, Index count) {
  return std::visit(
      [&](const auto& values) {
        if (values.empty()) return hash;
        if constexpr (std::is_same_v<typename std::decay_t<decltype(values)>::value_type, std::string>) {
          for (Index i = first; i < first + count; ++i) {
            const std::string& text = values[static_cast<std::size_t>(i)];
            hash = hash_bytes(hash + text.size(), text.data(), text.size());
          }
          return hash;
        } else {
          return hash_values(hash, values.data() + first, count);
        }
      },
      column);
}

template <class Scalar>
std::uint64_t hash_features(std::uint64_t hash, const DenseTiles<Scalar>& tiles, Index first, Index count) {
  const Index first_tile = first / kTileRows;
  const Index end_tile = (first + count + kTileRows - 1) / kTileRows;
  return hash_values(hash, tiles.tile(first_tile), (end_tile - first_tile) * kTileRows * tiles.columns());
}

template <class Scalar>
std::uint64_t hash_features(std::uint64_t hash, const SparseRows<Scalar>& rows, Index first, Index count) {
  for (Index row = first; row < first + count; ++row) {
    const auto indices = rows.row_indices(row);
    hash = hash_values(hash + indices.size(), indices.data(), static_cast<Index>(indices.size()));
    hash = hash_values(hash, rows.row_values(row).data(), static_cast<Index>(indices.size()));
  }
  return hash;
}

std::string precision_text(bool single) { return single ? " in single precision" : ""; }

std::string fingerprint_text(Index rows, const std::string& shape, std::uint64_t hash) {
  char text[24];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(hash));
  return std::to_string(rows) + " rows" + shape + ", content " + text;
}

}  // namespace

std::string data_fingerprint(const RowBlocks& data) {
  Communicator& comm = data.context.comm();
  const BlockPartition& partition = data.partition;
  std::atomic<std::uint64_t> sum{0};  // order-free: each block's hash begins with its number
  comm.collectively([&] {
    for_each_block(data, [&](Index block, int) {
      const Index first = partition.row_of_block(block) - partition.first_row(comm.rank());
      const Index count = partition.row_of_block(block + 1) - partition.row_of_block(block);
      auto hash = std::visit(
          [&](const auto& features) {
            return hash_features(static_cast<std::uint64_t>(block) + 1, features, first, count);
          },
          data.features);
      hash = hash_column(hash, data.labels, first, count);
      if (!data.weights.empty()) hash = hash_values(hash, data.weights.data() + first, count);
      sum.fetch_add(hash, std::memory_order_relaxed);
    });
  });
  const auto total = static_cast<std::uint64_t>(comm.sum(static_cast<std::int64_t>(sum.load())));
  return fingerprint_text(data.rows_used,
                          " x " + std::to_string(data.columns()) + precision_text(data.single_precision()),
                          total);
}

std::string data_fingerprint(const Ratings& data) {
  Communicator& comm = data.context.comm();
  const auto sum = comm.collectively([&] {
    std::uint64_t local = 0;
    for_each_chunk(data, [&](const Ratings& chunk) {
      const auto rows = std::max(column_size(chunk.users), static_cast<Index>(chunk.ratings.size()));
      for (Index row = 0; row < rows; ++row) {
        auto hash = hash_column(static_cast<std::uint64_t>(chunk.first_row + row) + 1, chunk.users, row, 1);
        hash = hash_column(hash, chunk.items, row, 1);
        if (!chunk.ratings.empty()) hash = hash_values(hash, chunk.ratings.data() + row, 1);
        local += hash;
      }
    });
    return local;
  });
  const auto total = static_cast<std::uint64_t>(comm.sum(static_cast<std::int64_t>(sum)));
  return fingerprint_text(data.rows, precision_text(data.single_precision), total);
}

}  // namespace firesteel
