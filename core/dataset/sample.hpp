// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "firesteel/core/dataset/row_cursor.hpp"
#include "firesteel/core/philox.hpp"

namespace firesteel {

/// Keeps each element whose draw from [0, 1) is in [low, high). The draw is keyed by (seed, source row, which
/// of that row's elements), so that it is the same on any rank.
template <class Upstream>
struct SamplePipeline {
  using value_type = typename Upstream::value_type;
  static constexpr bool kOneToOne = false;
  static constexpr std::uint64_t kPurpose = std::uint64_t{0x73616D70} << 32;  // "samp"

  Upstream upstream;
  double low;
  double high;
  std::uint64_t seed;

  template <class Sink>
  void run(Index block, Index first_row, RowCursor& cursor, Sink&& sink) const {
    Index row = -1;
    std::uint64_t ordinal = 0;
    upstream.run(block, first_row, cursor, [&](auto&& value) {
      ordinal = cursor.row == row ? ordinal + 1 : 0;
      row = cursor.row;
      const double draw = philox_uniform(seed, kPurpose + ordinal, static_cast<std::uint64_t>(row));
      if (draw >= low && draw < high) sink(std::forward<decltype(value)>(value));
    });
  }
};

/// Pairs each element with its position in the global order.
template <class Upstream>
struct IndexedPipeline {
  using value_type = std::pair<Index, typename Upstream::value_type>;
  static constexpr bool kOneToOne = Upstream::kOneToOne;

  Upstream upstream;
  std::shared_ptr<const std::vector<Index>> first_of_block;  ///< of this rank's blocks; null: the row number
  Index first_block;

  template <class Sink>
  void run(Index block, Index first_row, RowCursor& cursor, Sink&& sink) const {
    Index index =
        first_of_block ? (*first_of_block)[static_cast<std::size_t>(block - first_block)] : first_row;
    upstream.run(block, first_row, cursor,
                 [&](auto&& value) { sink(value_type(index++, std::forward<decltype(value)>(value))); });
  }
};

}  // namespace firesteel
