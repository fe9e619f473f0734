// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "firesteel/algorithms/learner.hpp"
#include "firesteel/cli/commands.hpp"
#include "firesteel/cli/row_words.hpp"
#include "firesteel/io/read_options.hpp"

namespace firesteel::cli {

/// What a command line asks for, with every word checked: nothing was opened yet.
struct Job {
  const Command* command = nullptr;
  bool help = false;
  const LearnerEntry* entry = nullptr;  ///< train, learners
  std::unique_ptr<AnyLearner> learner;  ///< train: parameters set
  /// train: parameters that are read from files, name → path.
  std::vector<std::pair<std::string, std::string>> matrix_files;
  /// score, evaluate: parameters to change in the model, name → text.
  std::vector<std::pair<std::string, std::string>> scoring;
  /// Every option that was given, with its (first) value.
  std::map<std::string, std::string, std::less<>> given;
  bool label_named = false;    ///< --label was given
  bool missing_named = false;  ///< --missing was given
  bool ratings_named = false;  ///< --user, --item or --rating was given
  bool k_named = false;        ///< --k was given
  std::string model;           ///< score, evaluate, inspect
  std::string output;
  ReadOptions read;
  RowWords rows;  ///< describe, sample, split, sort, join
  Index top = 0;  ///< score: 0 predicts rows
  bool top_for_items = false;
  bool json = false;
  bool quiet = false;
  bool verbose = false;
  int threads = 0;  ///< 0: decided by placement
  CheckpointOptions checkpoint;
  double peer_timeout_s = 30;   ///< silence after which a rank is lost; 0: none is
  double stall_s = 60;          ///< ranks that wait for others so long say so; 0: they do not
  std::string heartbeat;        ///< train: a file; empty: none
  bool shrink = false;          ///< train: when a rank dies the others go on without it
  bool result_printed = false;  ///< train: by this process; nothing is left to do then
  StorageOptions storage;
};

/// Checks the words after `firesteel`. Throws bad_parameter naming the option, what was expected and the
/// nearest name. Local, reads nothing.
Job check_words(const std::vector<std::string>& words);

}  // namespace firesteel::cli
