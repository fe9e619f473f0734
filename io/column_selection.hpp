// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "firesteel/core/index.hpp"
#include "firesteel/io/read_options.hpp"

namespace firesteel {

/// The columns of an input, as options refer to them. Everything here is local and replicated.
struct InputColumns {
  std::string source;              ///< what messages call the input
  std::vector<std::string> names;  ///< empty: columns have numbers only
  Index count = 0;
  bool numbered = false;  ///< without names, columns may be called f0, f1, … too

  bool named() const { return !names.empty(); }
  /// The name, or the number (f0, f1, … where `numbered`) where there are no names.
  std::string name(Index column) const;
};

/// What columns without names are called: f0, f1, …
std::string numbered_name(Index column);

/// The column that is called so; nullopt where the text is no such name.
std::optional<Index> parse_numbered_name(std::string_view text);

/// The column of that name, else of that 0-based number (−1: the last); nullopt where there is neither.
std::optional<Index> find_column(const InputColumns& columns, const std::string& reference);

/// The columns that a name, a number or a range `0-12` means; nullopt where one is absent.
std::optional<std::vector<Index>> find_columns(const InputColumns& columns, const std::string& reference);

/// As find_column; throws 65 that names what there is, the nearest name, and the option to set.
Index require_column(const InputColumns& columns, const std::string& reference, const std::string& option);

/// Columns of a list of names, numbers and ranges `0-12`, in the order given. Throws 65 where one is absent
/// or given twice.
std::vector<Index> expand_columns(const InputColumns& columns, const std::vector<std::string>& references,
                                  const std::string& option);

/// Which columns of a table play which part.
struct ColumnPlan {
  std::vector<Index> features;  ///< columns, in the order of the features
  std::optional<Index> label;
  std::optional<Index> weight;
  std::vector<Index> keep;
  std::vector<std::string> feature_names;  ///< empty where the input has no names
  std::vector<std::string> left_out;       ///< text columns that nobody asked for
  std::vector<std::string> reserved;  ///< numeric columns left out because of their name (user, item …)
  std::vector<std::string> warnings;  ///< of options that change nothing here
};

/// Applies the options to the columns. `is_text` says which columns hold text. Throws 65, also where no
/// column is a feature unless `may_have_none`.
ColumnPlan plan_columns(const InputColumns& columns, const std::vector<bool>& is_text,
                        const ReadOptions& options, bool may_have_none = false);

/// Names as a sentence shows them, shortened after the first twenty.
std::string list_names(const std::vector<std::string>& names);

}  // namespace firesteel
