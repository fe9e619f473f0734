// SPDX-License-Identifier: Apache-2.0
// Rows that do not fit into the pool's memory are written to scratch while they are read: the same values,
// labels and weights.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <string>
#include <vector>

#include "firesteel/core/philox.hpp"
#include "firesteel/io/read_options.hpp"
#include "firesteel/io/write_data.hpp"
#include "scratch.hpp"

namespace firesteel {
namespace {

constexpr Index kRows = 2000;
constexpr Index kColumns = 7;

std::string value_text(Index row, Index column) {
  const double u = philox_uniform(11, static_cast<std::uint64_t>(column), static_cast<std::uint64_t>(row));
  return std::to_string(20 * u - 10);
}

/// CSV with labels, weights and, where asked, missing values; a label that is a text comes late.
std::string csv(bool missing, bool text_label) {
  std::string text;
  for (Index j = 0; j < kColumns; ++j) text += "x" + std::to_string(j) + ",";
  text += "w,label\n";
  for (Index row = 0; row < kRows; ++row) {
    for (Index j = 0; j < kColumns; ++j)
      text += (missing && (row * 5 + j) % 37 == 0 ? std::string("NA") : value_text(row, j)) + ",";
    text += std::to_string(row % 3) + ",";
    text += text_label && row == kRows - 3 ? "last" : std::to_string(row % 2);
    text += "\n";
  }
  return text;
}

Context context_with(const std::string& bytes) {
  setenv("FIRESTEEL_POOL_BYTES", bytes.c_str(), 1);
  Context context({.threads = 3});
  unsetenv("FIRESTEEL_POOL_BYTES");
  return context;
}

/// The values of each block's rows, as a walk sees them.
std::vector<double> walk(const RowBlocks& rows) {
  std::vector<double> values(static_cast<std::size_t>(rows.local_rows() * rows.columns()));
  const Index first_row = rows.partition.first_row(rows.context.rank());
  for_each_block(rows, [&](Index block, int) {
    for (Index row = rows.partition.row_of_block(block); row < rows.partition.row_of_block(block + 1); ++row)
      for (Index j = 0; j < rows.columns(); ++j)
        values[static_cast<std::size_t>((row - first_row) * rows.columns() + j)] = std::visit(
            [&](const auto& tiles) -> double {
              if constexpr (requires { tiles.at(0, 0); }) {
                return static_cast<double>(tiles.at(row - first_row, j));
              } else {
                const auto indices = tiles.row_indices(row - first_row);
                const auto found = std::lower_bound(indices.begin(), indices.end(), j);
                if (found == indices.end() || *found != j) return 0;
                return static_cast<double>(
                    tiles.row_values(row - first_row)[static_cast<std::size_t>(found - indices.begin())]);
              }
            },
            rows.features);
  });
  return values;
}

void expect_same(const ReadOptions& options, const std::string& what) {
  const Context plain({.threads = 2});
  const RowBlocks expected = read_rows(plain, options).rows;
  ASSERT_EQ(expected.store(), nullptr);
  const auto expected_values = walk(expected);
  for (const char* memory : {"0", "20K"}) {
    const Context context = context_with(memory);
    const RowBlocks rows = read_rows(context, options).rows;
    if (std::string(memory) == "0") {
      EXPECT_TRUE(context.comm().any(rows.store() != nullptr));
    }
    EXPECT_EQ(walk(rows), expected_values) << what << ", memory " << memory;
    EXPECT_EQ(rows.labels, expected.labels);
    EXPECT_EQ(rows.weights, expected.weights);
    EXPECT_EQ(rows.dropped, expected.dropped);
    EXPECT_EQ(rows.rows_used, expected.rows_used);
    EXPECT_EQ(rows.schema.missing_means, expected.schema.missing_means);
  }
}

class SpilledRows : public testing::Test {
 protected:
  SpilledRows() { setenv("FIRESTEEL_BLOCK_ROWS", "32", 1); }
  ~SpilledRows() override { unsetenv("FIRESTEEL_BLOCK_ROWS"); }
};

TEST_F(SpilledRows, csv_is_read_as_into_memory) {
  const Context context({.threads = 1});
  const Scratch files(context);
  files.put("plain.csv", csv(false, false));
  files.put("missing.csv", csv(true, true));
  setenv("FIRESTEEL_PIECE_BYTES", "5000", 1);  // many extents, whose ends lie inside blocks
  for (const bool single : {false, true}) {
    expect_same({.inputs = {files / "plain.csv"}, .weight = "w", .single_precision = single}, "plain");
    for (const char* missing : {"drop", "mean"})
      expect_same(
          {.inputs = {files / "missing.csv"}, .weight = "w", .missing = missing, .single_precision = single},
          missing);
  }
  unsetenv("FIRESTEEL_PIECE_BYTES");
}

TEST_F(SpilledRows, hdf5_is_read_as_into_memory_and_written_back_from_scratch) {
  const Context context({.threads = 2});
  const Scratch files(context);
  files.put("rows.csv", csv(false, false));
  write_rows(read_rows(context, {.inputs = {files / "rows.csv"}}).rows, files / "rows.h5");
  expect_same({.inputs = {files / "rows.h5"}}, "hdf5");
  const Context small = context_with("0");
  const RowBlocks spilled = read_rows(small, {.inputs = {files / "rows.h5"}}).rows;
  for (const char* name : {"again.h5", "again.csv", "again.svm"}) {
    write_rows(read_rows(context, {.inputs = {files / "rows.h5"}}).rows,
               files / ("memory_" + std::string(name)));
    write_rows(spilled, files / name);
    EXPECT_EQ(slurp(files / name), slurp(files / ("memory_" + std::string(name)))) << name;
  }
}

/// LIBSVM of rows with more and fewer values, some of them none, some missing where asked.
std::string libsvm(bool missing) {
  std::string text;
  for (Index row = 0; row < kRows; ++row) {
    text += std::to_string(row % 2);
    for (Index j = 0; j < 12; ++j)
      if ((row * 7 + j * j) % (1 + row % 11) == 0 && row % 13 != 0)
        text += " " + std::to_string(j + 1) + ":" +
                (missing && (row * 5 + j) % 37 == 0 ? std::string("nan") : value_text(row, j));
    text += "\n";
  }
  return text;
}

TEST_F(SpilledRows, sparse_rows_are_read_as_into_memory_and_written_back_from_scratch) {
  const Context context({.threads = 2});
  const Scratch files(context);
  files.put("rows.svm", libsvm(false));
  files.put("missing.svm", libsvm(true));
  setenv("FIRESTEEL_PIECE_BYTES", "3000", 1);
  for (const bool single : {false, true}) {
    expect_same({.inputs = {files / "rows.svm"}, .single_precision = single}, "libsvm");
    expect_same({.inputs = {files / "missing.svm"}, .missing = "drop", .single_precision = single},
                "dropped");
  }
  unsetenv("FIRESTEEL_PIECE_BYTES");
  const auto in_memory = [&] { return read_rows(context, {.inputs = {files / "rows.svm"}}).rows; };
  const Context small = context_with("0");
  const RowBlocks spilled = read_rows(small, {.inputs = {files / "rows.svm"}}).rows;
  for (const char* name : {"again.h5", "again.csv", "again.svm", "again.npz", "again.jsonl"}) {
    write_rows(in_memory(), files / ("memory_" + std::string(name)));
    write_rows(spilled, files / name);
    EXPECT_EQ(slurp(files / name), slurp(files / ("memory_" + std::string(name)))) << name;
  }
  for (const char* name : {"again.h5", "again.npz", "again.jsonl"})
    expect_same({.inputs = {files / name}}, name);
}

/// A matrix in columns' order: entries travel, and are sorted outside of memory.
TEST_F(SpilledRows, matrix_market_is_read_as_into_memory) {
  const Context context({.threads = 2});
  const Scratch files(context);
  std::string entries;
  Index count = 0;
  for (Index j = 0; j < kColumns; ++j)
    for (Index row = 0; row < kRows; ++row)
      if ((row * 3 + j) % 4 == 0) {
        entries += std::to_string(row + 1) + " " + std::to_string(j + 1) + " " + value_text(row, j) + "\n";
        ++count;
      }
  files.put("sparse.mtx", "%%MatrixMarket matrix coordinate real general\n" + std::to_string(kRows) + " " +
                              std::to_string(kColumns) + " " + std::to_string(count) + "\n" + entries);
  std::string values;
  for (Index j = 0; j < kColumns; ++j)
    for (Index row = 0; row < kRows; ++row) values += value_text(row, j) + "\n";
  files.put("dense.mtx", "%%MatrixMarket matrix array real general\n" + std::to_string(kRows) + " " +
                             std::to_string(kColumns) + "\n" + values);
  for (const char* name : {"sparse.mtx", "dense.mtx"})
    expect_same({.inputs = {files / name}, .label_use = ReadOptions::Label::ignored}, name);
}

TEST_F(SpilledRows, tables_and_compressed_text_are_read_as_into_memory) {
  const Context context({.threads = 2});
  const Scratch files(context);
  files.put("rows.csv", csv(false, false));
  const RowBlocks rows = read_rows(context, {.inputs = {files / "rows.csv"}, .weight = "w"}).rows;
  for (const char* name : {"rows.jsonl", "rows.npz", "rows.parquet", "rows.arrow", "rows.orc"}) {
    try {
      write_rows(rows, files / name);
    } catch (const Error& error) {
      if (error.code() == ErrorCode::unavailable) continue;  // a build without Apache Arrow
      throw;
    }
    expect_same({.inputs = {files / name}, .weight = "weight"}, name);
  }
  std::string lines;
  for (Index row = 0; row < kRows; ++row) {
    lines += "{\"label\": " + std::to_string(row % 2);
    for (Index j = 0; j < kColumns; ++j)
      lines += ", \"x" + std::to_string(j) + "\": " + ((row + j) % 17 == 0 ? "null" : value_text(row, j));
    lines += "}\n";
  }
  files.put("missing.jsonl", lines);
  for (const char* missing : {"drop", "mean"})
    expect_same({.inputs = {files / "missing.jsonl"}, .missing = missing}, missing);
}

}  // namespace
}  // namespace firesteel
