// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "firesteel/core/dataset.hpp"
#include "firesteel/core/row_blocks.hpp"

namespace firesteel {

/// One row being packed: `features` has one zero a column, to be filled.
struct PackedRow {
  std::span<double> features;
  std::optional<double> label = std::nullopt;
  std::optional<double> weight = std::nullopt;
};

namespace detail {

/// Rows of one block, row-major; labels and weights as far as they were set.
struct PackedBlock {
  std::vector<double> values;
  std::vector<double> labels;
  std::vector<double> weights;
  Index rows = 0;

  void append(const PackedRow& row, Index columns);
};

/// Joins the blocks of this rank and packs them. Collective.
RowBlocks pack_blocks(const Context& context, std::vector<PackedBlock> blocks, Index columns,
                      bool single_precision);

}  // namespace detail

/// Packs a dataset into row blocks for learners. fill(element, PackedRow&) writes one row; a label (or a
/// weight) is set for every row or for none. Elements are renumbered in order: the row blocks have as many
/// rows as the dataset has elements. Throws bad_input naming the row where a label or weight is missing.
/// Collective. Memory: the rows once more while they move.
///
///   auto rows = pack(points, 2, [](const Point& p, PackedRow& row) {
///     row.features[0] = p.x;
///     row.features[1] = p.y;
///     row.label = p.kind;
///   });
template <class T, class Pipeline, class Fill>
RowBlocks pack(const Dataset<T, Pipeline>& dataset, Index columns, const Fill& fill,
               bool single_precision = false) {
  const Context& context = dataset.context();
  auto blocks = context.comm().collectively([&] {
    if (columns < 1) throw bad_parameter("pack: columns = " + std::to_string(columns) + ", must be >= 1");
    const Index first = dataset.partition().first_block(context.rank());
    const Index own = dataset.partition().end_block(context.rank()) - first;
    std::vector<detail::PackedBlock> packed(static_cast<std::size_t>(own));
    parallel_for(context.threads(), own, [&](Index i, int) {
      auto& block = packed[static_cast<std::size_t>(i)];
      std::vector<double> features(static_cast<std::size_t>(columns));
      dataset.run_block(first + i, [&](auto&& element) {
        std::fill(features.begin(), features.end(), 0.0);
        PackedRow row{.features = features};
        fill(element, row);
        block.append(row, columns);
      });
    });
    return packed;
  });
  return detail::pack_blocks(context, std::move(blocks), columns, single_precision);
}

}  // namespace firesteel
