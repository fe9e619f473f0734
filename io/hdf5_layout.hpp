// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "firesteel/io/column_selection.hpp"
#include "firesteel/io/hdf5_columns.hpp"

namespace firesteel::hdf5 {

/// A column that --keep names.
struct KeptColumn {
  std::string name;
  Index column = -1;  ///< of the features; −1: an array of its own
  ColumnKind kind = ColumnKind::real;
};

/// What HDF5 files of rows hold and which of it is read: the same on every rank.
struct RowsLayout {
  bool sparse = false;
  bool by_column = false;              ///< sparse, stored column by column (CSC)
  Index columns = 0;                   ///< in the files; of sparse files the widest
  std::vector<Index> features;         ///< columns that are read, in the order of the features
  std::vector<std::string> names;      ///< of the features
  std::vector<std::string> all_names;  ///< of the columns; empty: they have none
  bool has_label = false;
  ColumnKind label_kind = ColumnKind::real;
  Index label_column = -1;  ///< of the dense features; −1: an array of its own
  std::vector<KeptColumn> keep;
  std::vector<std::string> warnings;  ///< of options that change nothing

  /// Every column, in the order of the file.
  bool all_features() const;
};

/// The arrays of a sparse group: values, their columns (rows where stored by column), and where each row
/// (column) begins among them. As we, SciPy, AnnData and MATLAB call them.
struct SparseParts {
  std::string data;
  std::string indices;
  std::string pointers;
  bool by_column = false;
};
SparseParts sparse_parts(const ArraySource& source, const std::string& name);

/// Looks at all files, checks shapes and applies the options; sets the files' rows. Local; throws 65, 66.
RowsLayout plan_rows(SourceFiles& files, const ReadOptions& options);

}  // namespace firesteel::hdf5
