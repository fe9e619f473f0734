// SPDX-License-Identifier: Apache-2.0
#include "firesteel/core/row_blocks.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <limits>

#include "firesteel/core/check_rows.hpp"
#include "firesteel/core/dataset/pack.hpp"

namespace firesteel {
namespace {

Context small_blocks() {
  setenv("FIRESTEEL_BLOCK_ROWS", "32", 1);
  return Context({.threads = 2, .monitor = nullptr});
}

double cell(Index row, Index column) { return static_cast<double>(row) + static_cast<double>(column) * 0.25; }

/// The rows [first, end) of a matrix with the cells above.
std::vector<double> some_rows(Index first, Index end, Index columns) {
  std::vector<double> values;
  for (Index row = first; row < end; ++row)
    for (Index column = 0; column < columns; ++column) values.push_back(cell(row, column));
  return values;
}

/// This rank's rows where rank r holds r·13 rows: rank 0 none.
std::pair<Index, Index> ragged_range(const Context& context) {
  const Index r = context.rank();
  return {13 * r * (r - 1) / 2, 13 * r * (r + 1) / 2};
}
Index ragged_rows(const Context& context) {
  const Index n = context.size();
  return 13 * n * (n - 1) / 2;
}

TEST(PackRows, moves_ragged_rows_to_whole_blocks_in_order) {
  const Context context = small_blocks();
  constexpr Index kColumns = 3;
  const auto [first, end] = ragged_range(context);
  const auto values = some_rows(first, end, kColumns);
  std::vector<std::string> labels;
  std::vector<double> weights;
  for (Index row = first; row < end; ++row) {
    labels.push_back("label " + std::to_string(row));
    weights.push_back(0.5 * static_cast<double>(row));
  }
  for (const bool single : {false, true}) {
    const auto rows = pack_rows(
        context, {.values = values, .columns = kColumns, .labels = labels, .weights = weights}, single);
    EXPECT_EQ(rows.partition.rows(), ragged_rows(context));
    EXPECT_EQ(rows.rows_used, ragged_rows(context));
    EXPECT_EQ(rows.single_precision(), single);
    EXPECT_EQ(rows.columns(), kColumns);
    if (context.size() == 1) continue;  // no rows at all
    EXPECT_TRUE(rows.has_labels);
    const auto& own_labels = std::get<std::vector<std::string>>(rows.labels);
    ASSERT_EQ(static_cast<Index>(own_labels.size()), rows.local_rows());
    const Index own_first = rows.partition.first_row(context.rank());
    for (Index r = 0; r < rows.local_rows(); ++r) {
      EXPECT_EQ(own_labels[static_cast<std::size_t>(r)], "label " + std::to_string(own_first + r));
      EXPECT_EQ(rows.weights[static_cast<std::size_t>(r)], 0.5 * static_cast<double>(own_first + r));
      for (Index c = 0; c < kColumns; ++c)
        std::visit(
            [&](const auto& storage) {
              if constexpr (requires { storage.at(r, c); })
                EXPECT_EQ(storage.at(r, c), cell(own_first + r, c));
              else
                ADD_FAILURE() << "not dense";
            },
            rows.features);
    }
  }
}

TEST(PackRows, pads_the_last_tile_with_zeros_and_aligns_tiles) {
  const Context context = small_blocks();
  const Index rows_here = context.rank() == 0 ? 40 : 0;
  const auto values = some_rows(0, rows_here, 2);
  const auto rows = pack_rows(context, {.values = values, .columns = 2});
  const auto& tiles = std::get<DenseTiles<double>>(rows.features);
  Index seen = 0;
  for (Index t = 0; t < tiles.tiles(); ++t) {
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(tiles.tile(t)) % 64, 0u);
    std::array<double, kTileRows> buffer{};
    const double* weights = rows.tile_weights(t, buffer);
    for (Index r = 0; r < kTileRows; ++r) {
      const bool real = t * kTileRows + r < rows.local_rows();
      EXPECT_EQ(weights[r], real ? 1.0 : 0.0);
      seen += real ? 1 : 0;
      if (!real) {
        EXPECT_EQ(tiles.tile(t)[kTileRows + r], 0.0);
      }
    }
  }
  EXPECT_EQ(context.comm().sum(seen), 40);
}

/// The error of pack_rows, the same on every rank.
std::string pack_error(const Context& context, const DenseMatrix& matrix) {
  try {
    pack_rows(context, matrix);
  } catch (const Error& error) {
    EXPECT_TRUE(error.agreed());
    const std::vector<std::string> mine{error.what()};
    EXPECT_EQ(context.comm().allgather_texts(mine).front(), mine[0]);
    return error.what();
  }
  return "no error";
}

TEST(PackRows, a_rank_without_rows_takes_over_the_others_shape) {
  const Context context = small_blocks();
  // Rank 0 alone has rows, with texts as labels; the others know nothing of columns or labels.
  const bool first = context.rank() == 0;
  const auto values = some_rows(0, first ? 50 : 0, 4);
  ColumnValues labels = std::vector<double>{};
  if (first) labels = std::vector<std::string>(50, "yes");
  const auto rows = pack_rows(context, {.values = values, .columns = first ? 4 : 0, .labels = labels});
  EXPECT_EQ(rows.columns(), 4);
  EXPECT_TRUE(rows.has_labels);
  EXPECT_EQ(std::get<std::vector<std::string>>(rows.labels).size(),
            static_cast<std::size_t>(rows.local_rows()));
}

TEST(PackRows, ranks_that_disagree_are_told) {
  const Context context = small_blocks();
  if (context.size() == 1) return;
  const bool last = context.rank() == context.size() - 1;
  const Index columns = last ? 3 : 2;
  const auto values = some_rows(0, 6, columns);
  EXPECT_EQ(pack_error(context, {.values = values, .columns = columns}),
            "pack_rows: every rank must have the same columns, got 2 and 3");
  const auto even = some_rows(0, 6, 2);
  ColumnValues labels = std::vector<double>{};
  if (last) labels = std::vector<double>(6, 1.0);
  EXPECT_NE(
      pack_error(context, {.values = even, .columns = 2, .labels = labels}).find("every rank that has rows"),
      std::string::npos);
  labels = std::vector<double>(6, 1.0);
  if (last) labels = std::vector<std::string>(6, "x");
  EXPECT_NE(
      pack_error(context, {.values = even, .columns = 2, .labels = labels}).find("every rank that has rows"),
      std::string::npos);
}

TEST(PackRows, refuses_wrong_lengths_and_numbers_that_are_none) {
  const Context context = small_blocks();
  const auto values = some_rows(0, 6, 2);
  EXPECT_EQ(pack_error(context, {.values = values, .columns = 5}),
            "a matrix of 12 values cannot have 5 columns");
  EXPECT_NE(pack_error(context, {.values = values, .columns = 2, .labels = std::vector<double>(4)}),
            "no error");
  EXPECT_NE(pack_error(context, {.values = {}, .columns = 0}), "no error");
  auto bad = values;
  if (context.rank() == context.size() - 1) bad[7] = std::nan("");
  const Index row = 6 * (context.size() - 1) + 3;
  EXPECT_EQ(pack_error(context, {.values = bad, .columns = 2}),
            "row " + std::to_string(row) + ", column 1: expected a finite number, got nan");
  std::vector<double> weights(6, 1.0);
  if (context.rank() == context.size() - 1) weights[3] = -2;
  EXPECT_EQ(pack_error(context, {.values = values, .columns = 2, .weights = weights}),
            "row " + std::to_string(row) + ": expected a weight >= 0, got -2");
}

TEST(PackDataset, renumbers_the_elements_that_are_left) {
  const Context context = small_blocks();
  const auto odd = Dataset<Index>::range(context, 200).filter([](Index row) { return row % 2 == 1; });
  const auto rows = pack(odd, 2, [](Index row, PackedRow& packed) {
    packed.features[0] = cell(row, 0);
    packed.features[1] = cell(row, 1);
    packed.label = static_cast<double>(row);
  });
  EXPECT_EQ(rows.partition.rows(), 100);
  EXPECT_TRUE(rows.weights.empty());
  const auto& labels = std::get<std::vector<double>>(rows.labels);
  const auto& tiles = std::get<DenseTiles<double>>(rows.features);
  for (Index r = 0; r < rows.local_rows(); ++r) {
    const Index source = 2 * (rows.partition.first_row(context.rank()) + r) + 1;
    EXPECT_EQ(labels[static_cast<std::size_t>(r)], static_cast<double>(source));
    EXPECT_EQ(tiles.at(r, 1), cell(source, 1));
  }
}

TEST(PackDataset, a_label_is_set_for_every_row_or_for_none) {
  const Context context = small_blocks();
  const auto error = [&](Index without) {
    try {
      pack(Dataset<Index>::range(context, 100), 1, [&](Index row, PackedRow& packed) {
        if (row < without) packed.label = 1.0;
      });
    } catch (const Error& failure) {
      EXPECT_TRUE(failure.agreed());
      return std::string(failure.what());
    }
    return std::string("no error");
  };
  EXPECT_EQ(error(40), "row 40: expected a label as every row before has, got none");
  EXPECT_NE(error(64), "no error");  // whole blocks without
  EXPECT_EQ(error(0), "no error");
  EXPECT_EQ(error(100), "no error");
}

std::string refusal(const RowBlocks& rows) {
  try {
    check_rows(rows);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::bad_input);
    EXPECT_TRUE(error.agreed());
    return error.what();
  }
  return {};
}

