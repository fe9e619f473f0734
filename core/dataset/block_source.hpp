// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

#include "firesteel/core/dataset/row_cursor.hpp"

namespace firesteel {

/// The elements that a pipeline makes of one block, and the source row of each.
template <class T>
struct BlockRows {
  Index first_row = 0;
  std::vector<T> values;
  /// Source row of each element, counted from first_row; empty: element i is of row first_row + i.
  std::vector<std::uint16_t> offsets;
  const std::string* file = nullptr;

  Index row(std::size_t i) const {
    return first_row + (offsets.empty() ? static_cast<Index>(i) : offsets[i]);
  }

  /// Hands every element to sink, moved where `Move`.
  template <bool Move, class Sink>
  void replay(RowCursor& cursor, Sink& sink) {
    cursor = {.file = file};
    for (std::size_t i = 0; i < values.size(); ++i) {
      cursor.row = row(i);
      if constexpr (std::is_same_v<T, bool>)
        sink(static_cast<bool>(values[i]));
      else if constexpr (Move)
        sink(std::move(values[i]));
      else
        sink(std::as_const(values[i]));
    }
  }
};

/// Where a dataset's rows come from when that is not known at compile time: one virtual call a block. An own
/// source (a file format, a generator with state) derives from it.
template <class T>
class BlockSource {
 public:
  virtual ~BlockSource() = default;
  /// Appends the rows of one own block to `rows` (given with first_row set). Called by any thread, for
  /// different blocks at once.
  virtual void read(Index block, RowCursor& cursor, BlockRows<T>& rows) const = 0;
};

/// The pipeline that starts at a BlockSource.
template <class T>
struct ErasedPipeline {
  using value_type = T;
  static constexpr bool kOneToOne = false;

  std::shared_ptr<const BlockSource<T>> source;

  template <class Sink>
  void run(Index block, Index first_row, RowCursor& cursor, Sink&& sink) const {
    BlockRows<T> rows{.first_row = first_row};
    source->read(block, cursor, rows);
    rows.template replay<true>(cursor, sink);
  }
};

/// Any pipeline as a BlockSource.
template <class Pipeline>
class PipelineSource final : public BlockSource<typename Pipeline::value_type> {
 public:
  explicit PipelineSource(Pipeline pipeline) : pipeline_(std::move(pipeline)) {}

  void read(Index block, RowCursor& cursor, BlockRows<typename Pipeline::value_type>& rows) const override {
    pipeline_.run(block, rows.first_row, cursor, [&](auto&& value) {
      rows.values.push_back(std::forward<decltype(value)>(value));
      rows.offsets.push_back(static_cast<std::uint16_t>(cursor.row - rows.first_row));
    });
    rows.file = cursor.file;
  }

 private:
  Pipeline pipeline_;
};

}  // namespace firesteel
