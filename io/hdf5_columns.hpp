// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "firesteel/core/columns.hpp"
#include "firesteel/core/function_ref.hpp"
#include "firesteel/io/array_source.hpp"

namespace firesteel::hdf5 {

using Source = ArraySource;

/// Several files of arrays whose rows follow one another. One is open at a time. Local.
class SourceFiles {
 public:
  SourceFiles(std::vector<std::string> paths, OpenArrays open_source)
      : paths_(std::move(paths)), open_source_(open_source) {}

  Index count() const { return static_cast<Index>(paths_.size()); }
  const std::string& path(Index file) const { return paths_[static_cast<std::size_t>(file)]; }
  const Source& open(Index file) const;

  /// Sets the rows of each file.
  void set_rows(const std::vector<Index>& rows);
  Index rows(Index file) const {
    return ends_[static_cast<std::size_t>(file)] -
           (file == 0 ? 0 : ends_[static_cast<std::size_t>(file) - 1]);
  }
  Index rows() const { return ends_.empty() ? 0 : ends_.back(); }

  /// Calls body(source, first row within the file, rows, place of the first in [begin, end)) for each file
  /// that holds rows of [begin, end).
  using Body = FunctionRef<void(const Source& source, Index first, Index rows, Index place)>;
  void for_rows(Index begin, Index end, Body body) const;

 private:
  std::vector<std::string> paths_;
  OpenArrays open_source_;
  std::vector<Index> ends_;
  mutable std::unique_ptr<Source> source_;
  mutable Index open_file_ = -1;
};

enum class ColumnKind { integer, real, text };

/// Whether every file has `name`; throws 65 where some have and some have not.
bool has_column(const SourceFiles& files, const std::string& name);

/// The kind that holds the values of all files, each checked to be 1-D with one value a row. Throws 65.
ColumnKind check_column(const SourceFiles& files, const std::string& name);

/// Rows [begin, end) of a column, as the kind that check_column found. Numbers of a file become texts where
/// another file holds texts. Throws 65 for a whole number beyond 63 bits.
ColumnValues read_column(const SourceFiles& files, const std::string& name, ColumnKind kind, Index begin,
                         Index end);

/// As read_column, numbers as doubles. Throws 65 where the column holds texts.
std::vector<double> read_numbers(const SourceFiles& files, const std::string& name, Index begin, Index end);

}  // namespace firesteel::hdf5
