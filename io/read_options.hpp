// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "firesteel/core/class_values.hpp"
#include "firesteel/core/columns.hpp"
#include "firesteel/core/row_blocks.hpp"

namespace firesteel {

/// How data are read; the words of the command line's shared options.
struct ReadOptions {
  /// Files, directories and globs, in order; what they stand for in byte order.
  std::vector<std::string> inputs;
  std::string format;           ///< one of data_formats(); empty: by extension and first bytes
  std::string label = "label";  ///< column name or 0-based number, −1 the last
  std::vector<std::string>
      features;  ///< names, numbers, ranges "0-12"; empty: every numeric column that is free
  std::vector<std::string> exclude;
  std::string weight;             ///< empty: no weights
  bool header = true;             ///< CSV
  std::string delimiter;          ///< one character, or the words tab, space; empty: tab in .tsv, else comma
  std::string missing = "error";  ///< error, drop, mean
  bool zero_based = false;        ///< LIBSVM
  std::optional<Index> num_features;  ///< LIBSVM
  std::string dataset = "features";   ///< HDF5
  std::string user = "user";
  std::string item = "item";
  std::string rating = "rating";
  bool single_precision = false;
  bool ratings_in_scratch = false;  ///< the caller takes ratings that lie there (Ratings::chunks)
  std::vector<std::string> keep;    ///< columns to copy to the output, as text
  /// Names by which rows will be compared: arrays among them with a value a row are kept beside the rows.
  std::vector<std::string> key_arrays;

  /// Need of a label: error 65 if absent / used where present / not looked at.
  enum class Label { required, optional, ignored };
  Label label_use = Label::required;
  /// Labels are those of classes: a number that is not whole, or 2^53 and beyond, is error 65 in a row that
  /// counts (not dropped, weight above 0).
  bool class_labels = false;
  /// With class_labels: the classes that a model knows; any other label is error 65 in a row that counts.
  const ClassValues* expected_classes = nullptr;
  /// At scoring: the model's columns. Matched by name where both sides have names, else by position.
  const FeatureSchema* expected = nullptr;
  Index expected_features = 0;  ///< number of columns of the model; 0: not scoring
};

/// Rows and what rides beside them.
struct RowInput {
  RowBlocks rows;
  ColumnTable kept;
};
struct RatingInput {
  Ratings ratings;
  ColumnTable kept;
};

/// Reads rows of features in parallel (two sweeps: count, then parse), packs them into tiles or CSR. Rows
/// keep file order and are numbered over all files. Collective; throws 65 with file:line:column, 66, 74.
RowInput read_rows(const Context& context, const ReadOptions& options);

/// What read_rows would read.
struct RowsShape {
  Index rows = 0;
  Index columns = 0;  ///< features
  bool sparse = false;
  Index values = 0;  ///< of sparse rows: at most so many non-zeros
  bool has_labels = false;
};
/// Counts rows and columns without reading values: the first sweep of text, the headers of HDF5. Collective;
/// throws as read_rows.
RowsShape measure_rows(const Context& context, const ReadOptions& options);

/// Reads user, item, rating columns. A missing rating column leaves has_ratings false. Collective; throws as
/// read_rows.
RatingInput read_ratings(const Context& context, const ReadOptions& options);

/// The files that `inputs` name: globs expanded in byte order, existence and readability checked (66). On
/// rank 0, then broadcast. Collective.
std::vector<std::string> resolve_inputs(Communicator& comm, const std::vector<std::string>& inputs);

/// The formats that are read, as --format names them: csv, libsvm, hdf5, numpy (.npy and .npz), mtx, jsonl,
/// parquet, arrow, orc.
const std::vector<std::string>& data_formats();

/// One of data_formats(), from options.format, else from the extension (.csv .tsv .libsvm .svm .svmlight .h5
/// .hdf5 .npy .npz .mtx .jsonl .ndjson .parquet .pq .arrow .feather .orc, text with an ending of a compressor
/// too), else from the first bytes. Throws 65 with the remedy where it cannot be said.
std::string detect_format(const std::string& path, const ReadOptions& options);

}  // namespace firesteel
