// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "firesteel/core/parallel.hpp"
#include "firesteel/core/row_blocks.hpp"

namespace firesteel {

/// What one extent's rows hold.
template <class Scalar>
struct SparsePart {
  std::vector<Index> lengths;
  std::size_t entries = 0;
  std::vector<std::int32_t> indices;  ///< of the entries, then room
  std::vector<Scalar> values;         ///< likewise

  void add(std::int32_t index, Scalar value) {
    if (entries == indices.size()) make_room(std::max<std::size_t>(64, 2 * entries));
    indices[entries] = index;
    values[entries++] = value;
  }
  void reset() {
    lengths.clear();
    entries = 0;
  }
  void make_room(std::size_t wanted) {
    indices.resize(wanted);
    values.resize(wanted);
  }
};

/// Appends the parts, in order, to the rows.
template <class Scalar>
void append(SparseRows<Scalar>& rows, const std::vector<SparsePart<Scalar>>& parts, int threads) {
  std::vector<std::size_t> begins;
  std::size_t end = rows.indices.size();
  for (const auto& part : parts) {
    begins.push_back(end);
    end += part.entries;
    for (const Index length : part.lengths) rows.row_begin.push_back(rows.row_begin.back() + length);
  }
  rows.indices.resize(end);
  rows.values.resize(end);
  parallel_for(threads, static_cast<Index>(parts.size()), [&](Index i, int) {
    const auto& part = parts[static_cast<std::size_t>(i)];
    const auto begin = static_cast<std::ptrdiff_t>(begins[static_cast<std::size_t>(i)]);
    std::copy_n(part.indices.begin(), part.entries, rows.indices.begin() + begin);
    std::copy_n(part.values.begin(), part.entries, rows.values.begin() + begin);
  });
}

}  // namespace firesteel
