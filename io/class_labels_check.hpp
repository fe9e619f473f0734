// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "firesteel/core/row_blocks.hpp"
#include "firesteel/io/read_options.hpp"

namespace firesteel {

/// A label that is no class.
struct BadLabel {
  Index row = 0;          ///< of this rank
  std::string label;      ///< as it was read
  std::string fault;      ///< "is unknown to the model; the model knows 'a', 'b'"
  bool of_texts = false;  ///< the classes are texts

  /// "label 'x' is unknown to the model; …"; `written` is the label as it stands in the input.
  std::string message(std::string_view written) const;
  std::string message() const { return message(label); }
};

/// Whether labels are read as texts, even where all of them are numbers: so the model has them.
bool expects_texts(const ReadOptions& options);

/// The first row of this rank that counts (not dropped, weight above 0) and whose label options.class_labels
/// and options.expected_classes refuse; none where they ask for nothing. Texts become numbers where the model
/// has numbers and all of them are good. Local, O(rows log classes).
std::optional<BadLabel> find_bad_label(RowBlocks& rows, const ReadOptions& options);

}  // namespace firesteel
