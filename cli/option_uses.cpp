// SPDX-License-Identifier: Apache-2.0
#include "firesteel/cli/option_uses.hpp"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "firesteel/io/typed_rows.hpp"

namespace firesteel::cli {

namespace {

// What is read, and from which format; a bit each.
constexpr unsigned kCsvRows = 1;
constexpr unsigned kLibsvmRows = 2;
constexpr unsigned kHdf5Rows = 4;
constexpr unsigned kCsvRatings = 8;
constexpr unsigned kHdf5Ratings = 16;
constexpr unsigned kTableRows = 32;
constexpr unsigned kTableRatings = 64;
constexpr unsigned kNumpyRows = 128;
constexpr unsigned kNumpyRatings = 256;
constexpr unsigned kMatrixRows = 512;
constexpr unsigned kMatrixRatings = 1024;
constexpr unsigned kCsvCopies = 2048;  // rows with all their columns
constexpr unsigned kTableCopies = 4096;
constexpr unsigned kPackedRows = 8192;  // which are ready for a fit: nothing is chosen any more
constexpr unsigned kChosenRows = kCsvRows | kLibsvmRows | kHdf5Rows | kTableRows | kNumpyRows | kMatrixRows;
constexpr unsigned kRows = kChosenRows | kPackedRows;
constexpr unsigned kRatings = kCsvRatings | kHdf5Ratings | kTableRatings | kNumpyRatings | kMatrixRatings;
constexpr unsigned kCsv = kCsvRows | kCsvRatings | kCsvCopies;
constexpr unsigned kHdf5 = kHdf5Rows | kHdf5Ratings;

/// Where an option of reading says something.
struct OptionUse {
  std::string_view option;
  unsigned places;
  std::string_view purpose;  ///< for the message
};

constexpr std::array kUses{
    OptionUse{"label", kChosenRows, "it names the label of rows of features"},
    OptionUse{"features", kChosenRows, "it chooses columns of rows of features"},
    OptionUse{"exclude", kChosenRows, "it chooses columns of rows of features"},
    OptionUse{"weight", kChosenRows, "it weighs rows of features"},
    OptionUse{"missing", kChosenRows, "it is about missing features"},
    OptionUse{"header", kCsv, "it is for CSV"},
    OptionUse{"delimiter", kCsv, "it is for CSV"},
    OptionUse{"zero-based", kLibsvmRows, "it is for LIBSVM text"},
    OptionUse{"num-features", kLibsvmRows | kHdf5Rows | kNumpyRows | kMatrixRows,
              "it is for sparse rows, of LIBSVM text or HDF5"},
    OptionUse{"dataset", kHdf5Rows | kNumpyRows, "it names the features of an HDF5 file"},
    OptionUse{"precision", kChosenRows | kRatings, "it is about features"},
    OptionUse{"user", kCsvRows | kTableRows | kRatings, "it names a column of ratings"},
    OptionUse{"item", kCsvRows | kTableRows | kRatings, "it names a column of ratings"},
    OptionUse{"rating", kCsvRows | kTableRows | kRatings, "it names a column of ratings"},
};

unsigned places_of(Task task) { return task == Task::recommendation ? kRatings : kRows; }

unsigned places_of(std::string_view format) {
  if (format == "libsvm") return kLibsvmRows;
  if (format == "hdf5") return kHdf5;
  if (format == "numpy") return kNumpyRows | kNumpyRatings;
  if (format == "mtx") return kMatrixRows | kMatrixRatings;
  if (format == "packed") return kPackedRows;
  return format == "csv" ? kCsv : kTableRows | kTableRatings;
}

std::string_view title_of(std::string_view format) {
  if (format == "libsvm") return "LIBSVM text";
  static constexpr std::pair<std::string_view, std::string_view> kTitles[] = {{"csv", "CSV"},
                                                                              {"hdf5", "HDF5"},
                                                                              {"numpy", "NumPy's"},
                                                                              {"mtx", "a Matrix Market file"},
                                                                              {"jsonl", "JSON lines"},
                                                                              {"parquet", "Parquet"},
                                                                              {"arrow", "Arrow"},
                                                                              {"orc", "ORC"},
                                                                              {"packed", "a packed file"}};
  for (const auto& [name, title] : kTitles)
    if (format == name) return title;
  return format;
}

/// As it was written.
std::string written(std::string_view option, const std::string& value) {
  return (option == "header" && value == "false" ? "--no-" : "--") + std::string(option);
}

void check(const Job& job, unsigned places, const std::string& what) {
  for (const auto& use : kUses) {
    const auto given = job.given.find(use.option);
    if (given != job.given.end() && (use.places & places) == 0)
      throw bad_parameter(written(use.option, given->second) + " has no use for " + what + ": " +
                          std::string(use.purpose) + "; leave it out");
  }
}

/// The one format of all files; empty where they have none or several.
std::string common_format(const std::vector<std::string>& files, const ReadOptions& options) {
  std::string common;
  for (const auto& file : files) {
    std::string format;
    try {
      format = detect_format(file, options);
    } catch (const Error&) {
      return {};
    }
    if (!common.empty() && format != common) return {};
    common = format;
  }
  return common;
}

void check_format(const Run& run, unsigned places, const std::vector<std::string>& files) {
  run.context.comm().collectively([&] {
    if (run.context.rank() != 0) return;
    const Job& job = run.job;
    const std::string format = common_format(files, job.read);
    if (format.empty() || (places & places_of(format)) == 0) return;
    const std::string what = files.front() + ", which is " + std::string(title_of(format));
    const auto label = job.given.find("label");
    if (format == "libsvm" && label != job.given.end() && label->second != "label")
      throw bad_parameter("--label " + label->second + " has no use for " + what +
                          ": the label is the first word of a line; leave it out");
    check(job, places & places_of(format), what);
  });
}

}  // namespace

void refuse_unused(const Job& job, Task task) {
  const bool ratings = task == Task::recommendation;
  check(job, places_of(task), ratings ? "ratings" : "rows of features");
}

void refuse_unused(const Run& run, Task task, const std::vector<std::string>& files) {
  check_format(run, places_of(task), files);
}

void refuse_unused(const Run& run, const std::vector<std::string>& files) {
  check_format(run, kRows | kRatings, files);
}

void refuse_unused_of_rows(const Run& run, const std::vector<std::string>& files, bool copies_columns) {
  std::string format;
  run.context.comm().collectively([&] {
    if (run.context.rank() == 0) format = common_format(files, run.job.read);
  });
  format = run.context.comm().broadcast_text(format, 0);
  if (!copies_columns || !is_column_format(format)) return check_format(run, kRows, files);
  run.context.comm().collectively([&] {
    check(run.job, format == "csv" ? kCsvCopies : kTableCopies,
          files.front() + ", of which all columns are taken as they are");
  });
}

void warn_of_threshold(const Run& run, const AnyModel& model) {
  if (!run.job.given.contains("threshold") || model.classes() == nullptr) return;
  const auto count = std::visit([](const auto& classes) { return classes.size(); }, *model.classes());
  if (count > 2)
    run.monitor.warning("--threshold is not used: it is for two classes, the model has " +
                        std::to_string(count) + "; --thresholds is for any number");
}

void warn_of_unread(const Run& run) {
  std::string list;
  const auto add = [&](std::string_view option) {
    const auto given = run.job.given.find(option);
    if (given != run.job.given.end()) list += (list.empty() ? "" : ", ") + written(option, given->second);
  };
  for (const char* option : {"input", "format", "precision", "cold-start-strategy"}) add(option);
  for (const auto& use : kUses) add(use.option);
  if (list.empty()) return;
  const bool several = list.find(',') != std::string::npos;
  run.monitor.warning(list + (several ? " are not used" : " is not used") +
                      ": --top recommends for every id that the model knows, and reads no input");
}

}  // namespace firesteel::cli
