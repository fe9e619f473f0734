// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "firesteel/io/read_options.hpp"

namespace firesteel {

inline constexpr Index kMostLibsvmColumns = std::numeric_limits<std::int32_t>::max();

/// What the first sweep says of LIBSVM text.
struct LibsvmWidth {
  std::string source;  ///< what messages call the input
  bool has_labels = false;
  int ranks_of_host = 1;
  Index columns = 0;  ///< largest index of all files, counted from 1; 0: no line holds an entry
};

/// Which columns of LIBSVM text play which part. Columns count from 0 whatever the text counts from, and are
/// called f0, f1, … Local and replicated.
struct LibsvmColumns {
  static constexpr std::int32_t kNoFeature = -1;
  static constexpr Index kLabel = -1;

  Index count = 0;      ///< columns of the input
  Index end_index = 0;  ///< what a column must be below: `count`, or any where nobody set it
  Index features = 0;
  bool all = true;  ///< every column is the feature of its own number
  /// Unless `all`: of a column; past its end: no feature. Empty where features are few among their columns.
  std::vector<std::int32_t> feature_of;
  std::vector<std::pair<Index, std::int32_t>> few;  ///< then columns and their features, ascending
  bool ascending = true;                            ///< features are in the order of their columns
  std::vector<std::string> names;                   ///< of the features; empty where `all`
  std::optional<Index> weight;
  std::vector<Index> keep;                          ///< columns, or kLabel, in the order asked for
  std::vector<std::pair<Index, std::size_t>> kept;  ///< the columns among them and their places, ascending

  std::int32_t feature(Index column) const {
    if (all) return static_cast<std::int32_t>(column);
    if (column < static_cast<Index>(feature_of.size())) return feature_of[static_cast<std::size_t>(column)];
    const auto found = std::lower_bound(few.begin(), few.end(), std::pair(column, std::int32_t{0}));
    return found != few.end() && found->first == column ? found->second : kNoFeature;
  }
  /// `label`, or f0, f1, …
  std::string keep_name(std::size_t place) const;
};

/// Applies --features, --exclude, --weight, --keep, --num-features and the model's columns. At scoring, a
/// model whose features are called f0, f1, …, some left out, is matched by these names and further columns
/// are ignored; otherwise features are matched by position. Throws 65.
LibsvmColumns plan_libsvm_columns(const LibsvmWidth& width, const ReadOptions& options);

}  // namespace firesteel
