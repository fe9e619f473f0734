// SPDX-License-Identifier: Apache-2.0
#include "firesteel/core/dataset.hpp"

#include <algorithm>
#include <array>
#include <new>
#include <stdexcept>

#include "firesteel/core/dataset/pack.hpp"

namespace firesteel {

namespace {
/// Rows of 256 bytes put 1,024 into a block: enough work for a thread, small enough to share among many.
constexpr Index kNominalColumns = 32;
}  // namespace

std::string RowCursor::prefix() const {
  if (row < 0) return {};
  if (end_row > row) return "rows " + std::to_string(row) + " to " + std::to_string(end_row - 1) + ": ";
  if (file != nullptr) return *file + ":" + std::to_string(row + 1) + ": ";
  return "row " + std::to_string(row) + ": ";
}

void rethrow_at(const RowCursor& cursor) {
  const ErrorPlace place{0, std::max<Index>(0, cursor.row)};
  try {
    throw;
  } catch (const Error& error) {
    if (error.agreed() || cursor.row < 0) throw;
    throw Error(error.code(), cursor.prefix() + error.what(), place);
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const std::length_error&) {
    throw;
  } catch (const std::exception& error) {
    throw bad_input(cursor.prefix() + error.what(), place);
  } catch (...) {
    throw bad_input(cursor.prefix() + "an exception that is no std::exception", place);
  }
}

std::shared_ptr<const BlockPartition> partition_rows(const Context& context, Index rows, Index columns) {
  Communicator& comm = context.comm();
  const Index block_rows = comm.collectively(
      [&] { return choose_block_rows(std::max(columns, kNominalColumns), sizeof(double), false); });
  std::array<std::int64_t, 4> widest{rows, -rows, block_rows, -block_rows};
  comm.allreduce_max(widest);
  return comm.collectively([&]() -> std::shared_ptr<const BlockPartition> {
    if (widest[0] != -widest[1])
      throw bad_parameter("a dataset's rows must be the same number on every rank, got " +
                          std::to_string(-widest[1]) + " to " + std::to_string(widest[0]));
    if (widest[2] != -widest[3]) throw bad_parameter("FIRESTEEL_BLOCK_ROWS must be the same on every rank");
    if (rows < 0) throw bad_parameter("a dataset of " + std::to_string(rows) + " rows: must be >= 0");
    return std::make_shared<const BlockPartition>(BlockPartition::even(rows, block_rows, comm.size()));
  });
}

namespace detail {

void PackedBlock::append(const PackedRow& row, Index columns) {
  // Rows before this one have all set a label, or none has.
  const auto note = [&](std::vector<double>& kept, const std::optional<double>& value, const char* what) {
    if (rows > 0 && value.has_value() == kept.empty())
      throw bad_input(std::string("expected a ") + what + " as " + (kept.empty() ? "no" : "every") +
                      " row before has, got " + (value ? "one" : "none"));
    if (value) kept.push_back(*value);
  };
  note(labels, row.label, "label");
  note(weights, row.weight, "weight");
  values.insert(values.end(), row.features.begin(), row.features.begin() + columns);
  ++rows;
}

RowBlocks pack_blocks(const Context& context, std::vector<PackedBlock> blocks, Index columns,
                      bool single_precision) {
  PackedBlock all;
  std::vector<double> labels;
  context.comm().collectively([&] {
    for (auto& block : blocks) {
      all.values.insert(all.values.end(), block.values.begin(), block.values.end());
      all.weights.insert(all.weights.end(), block.weights.begin(), block.weights.end());
      labels.insert(labels.end(), block.labels.begin(), block.labels.end());
      all.rows += block.rows;
      block = {};
    }
    // Blocks that disagree leave a number of labels that pack_rows refuses.
  });
  return pack_rows(
      context,
      {.values = all.values, .columns = columns, .labels = std::move(labels), .weights = all.weights},
      single_precision);
}

}  // namespace detail

}  // namespace firesteel
