// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "firesteel/core/dataset/block_source.hpp"

namespace firesteel {

/// Keeps each block's elements in memory once they were computed. Within one action a block is worked on by
/// one thread, and actions follow one another, so no lock is needed. A block whose computation throws is not
/// kept.
template <class Upstream>
struct CachePipeline {
  using value_type = typename Upstream::value_type;
  static constexpr bool kOneToOne = Upstream::kOneToOne;

  struct Entry {
    bool ready = false;
    BlockRows<value_type> rows;
  };

  Upstream upstream;
  std::shared_ptr<std::vector<Entry>> entries;  ///< one an own block; shared by copies of the dataset
  Index first_block;

  template <class Sink>
  void run(Index block, Index first_row, RowCursor& cursor, Sink&& sink) const {
    Entry& entry = (*entries)[static_cast<std::size_t>(block - first_block)];
    if (!entry.ready) {
      BlockRows<value_type> rows{.first_row = first_row};
      upstream.run(block, first_row, cursor, [&](auto&& value) {
        rows.values.push_back(std::forward<decltype(value)>(value));
        if constexpr (!kOneToOne) rows.offsets.push_back(static_cast<std::uint16_t>(cursor.row - first_row));
      });
      rows.file = cursor.file;
      entry.rows = std::move(rows);
      entry.ready = true;
    }
    entry.rows.template replay<false>(cursor, sink);
  }
};

}  // namespace firesteel
