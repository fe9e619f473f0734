// SPDX-License-Identifier: Apache-2.0
#include "firesteel/cli/json.hpp"
#include "firesteel/cli/steps.hpp"
#include "firesteel/core/atomic_file.hpp"
#include "firesteel/io/write_data.hpp"

namespace firesteel::cli {

void run_convert(const Run& run) {
  const Context& context = run.context;
  Job& job = run.job;
  refuse_to_overwrite(context, job.output, resolve_inputs(context.comm(), job.read.inputs));
  context.comm().collectively([&] {
    if (context.rank() == 0) check_can_create(job.output);
  });

  job.read.label_use = job.label_named ? ReadOptions::Label::required : ReadOptions::Label::optional;
  // Ratings are told from rows by their options alone: a column named `item` may well be a feature.
  const Input input = read_input(run, job.ratings_named ? Task::recommendation : Task::clustering);
  if (const auto* rows = std::get_if<RowBlocks>(&input.data))
    write_rows(*rows, job.output);
  else
    write_ratings(std::get<Ratings>(input.data), job.output);

  const Index rows = rows_used(input.data);
  if (!job.json) {
    write_stdout(context, std::to_string(rows) + " rows in " + job.output + "\n");
    return;
  }
  Json object;
  object["command"] = "convert";
  object["rows"] = rows;
  object["output"] = job.output;
  write_stdout(context, json_text(object));
}

}  // namespace firesteel::cli