/// 200 sparse rows of columns 1 and 3, packed dense first; `columns` as they should be.
RowBlocks sparse_blocks(const Context& context) {
  const auto values = some_rows(context.rank() == 0 ? 0 : 200, 200, 4);
  RowBlocks rows = pack_rows(context, {.values = values, .columns = 4});
  SparseRows<double> sparse;
  sparse.columns_count = 4;
  for (Index row = 0; row < rows.local_rows(); ++row) {
    sparse.indices.insert(sparse.indices.end(), {1, 3});
    sparse.values.insert(sparse.values.end(), {1.5, 2.5});
    sparse.row_begin.push_back(static_cast<Index>(sparse.indices.size()));
  }
  rows.features = std::move(sparse);
  return rows;
}

TEST(CheckRows, names_the_first_row_that_is_not_as_promised) {
  const Context context = small_blocks();
  RowBlocks rows = sparse_blocks(context);
  EXPECT_EQ(refusal(rows), "");
  auto& sparse = std::get<SparseRows<double>>(rows.features);
  const Index first = rows.partition.first_row(context.rank());
  const auto on = [&](Index global_row, auto&& change) {
    if (global_row >= first && global_row < first + rows.local_rows())
      change(static_cast<std::size_t>(2 * (global_row - first)));
  };
  on(150, [&](std::size_t entry) { sparse.indices[entry] = 3; });
  EXPECT_EQ(refusal(rows), "row 150: expected sparse indices that ascend to 3, got 3 after 3");
  on(120, [&](std::size_t entry) { sparse.indices[entry + 1] = 4; });
  EXPECT_EQ(refusal(rows), "row 120: expected sparse indices that ascend to 3, got 4 after 1");
  rows.schema.names = {"a", "b", "c", "d"};
  on(7, [&](std::size_t entry) { sparse.values[entry] = std::numeric_limits<double>::infinity(); });
  EXPECT_EQ(refusal(rows), "row 7, column 'b': expected a finite number, got inf");
}

TEST(CheckRows, refuses_lengths_that_do_not_fit_and_ranks_that_differ) {
  const Context context = small_blocks();
  RowBlocks rows = sparse_blocks(context);
  rows.weights.assign(static_cast<std::size_t>(rows.local_rows()) + 1, 1.0);
  EXPECT_NE(refusal(rows).find("weights (padded to whole tiles), got"), std::string::npos);
  rows = sparse_blocks(context);
  rows.has_labels = true;
  EXPECT_NE(refusal(rows).find(" labels, got 0"), std::string::npos);
  if (context.size() == 1) return;
  rows = sparse_blocks(context);
  if (context.rank() == 1) std::get<SparseRows<double>>(rows.features).columns_count = 5;
  EXPECT_NE(refusal(rows).find("got 4 to 5 columns"), std::string::npos);
}

}  // namespace
}  // namespace firesteel
