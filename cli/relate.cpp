// SPDX-License-Identifier: Apache-2.0
// sort and join: rows in the order of keys.
#include "firesteel/cli/json.hpp"
#include "firesteel/cli/option_uses.hpp"
#include "firesteel/cli/steps.hpp"
#include "firesteel/io/parts_output.hpp"
#include "firesteel/io/relate_rows.hpp"
#include "firesteel/io/write_typed_rows.hpp"

namespace firesteel::cli {

namespace {

void prepare(const Run& run) {
  const Context& context = run.context;
  const Job& job = run.job;
  const auto sources = resolve_inputs(context.comm(), job.read.inputs);
  refuse_unused_of_rows(run, sources, is_column_output(job.output));
  refuse_to_overwrite(context, job.output, sources);
  context.comm().collectively([&] {
    if (context.rank() == 0) check_can_output(job.output);
  });
  check_scratch(run);
  enter_phase(run, "reading");
}

void finish(const Run& run, const TypedRows& rows) {
  const Job& job = run.job;
  enter_phase(run, "writing");
  const Index count = write_typed_rows(rows, job.output, job.read);
  if (job.json) {
    Json object = Json::object();
    object["command"] = job.command->name;
    object["rows"] = count;
    object["output"] = job.output;
    write_stdout(run.context, json_text(object));
  } else if (job.output != "-") {
    write_stdout(run.context, std::to_string(count) + " rows in " + job.output + "\n");
  }
}

}  // namespace

void run_sort(const Run& run) {
  prepare(run);
  const TypedRows rows = read_typed_rows(run.context, run.job.read);
  enter_phase(run, "sorting");
  finish(run, sort_rows(rows, run.job.rows.by));
}

void run_join(const Run& run) {
  prepare(run);
  ReadOptions side = run.job.read;
  side.inputs = {run.job.read.inputs[0]};
  const TypedRows left = read_typed_rows(run.context, side);
  side.inputs = {run.job.read.inputs[1]};
  const TypedRows right = read_typed_rows(run.context, side);
  enter_phase(run, "joining");
  finish(run, join_rows(left, right, run.job.rows.on, run.job.rows.how));
}

}  // namespace firesteel::cli
