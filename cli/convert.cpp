// SPDX-License-Identifier: Apache-2.0
#include "firesteel/cli/json.hpp"
#include "firesteel/cli/option_uses.hpp"
#include "firesteel/cli/steps.hpp"
#include "firesteel/io/parts_output.hpp"
#include "firesteel/io/write_data.hpp"

namespace firesteel::cli {

void run_convert(const Run& run) {
  const Context& context = run.context;
  Job& job = run.job;
  const Task task = task_of_convert(job);
  const auto sources = resolve_inputs(context.comm(), job.read.inputs);
  refuse_unused(run, task, sources);
  refuse_to_overwrite(context, job.output, sources);
  context.comm().collectively([&] {
    if (context.rank() == 0) check_can_output(job.output);
  });

  check_scratch(run);

  enter_phase(run, "reading");
  job.read.label_use = job.label_named ? ReadOptions::Label::required : ReadOptions::Label::optional;
  const Input input = read_input(run, task);
  enter_phase(run, "writing");
  if (const auto* rows = std::get_if<RowBlocks>(&input.data))
    write_rows(*rows, job.output);
  else
    write_ratings(std::get<Ratings>(input.data), job.output);

  const Index rows = rows_used(input.data);
  if (!job.json) {
    write_stdout(context, std::to_string(rows) + " rows in " + job.output + "\n");
    return;
  }
  Json object = Json::object();
  object["command"] = "convert";
  object["rows"] = rows;
  object["output"] = job.output;
  write_stdout(context, json_text(object));
}

}  // namespace firesteel::cli
