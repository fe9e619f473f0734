// SPDX-License-Identifier: Apache-2.0
#include "firesteel/core/block_partition.hpp"

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <string>

#include "firesteel/core/error.hpp"

namespace firesteel {

namespace {

constexpr Index kMaxBlockRows = 8192;
constexpr Index kTargetBlockBytes = 256 * 1024;
/// Wide rows: a block has more of them, lest sums of a value a column be added up for every few.
constexpr Index kWideBlockBytes = 1024 * 1024;
constexpr Index kWideBlockRows = 4 * kTileRows;
constexpr Index kSparseNonZerosPerRow = 64;
constexpr double kMaxImbalance = 1.05;

bool valid_block_rows(Index block_rows) {
  return block_rows >= kTileRows && std::has_single_bit(static_cast<std::uint64_t>(block_rows));
}

/// Even cuts in units of `unit` blocks.
std::vector<Index> cuts_in_units(Index blocks, int ranks, Index unit) {
  const Index units = (blocks + unit - 1) / unit;
  std::vector<Index> cuts(static_cast<std::size_t>(ranks) + 1);
  for (int rank = 0; rank <= ranks; ++rank)
    cuts[static_cast<std::size_t>(rank)] =
        std::min(blocks, units / ranks * rank * unit + units % ranks * rank / ranks * unit);
  cuts.back() = blocks;
  return cuts;
}

Index largest_share(const std::vector<Index>& cuts) {
  Index largest = 0;
  for (std::size_t i = 1; i < cuts.size(); ++i) largest = std::max(largest, cuts[i] - cuts[i - 1]);
  return largest;
}

}  // namespace

BlockPartition::BlockPartition(Index rows, Index block_rows, std::vector<Index> cuts)
    : rows_(rows), block_rows_(block_rows), cuts_(std::move(cuts)) {
  if (rows < 0) throw internal_error("a partition of " + std::to_string(rows) + " rows: must be >= 0");
  if (!valid_block_rows(block_rows))
    throw internal_error("rows a block must be a power of two of at least 32, got " +
                         std::to_string(block_rows));
  if (cuts_.size() < 2 || cuts_.front() != 0 || cuts_.back() != blocks() ||
      !std::is_sorted(cuts_.begin(), cuts_.end()))
    throw internal_error("cuts must rise from 0 to the number of blocks, " + std::to_string(blocks()));
}

BlockPartition BlockPartition::even(Index rows, Index block_rows, int ranks) {
  if (rows < 0 || ranks < 1 || !valid_block_rows(block_rows))
    return {rows, block_rows, {}};  // throws with the message
  const Index blocks = (rows + block_rows - 1) / block_rows;
  auto cuts = cuts_in_units(blocks, ranks, 1);
  const auto allowed = kMaxImbalance * static_cast<double>(blocks) / ranks;
  for (Index unit = 2; unit * ranks <= 2 * blocks; unit *= 2) {
    auto candidate = cuts_in_units(blocks, ranks, unit);
    if (static_cast<double>(largest_share(candidate)) <= allowed) cuts = std::move(candidate);
  }
  return {rows, block_rows, std::move(cuts)};
}

Index BlockPartition::row_of_block(Index block) const { return std::min(rows_, block * block_rows_); }

int BlockPartition::owner(Index block) const {
  // The last rank whose first block is not past `block`; empty ranks before it share that first block and are
  // skipped.
  return static_cast<int>(std::upper_bound(cuts_.begin(), cuts_.end(), block) - cuts_.begin()) - 1;
}

Index choose_block_rows(Index columns, Index value_bytes, bool sparse) {
  if (const char* forced = std::getenv("FIRESTEEL_BLOCK_ROWS"); forced != nullptr && *forced != '\0') {
    char* end = nullptr;
    const Index block_rows = std::strtoll(forced, &end, 10);
    if (*end != '\0' || !valid_block_rows(block_rows) || block_rows > kMaxBlockRows)
      throw bad_parameter("FIRESTEEL_BLOCK_ROWS must be a power of two in 32 … 8192, got '" +
                          std::string(forced) + "'");
    return block_rows;
  }
  const Index row_bytes = std::max<Index>(
      1, sparse ? std::min(columns, kSparseNonZerosPerRow) * (value_bytes + 4) : columns * value_bytes);
  const Index fitting = std::max(
      {Index{1}, kTargetBlockBytes / row_bytes, std::min(kWideBlockRows, kWideBlockBytes / row_bytes)});
  return std::clamp<Index>(static_cast<Index>(std::bit_floor(static_cast<std::uint64_t>(fitting))), kTileRows,
                           kMaxBlockRows);
}

}  // namespace firesteel
