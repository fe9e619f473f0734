// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "firesteel/algorithms/learner.hpp"
#include "firesteel/cli/options.hpp"

namespace firesteel::cli {

enum class Verb {
  train,
  score,
  evaluate,
  inspect,
  convert,
  learners,
  doctor,
  plan,
  describe,
  sample,
  split,
  sort,
  join
};

/// One command: its grammar and what --help says of it.
struct Command {
  Verb verb;
  std::string_view name;
  std::string_view usage;       ///< what follows the name
  std::string_view summary;     ///< one line
  std::string_view positional;  ///< LEARNER, MODEL, DATA..., LEFT RIGHT or empty
  std::string_view example;
  std::string_view lesson = {};  ///< what --help says beyond the options
};

/// True for the verbs that work on rows of data without a learner or a model.
bool works_on_rows(Verb verb);

const std::vector<Command>& commands();
/// The command of that name; nullptr if there is none.
const Command* find_command(std::string_view name);
std::vector<std::string> command_names();
std::vector<std::string> learner_names();

/// The options of a command itself, without those of learners.
std::vector<Option> command_options(Verb verb);
/// The parameters of a learner as options of train. `seed` is left out: it is an option of every command that
/// reads data.
std::vector<Option> learner_options(const LearnerEntry& learner);
/// The parameters that may be changed at scoring, over all learners.
std::vector<Option> scoring_options();
/// Every option of every command and learner, once a name: what parsing needs to know which take values.
std::vector<Option> all_options();
/// Where an option that is not allowed here would be: "an option of learner 'kmeans'"; empty if nowhere.
std::string where_known(std::string_view option);

/// The option that sets a parameter, without dashes: `max_iter` → `max-iter`; a matrix → `NAME-file`.
std::string parameter_option(const ParameterInfo& parameter);

}  // namespace firesteel::cli
