// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "firesteel/core/index.hpp"

namespace firesteel {

/// Lists the parts of a learner's state between two iterations: everything that later arithmetic or stopping
/// depends on. Replicated parts must be the same bytes on all ranks: the fit loop checks that after every
/// iteration.
class StateVisitor {
 public:
  virtual ~StateVisitor() = default;
  virtual void replicated(std::string_view name, std::vector<double>& values) = 0;
  virtual void replicated(std::string_view name, double& value) = 0;
  virtual void replicated(std::string_view name, Index& value) = 0;
  /// A replicated list that grows: groups of `unit` values, at most `most_groups`. Other replicated vectors
  /// keep the length that a fresh fit gives them, so that a checkpoint cannot claim another.
  virtual void history(std::string_view name, std::vector<double>& values, Index /*unit*/,
                       Index /*most_groups*/) {
    replicated(name, values);
  }
  /// One value (or `width` values) for each global row / entity of a partition; this rank's part.
  virtual void partitioned(std::string_view name, std::vector<double>& values, Index width) = 0;
  virtual void partitioned(std::string_view name, std::vector<std::int32_t>& values, Index width) = 0;
};

}  // namespace firesteel
