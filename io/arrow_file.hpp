// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "firesteel/core/function_ref.hpp"
#include "firesteel/io/table.hpp"

namespace firesteel {

/// Rows of a row group that Parquet files hand out at once: few, so that each batch comes into the memory of
/// the one before, which is near.
inline constexpr Index kArrowBatchRows = 8192;

/// One column that is read: its number among the file's, what the table takes it for, how it is wanted.
struct ArrowColumn {
  Index column = 0;
  TableKind kind = TableKind::real;
  TableWant want = TableWant::doubles;
};

/// An open Parquet, Arrow IPC or ORC file. Implemented by a module that is loaded when the first such file is
/// opened, so that a process that reads none does not carry Apache Arrow. Local; throws what Arrow says as
/// std::runtime_error, bad_alloc.
class ArrowFile {
 public:
  virtual ~ArrowFile() = default;
  virtual std::vector<TableColumn> columns() = 0;
  /// Rows of each row group, record batch or stripe.
  virtual std::vector<Index> part_rows() = 0;
  /// Calls take(rows, values in the order of `wanted`) for the batches of a part, in order.
  using Take = FunctionRef<void(Index rows, std::vector<TableValues>& values)>;
  virtual void read(Index part, const std::vector<ArrowColumn>& wanted, Take take) = 0;
};

/// Batches that one of several writers has written to a file of its own: its bytes [begin, end) stand in the
/// whole file as they are.
struct ArrowPart {
  Index begin = 0;
  Index end = 0;
  std::string summary;  ///< what the module must know of them to end the whole file
  Index bytes() const { return end - begin; }
};

/// What stands in the whole file before and after all parts.
struct ArrowEnds {
  std::string head;
  std::string tail;
};

/// Writes one such file, a batch of rows after another. Local; throws as ArrowFile.
class ArrowWriter {
 public:
  virtual ~ArrowWriter() = default;
  /// The values are given up as they are encoded.
  virtual void write(std::vector<TableValues> values) = 0;
  /// Writes what ends the file.
  virtual void finish() = 0;
  /// What was written, of a writer that ArrowModule::create_part() has made. After finish().
  virtual ArrowPart part() { return {}; }
};

/// Bytes of a file that Arrow cannot open by its path. Local; any thread.
class ArrowInput {
 public:
  virtual ~ArrowInput() = default;
  virtual Index bytes() const = 0;
  /// Fills `out` from `offset` on; returns how much of it, −1 where reading failed.
  virtual Index read(Index offset, std::span<char> out) const noexcept = 0;
};

/// What the module offers. `version` must be kArrowModuleVersion: module and program are built together.
inline constexpr int kArrowModuleVersion = 4;
struct ArrowModule {
  int version = 0;
  /// `input` null: the file is opened by its path.
  std::unique_ptr<ArrowFile> (*open)(std::shared_ptr<const ArrowInput> input, const std::string& path,
                                     const std::string& format) = nullptr;
  std::unique_ptr<ArrowWriter> (*create)(const std::string& path, const std::string& format,
                                         const std::vector<TableColumn>& columns) = nullptr;
  /// One of several writers of one file; null where the format is written by one alone.
  std::unique_ptr<ArrowWriter> (*create_part)(const std::string& path, const std::string& format,
                                              const std::vector<TableColumn>& columns) = nullptr;
  /// The file of all parts, in order, is what create() would have made of their batches.
  ArrowEnds (*join)(const std::string& format, const std::vector<TableColumn>& columns,
                    const std::vector<ArrowPart>& parts) = nullptr;
};

/// Loads the module, once. Throws 69 with the remedy where this build has none or it cannot be loaded.
const ArrowModule& arrow_module(const std::string& format);

}  // namespace firesteel
