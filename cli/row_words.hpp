// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "firesteel/cli/commands.hpp"
#include "firesteel/io/read_options.hpp"
#include "firesteel/io/relate_options.hpp"
#include "firesteel/io/row_choice.hpp"

namespace firesteel::cli {

/// What describe, sample, split, sort and join are asked for.
struct RowWords {
  std::vector<std::string> outputs;  ///< of split two; of describe none
  Index top = 5;                     ///< describe
  RowShare share;                    ///< sample, split
  std::uint64_t seed = 0;
  std::string stratify;  ///< split; empty: not
  std::vector<SortColumn> by;
  std::vector<JoinColumn> on;
  JoinKind how = JoinKind::inner;
};

/// Checks the words of such a command, and puts what it reads into `read`. Throws bad_parameter. Local.
RowWords row_words(const Command& command, const Arguments& arguments, ReadOptions& read);

}  // namespace firesteel::cli
