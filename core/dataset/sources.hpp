// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "firesteel/core/block_partition.hpp"
#include "firesteel/core/dataset/cache.hpp"
#include "firesteel/core/dataset/row_cursor.hpp"

namespace firesteel {

/// Row i is the number i.
struct RangePipeline {
  using value_type = Index;
  static constexpr bool kOneToOne = true;

  Index rows;
  Index block_rows;

  template <class Sink>
  void run(Index, Index first_row, RowCursor& cursor, Sink&& sink) const {
    cursor = {};
    const Index end_row = std::min(rows, first_row + block_rows);
    for (Index row = first_row; row < end_row; ++row) {
      cursor.row = row;
      sink(Index{row});
    }
  }
};

/// The elements of a vector of any allocator, shared and constant.
template <class T>
class HeldElements {
 public:
  template <class Vector>
  HeldElements(std::shared_ptr<const Vector> values)  // NOLINT(google-explicit-constructor): the same, shared
      : elements_(values->data(), values->size()), memory_(std::move(values)) {}
  std::size_t size() const { return elements_.size(); }
  const T& operator[](std::size_t i) const { return elements_[i]; }
  std::span<const T> span() const { return elements_; }

 private:
  std::span<const T> elements_;
  std::shared_ptr<const void> memory_;
};

template <>
class HeldElements<bool> {
 public:
  HeldElements(std::shared_ptr<const std::vector<bool>> values)  // NOLINT(google-explicit-constructor)
      : values_(std::move(values)) {}
  std::size_t size() const { return values_->size(); }
  bool operator[](std::size_t i) const { return (*values_)[i]; }

 private:
  std::shared_ptr<const std::vector<bool>> values_;
};

/// Row i is element i − first_held of a vector in this rank's memory, or lies in one of `blocks`.
template <class T>
struct VectorPipeline {
  using value_type = T;
  static constexpr bool kOneToOne = true;

  HeldElements<T> values;
  Index first_held;
  Index block_rows;
  /// Instead of `values`, for what does not fit into memory: this rank's blocks, from first_block on.
  std::shared_ptr<detail::BlockCache<T>> blocks = nullptr;
  Index first_block = 0;

  template <class Sink>
  void run(Index block, Index first_row, RowCursor& cursor, Sink&& sink) const {
    if (blocks) return blocks->replay(block - first_block, cursor, sink);
    cursor = {};
    const Index end_row = std::min(first_held + static_cast<Index>(values.size()), first_row + block_rows);
    for (Index row = first_row; row < end_row; ++row) {
      cursor.row = row;
      sink(static_cast<const T&>(values[static_cast<std::size_t>(row - first_held)]));
    }
  }
};

}  // namespace firesteel
