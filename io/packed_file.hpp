// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "firesteel/core/row_blocks.hpp"
#include "firesteel/io/read_options.hpp"

namespace firesteel {

/// Packed files (.fsp): rows as learners hold them, in an HDF5 file of contiguous arrays, to be mapped at the
/// next start. docs/data-formats.md says what lies where.
///
///   tiles     dense: tiles · 32 · columns values; tile t holds rows 32 t … 32 t + 31, column by column
///   data, indices, indptr   sparse: values, columns (int32) and row ends (rows + 1 int64)
///   label, weight, dropped  one value a row, where there are any
///   checksums one XXH3 (64 bits) a block of `block_rows` rows, over what each array holds of these rows
///
/// Rows are numbered over all ranks, so that a file is the same for any ranks and read by any number.
inline constexpr std::int64_t kPackedVersion = 1;

/// What a packed file says of itself, checked against its size. Local.
struct PackedHeader {
  bool sparse = false;
  bool single_precision = false;
  Index rows = 0;
  Index columns = 0;
  Index values = 0;  ///< of sparse rows
  Index rows_used = 0;
  Index block_rows = 0;  ///< of the checksums
  int label_kind = -1;   ///< alternative of ColumnValues; −1: no labels
  Index label_bytes = 0;
  bool has_weights = false;
  bool has_dropped = false;
  FeatureSchema schema;

  struct Place {
    Index offset = 0;  ///< in the file
    Index bytes = 0;
  };
  Place features;  ///< tiles or data
  Place indices;
  Place pointers;
  Place labels;
  Place weights;
  Place dropped;
  Place checksums;

  Index value_bytes() const {
    return single_precision ? static_cast<Index>(sizeof(float)) : static_cast<Index>(sizeof(double));
  }
  Index blocks() const { return (rows + block_rows - 1) / block_rows; }
  /// One number that every field above decides, but the places.
  std::uint64_t fingerprint() const;
};

/// The bytes of one block of rows in each array, in the order in which they are summed.
struct PackedBlock {
  std::span<const std::byte> features;
  std::span<const std::byte> indices;
  std::span<const std::byte> pointers;  ///< of each row, where it ends
  std::span<const std::byte> labels;
  std::span<const std::byte> weights;
  std::span<const std::byte> dropped;
  std::uint64_t checksum() const;
};

/// Throws 65 with what was found where the file is no packed one, damaged, or claims what its size cannot
/// hold; 66.
PackedHeader read_packed_header(const std::string& path);

/// Writes rows as they are, dropped ones included. Whole or not at all. Collective; throws 73, 74.
void write_rows_packed(const RowBlocks& rows, const std::string& path);

/// read_rows for a packed file: this rank's part is mapped, or read where the context has a bound on its
/// memory or columns are chosen, and its checksums are compared. Collective; throws 65, 66, 74.
RowInput read_rows_packed(const Context& context, const ReadOptions& options,
                          const std::vector<std::string>& paths);
RowsShape measure_rows_packed(const Context& context, const std::vector<std::string>& paths);

}  // namespace firesteel
