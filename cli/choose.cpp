// SPDX-License-Identifier: Apache-2.0
// sample and split: rows that are chosen at random.
#include <algorithm>

#include "firesteel/cli/json.hpp"
#include "firesteel/cli/option_uses.hpp"
#include "firesteel/cli/steps.hpp"
#include "firesteel/io/parts_output.hpp"
#include "firesteel/io/text_output.hpp"
#include "firesteel/io/write_data.hpp"
#include "firesteel/io/write_typed_rows.hpp"

namespace firesteel::cli {

namespace {

/// The rows that are chosen, into the first output; the others into the second, where there is one. Returns
/// the numbers of rows.
std::vector<Index> write_chosen(const Run& run, const TypedRows& rows) {
  const RowWords& words = run.job.rows;
  const Context& context = run.context;
  const Index column = context.comm().collectively([&] {
    return words.stratify.empty() ? Index{-1} : require_typed_column(rows, words.stratify, "--stratify");
  });
  std::vector<std::string> groups;
  if (column >= 0) groups = column_texts(rows, column);
  const auto& partition = rows.rows.partition();
  const Index local = partition.local_rows(context.rank());
  auto chosen = choose_rows(context, local, words.share, words.seed, groups);
  enter_phase(run, "writing");
  std::vector<Index> counts;
  for (std::size_t part = 0; part < words.outputs.size(); ++part) {
    counts.push_back(write_typed_rows(choose_rows(rows, chosen), words.outputs[part], run.job.read));
    for (auto& flag : chosen) flag = flag == 0 ? 1 : 0;
  }
  return counts;
}

/// The text of each row's label.
std::vector<std::string> label_texts(const RowBlocks& rows) {
  return std::visit(
      [](const auto& labels) {
        std::vector<std::string> texts;
        for (const auto& label : labels) {
          std::string text;
          if constexpr (std::is_same_v<std::decay_t<decltype(label)>, std::string>)
            text = label;
          else
            append_number(text, label);
          texts.push_back(std::move(text));
        }
        return texts;
      },
      rows.labels);
}

/// Rows of features: those that are not chosen count as dropped.
std::vector<Index> write_chosen(const Run& run, RowBlocks rows) {
  const RowWords& words = run.job.rows;
  Communicator& comm = run.context.comm();
  const auto groups = comm.collectively([&] {
    if (words.stratify.empty()) return std::vector<std::string>();
    if (!rows.has_labels || (words.stratify != "label" && words.stratify != run.job.read.label))
      throw bad_input("--stratify: of " + run.job.read.inputs.front() +
                      ", rows of features, the label alone is a column of classes: say --stratify label");
    return label_texts(rows);
  });
  auto chosen = choose_rows(run.context, rows.local_rows(), words.share, words.seed, groups);
  enter_phase(run, "writing");
  const auto dropped = rows.dropped;
  std::vector<Index> counts;
  for (const auto& output : words.outputs) {
    const Index used = comm.collectively([&] {
      rows.dropped.assign(chosen.size(), 0);
      Index count = 0;
      for (std::size_t row = 0; row < chosen.size(); ++row) {
        const bool out = chosen[row] == 0 || (!dropped.empty() && dropped[row] != 0);
        rows.dropped[row] = out ? 1 : 0;
        count += out ? 0 : 1;
        chosen[row] = chosen[row] == 0 ? 1 : 0;
      }
      return count;
    });
    write_rows(rows, output);
    counts.push_back(comm.sum(used));
  }
  return counts;
}

std::vector<Index> choose(const Run& run) {
  const Context& context = run.context;
  const Job& job = run.job;
  const auto sources = resolve_inputs(context.comm(), job.read.inputs);
  const auto& outputs = job.rows.outputs;
  const bool copies =
      std::all_of(outputs.begin(), outputs.end(), [](const auto& path) { return is_column_output(path); });
  refuse_unused_of_rows(run, sources, copies);
  for (const auto& output : outputs) refuse_to_overwrite(context, output, sources);
  context.comm().collectively([&] {
    if (context.rank() != 0) return;
    for (const auto& output : outputs) check_can_output(output);
  });
  check_scratch(run);
  enter_phase(run, "reading");
  if (is_column_format(format_of_files(context.comm(), job.read, job.read.inputs)))
    return write_chosen(run, read_typed_rows(context, job.read));
  return write_chosen(run, read_rows(context, job.read).rows);
}

}  // namespace

void run_sample(const Run& run) {
  const auto counts = choose(run);
  const Job& job = run.job;
  if (job.json) {
    Json object = Json::object();
    object["command"] = "sample";
    object["rows"] = counts.front();
    object["output"] = job.output;
    write_stdout(run.context, json_text(object));
  } else if (job.output != "-") {
    write_stdout(run.context, std::to_string(counts.front()) + " rows in " + job.output + "\n");
  }
}

void run_split(const Run& run) {
  const auto counts = choose(run);
  const auto& outputs = run.job.rows.outputs;
  if (run.job.json) {
    Json object = Json::object();
    object["command"] = "split";
    object["rows"] = counts[0] + counts[1];
    object["train"] = {{"rows", counts[0]}, {"output", outputs[0]}};
    object["test"] = {{"rows", counts[1]}, {"output", outputs[1]}};
    write_stdout(run.context, json_text(object));
    return;
  }
  std::string text;
  for (std::size_t part = 0; part < 2; ++part)
    text += std::to_string(counts[part]) + " rows in " + outputs[part] + "\n";
  write_stdout(run.context, text);
}

}  // namespace firesteel::cli
