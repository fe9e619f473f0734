// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "firesteel/cli/verbs.hpp"

namespace firesteel::cli {

// Steps that verbs share. All collective.

/// Seconds since construction.
class Stopwatch {
 public:
  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

/// What this rank does from now on, for those who watch: a text in the program. Local.
void enter_phase(const Run& run, const char* name);

/// Throws no_input (66) unless a file can be opened for reading.
void require_readable(const Context& context, const std::string& path);

/// Throws bad_parameter (64), naming the option, where the output is a file that the command reads.
/// Collective.
void refuse_to_overwrite(const Context& context, const std::string& output,
                         const std::vector<std::string>& sources, const std::string& option = "--output");

/// A model with its learner, parameters of the command line applied. Throws 66, 65; 64 where an option does
/// not belong to this learner.
struct LoadedModel {
  const LearnerEntry* entry = nullptr;
  std::unique_ptr<AnyModel> model;
};
LoadedModel load_model(const Run& run);

/// Rows or ratings, whichever the task reads, with the columns to copy beside them.
struct Input {
  LearnerData data;
  ColumnTable kept;
};
Input read_input(const Run& run, Task task);

/// How labels are read for a fit of the job's learner. Local.
void prepare_label(Job& job);

/// Throws cannot_create (73) where a scratch directory was named and takes no file. Collective.
void check_scratch(const Run& run);

/// What lay in scratch, over all ranks: sums, and the most that a rank waited. Collective.
struct StorageReport {
  Index memory_bytes = 0;  ///< bound of a rank
  Index spilled_bytes = 0;
  Index passes = 0;  ///< of the rank with most
  Index bytes_read = 0;
  Index bytes_written = 0;
  double stall_s = 0;             ///< of the rank that waited longest, all its threads
  Index stalls = 0;               ///< all ranks: blocks that had to be waited for
  double requests_in_flight = 0;  ///< mean over passes, of the rank with fewest
  std::string reader = "none";
};
StorageReport storage_report(const Run& run, const LearnerData& data);
/// One line before a fit where rows lie in scratch. Collective.
void announce_storage(const Run& run, const LearnerData& data);

/// Rows used, over all ranks.
Index rows_used(const LearnerData& data);

/// Rank 0 writes `text` to stdout; throws io_failed (74) on all ranks where that fails. `printed`, where
/// given, is set on rank 0 as soon as that is done.
void write_stdout(const Context& context, const std::string& text, bool* printed = nullptr);

/// Metrics for people, one a line.
std::string metrics_text(const Metrics& metrics);

/// Six significant digits, for people; "undefined" where it is not a number.
std::string short_number(double value);

}  // namespace firesteel::cli
