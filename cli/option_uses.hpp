// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "firesteel/cli/steps.hpp"

namespace firesteel::cli {

/// What `convert` reads: ratings are told from rows by their options alone, for a column named `item` may
/// well be a feature.
inline Task task_of_convert(const Job& job) {
  return job.ratings_named ? Task::recommendation : Task::clustering;
}

/// Throws bad_parameter (64) for an option given that rows or ratings, whichever the task reads, have no use
/// for in any format: no option is silently ignored. Local.
void refuse_unused(const Job& job, Task task);

/// The same for options that the format of the files has no use for. Says nothing where files have no format
/// or several: reading does. Collective.
void refuse_unused(const Run& run, Task task, const std::vector<std::string>& files);

/// The same before a model has said its task: what either task has a use for passes. Collective.
void refuse_unused(const Run& run, const std::vector<std::string>& files);

/// The same for verbs that copy rows: where files of columns are copied with all their columns, the options
/// that choose some have no use. Collective.
void refuse_unused_of_rows(const Run& run, const std::vector<std::string>& files, bool copies_columns);

/// Warns of --threshold, where it was given for a model of more than two classes.
void warn_of_threshold(const Run& run, const AnyModel& model);

/// Warns of options that are given for reading beside --top, which reads nothing. Collective.
void warn_of_unread(const Run& run);

}  // namespace firesteel::cli
