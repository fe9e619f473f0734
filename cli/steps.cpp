// SPDX-License-Identifier: Apache-2.0
#include "firesteel/cli/steps.hpp"

#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "firesteel/cli/ending.hpp"
#include "firesteel/cli/option_uses.hpp"
#include "firesteel/core/rating_chunks.hpp"
#include "firesteel/core/scratch_file.hpp"
#include "firesteel/io/model_file.hpp"
#include "firesteel/io/store.hpp"

namespace firesteel::cli {

void enter_phase(const Run& run, const char* name) { run.context.comm().activity().phase = name; }

void require_readable(const Context& context, const std::string& path) {
  context.comm().collectively([&] {
    if (context.rank() != 0) return;
    open_input(shown_name(path));
  });
}

void refuse_to_overwrite(const Context& context, const std::string& output,
                         const std::vector<std::string>& sources, const std::string& option) {
  context.comm().collectively([&] {
    if (context.rank() != 0) return;
    for (const auto& source : sources) {
      std::error_code absent;  // an output that is not there yet is none of them
      if (is_url(output) ? source == shown_name(output) : std::filesystem::equivalent(source, output, absent))
        throw bad_parameter(option + ": " + output +
                            " is read by this command, and would be lost: name another");
    }
  });
}

LoadedModel load_model(const Run& run) {
  const Record record = read_model(run.context, run.job.model);
  LoadedModel made = run.context.comm().collectively([&] {
    LoadedModel loaded;
    const auto& name = record.get<std::string>("learner");
    loaded.entry = find_learner(name);
    if (loaded.entry == nullptr)
      throw bad_input(run.job.model + ": a model of learner '" + name +
                      "', which this version of firesteel does not know; use a newer one");
    loaded.model = loaded.entry->load(record);
    for (const auto& [parameter, text] : run.job.scoring) {
      ParameterSetter setter(parameter, text);
      loaded.model->describe_scoring(setter);
      if (!setter.found())
        throw bad_parameter(option_name(parameter) + " does not apply to " + run.job.model +
                            ", a model of learner '" + name + "'");
    }
    ParameterValidator together;
    loaded.model->describe_scoring(together);
    if (run.job.top == 0) refuse_unused(run.job, loaded.entry->task);
    return loaded;
  });
  warn_of_threshold(run, *made.model);
  return made;
}

Input read_input(const Run& run, Task task) {
  if (task == Task::recommendation) {
    ReadOptions options = run.job.read;
    options.ratings_in_scratch = true;
    auto input = read_ratings(run.context, options);
    return {std::move(input.ratings), std::move(input.kept)};
  }
  auto input = read_rows(run.context, run.job.read);
  return {std::move(input.rows), std::move(input.kept)};
}

void prepare_label(Job& job) {
  // A clustering alone looks at no target: neither a label nor, for recommendations, a rating.
  job.read.label_use =
      job.entry->task == Task::clustering ? ReadOptions::Label::ignored : ReadOptions::Label::required;
  job.read.class_labels = job.entry->task == Task::classification;
}

void check_scratch(const Run& run) {
  run.context.comm().collectively([&] {
    if (!run.job.storage.scratch.empty()) ScratchFile(run.context.scratch(), 0);
  });
}

namespace {

/// What lies in scratch on this rank, and what its passes have cost.
struct Spilled {
  StoreTraffic traffic;
  std::string_view reader = "none";
};

Spilled spilled_of(const LearnerData& data) {
  if (const auto* rows = std::get_if<RowBlocks>(&data))
    return rows->store() == nullptr ? Spilled{}
                                    : Spilled{rows->store()->traffic(), rows->store()->reader_name()};
  const auto& chunks = std::get<Ratings>(data).chunks;
  return chunks ? Spilled{chunks->traffic(), chunks->reader_name()} : Spilled{};
}

}  // namespace

StorageReport storage_report(const Run& run, const LearnerData& data) {
  const Spilled own = spilled_of(data);
  StorageReport report{.memory_bytes = run.context.memory()->limit()};
  if (run.context.comm().any(own.reader != "none")) report.reader = "threads";
  if (run.context.comm().any(own.reader == "io_uring")) report.reader = "io_uring";
  Index in_flight = 0;
  for (const StoreTraffic& traffic : run.context.comm().allgather(own.traffic)) {
    report.spilled_bytes += traffic.spilled_bytes;
    report.bytes_read += traffic.bytes_read;
    report.bytes_written += traffic.bytes_written;
    report.passes = std::max(report.passes, traffic.passes);
    report.stalls += traffic.stalls;
    report.stall_s = std::max(report.stall_s, traffic.stall_s);
    in_flight += traffic.in_flight_at_stalls;
  }
  if (report.stalls > 0)
    report.requests_in_flight = static_cast<double>(in_flight) / static_cast<double>(report.stalls);
  return report;
}

void announce_storage(const Run& run, const LearnerData& data) {
  const std::string bound = "memory " + bytes_text(run.context.memory()->limit()) + " a rank: ";
  if (const auto* ratings = std::get_if<Ratings>(&data)) {
    if (ratings->chunks)
      run.monitor.say(bound + "ratings lie in scratch, " + run.context.scratch() +
                      ", by user and by item, and are read once a pass");
    return;
  }
  const BlockStore* const store = std::get<RowBlocks>(data).store();
  const Index bytes = run.context.comm().sum(store == nullptr ? 0 : store->bytes());
  const Index spilled = run.context.comm().sum(store == nullptr ? 0 : store->spilled_bytes());
  if (spilled > 0)
    run.monitor.say(bound + bytes_text(spilled) + " of " + bytes_text(bytes) + " of rows lie in scratch, " +
                    run.context.scratch() + ", and are read once a pass");
}

Index rows_used(const LearnerData& data) {
  if (const auto* rows = std::get_if<RowBlocks>(&data)) return rows->rows_used;
  return std::get<Ratings>(data).rows;
}

void write_stdout(const Context& context, const std::string& text, bool* printed) {
  interrupts_come_too_late();
  context.comm().barrier();  // a rank that failed to get here leaves nothing on stdout
  context.comm().collectively([&] {
    if (context.rank() != 0) return;
    errno = 0;
    const bool written = std::fwrite(text.data(), 1, text.size(), stdout) == text.size();
    if (!written || std::fflush(stdout) != 0)
      throw Error(ErrorCode::io_failed, std::string("stdout: cannot write: ") + std::strerror(errno));
    if (printed != nullptr) *printed = true;
  });
}

std::string short_number(double value) {
  if (!std::isfinite(value)) return "undefined";
  char text[32];
  std::snprintf(text, sizeof text, "%.6g", value);
  return text;
}

std::string metrics_text(const Metrics& metrics) {
  std::string text;
  for (const auto& [name, value] : metrics) {
    std::string line = "  " + name;
    line.resize(std::max<std::size_t>(22, line.size() + 1), ' ');
    text += line + short_number(value) + "\n";
  }
  return text;
}

}  // namespace firesteel::cli
