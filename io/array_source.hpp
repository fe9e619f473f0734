// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "firesteel/core/index.hpp"

namespace firesteel {

enum class ValueKind { integer, unsigned_integer, real, text };

struct SourceArray {
  ValueKind kind = ValueKind::real;
  std::vector<Index> shape;
};

/// A file of named arrays of anybody's, open for reading: HDF5, NumPy. Local; every failure is an Error that
/// names the file. Nothing is believed before it is checked.
class ArraySource {
 public:
  ArraySource(std::string path, Index file_number) : path_(std::move(path)), file_number_(file_number) {}
  ArraySource(const ArraySource&) = delete;
  ArraySource& operator=(const ArraySource&) = delete;
  virtual ~ArraySource() = default;

  const std::string& path() const { return path_; }
  /// What an array, a part of one or a list may take in memory.
  virtual std::uint64_t most_bytes() const = 0;
  virtual bool has(const std::string& name) const = 0;
  virtual bool is_group(const std::string& name) const = 0;
  /// Names of the arrays and groups at the top, for messages.
  virtual std::vector<std::string> contents() const = 0;

  /// Shape and kind of an array of `dimensions` dimensions; one of a single dimension passes for a 2-D one of
  /// one column. Throws 65 with what was found.
  virtual SourceArray array(const std::string& name, int dimensions) const = 0;

  /// Rows [first, first + rows) of a 1-D array of numbers.
  virtual void read(const std::string& name, Index first, Index rows, double* out) const = 0;
  virtual void read(const std::string& name, Index first, Index rows, std::int64_t* out) const = 0;
  virtual void read(const std::string& name, Index first, Index rows, std::uint64_t* out) const = 0;
  /// Rows and columns of a 2-D array of numbers, row-major.
  virtual void read(const std::string& name, Index first, Index rows, Index first_column, Index columns,
                    double* out) const = 0;
  /// Rows of a 1-D array of texts.
  virtual std::vector<std::string> read_texts(const std::string& name, Index first, Index rows) const = 0;

  /// A list attribute of an array or group ("/" is the file's top); nullopt where there is none.
  virtual std::optional<std::vector<std::string>> texts_attribute(const std::string& object,
                                                                  const std::string& name) const = 0;
  virtual std::optional<std::vector<std::int64_t>> integers_attribute(const std::string& object,
                                                                      const std::string& name) const = 0;

  /// Throws 65: the path, then `what`. Ordered by file and row.
  [[noreturn]] void fail(const std::string& what, Index row = 0) const;

 protected:
  Index file_number() const { return file_number_; }

 private:
  std::string path_;
  Index file_number_;
};

/// Opens a file. Throws 66 where it is absent or unreadable, 65 where it is another kind of file or damaged.
using OpenArrays = std::unique_ptr<ArraySource> (*)(const std::string& path, Index file_number);

std::unique_ptr<ArraySource> open_hdf5(const std::string& path, Index file_number);
std::unique_ptr<ArraySource> open_numpy(const std::string& path, Index file_number);

/// "3 x 4".
std::string shape_text(const std::vector<Index>& shape);

}  // namespace firesteel
