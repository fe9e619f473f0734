// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace firesteel {

struct SortColumn {
  std::string name;  ///< or a 0-based number
  bool descending = false;
};

/// A key of a join: a column of the left side, and of the right one.
struct JoinColumn {
  std::string left;
  std::string right;
};

enum class JoinKind { inner, left, right, full };

}  // namespace firesteel
