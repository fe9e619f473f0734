// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "firesteel/algorithms/learner.hpp"
#include "firesteel/cli/commands.hpp"

namespace firesteel::cli {

/// `firesteel --help`: the commands, each with an example.
std::string general_help();
/// `firesteel COMMAND --help`, with a learner's parameters where one is named.
std::string command_help(const Command& command, const LearnerEntry* learner);
/// `firesteel learners [LEARNER]` for people.
std::string learners_text(const LearnerEntry* learner);
/// The same as one JSON object.
std::string learners_json(const LearnerEntry* learner);

}  // namespace firesteel::cli
