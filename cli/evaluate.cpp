// SPDX-License-Identifier: Apache-2.0
#include <optional>

#include "firesteel/cli/json.hpp"
#include "firesteel/cli/option_uses.hpp"
#include "firesteel/cli/steps.hpp"

namespace firesteel::cli {

namespace {

/// What a model scored, with the number of rows it could score where it says so.
struct Evaluation {
  Index rows = 0;
  std::optional<Index> rows_scored;
  Metrics metrics;
};

Evaluation evaluate_rows(const Run& run, const LoadedModel& loaded) {
  ReadOptions& read = run.job.read;
  read.label_use =
      loaded.entry->task == Task::clustering ? ReadOptions::Label::ignored : ReadOptions::Label::required;
  read.class_labels = loaded.entry->task == Task::classification;
  read.expected_classes = loaded.model->classes();
  read.expected = &loaded.model->schema();
  read.expected_features = loaded.model->features();
  if (!run.job.missing_named) read.missing = loaded.model->schema().missing;
  const Input input = read_input(run, loaded.entry->task);
  Evaluation evaluation;
  evaluation.rows = rows_used(input.data);
  enter_phase(run, "evaluating");
  for (const auto& metric : loaded.model->evaluate(input.data)) {
    if (metric.first == "rows_scored")
      evaluation.rows_scored = static_cast<Index>(metric.second);
    else
      evaluation.metrics.push_back(metric);
  }
  return evaluation;
}

}  // namespace

void run_evaluate(const Run& run) {
  const Context& context = run.context;
  const Job& job = run.job;
  require_readable(context, job.model);
  const auto sources = resolve_inputs(context.comm(), job.read.inputs);
  refuse_unused(run, sources);
  check_scratch(run);
  enter_phase(run, "reading");
  const LoadedModel loaded = load_model(run);
  refuse_unused(run, loaded.entry->task, sources);
  const Evaluation evaluation = evaluate_rows(run, loaded);

  if (job.json) {
    Json object = Json::object();
    object["command"] = "evaluate";
    object["learner"] = loaded.entry->name;
    object["rows"] = evaluation.rows;
    if (evaluation.rows_scored) object["rows_scored"] = *evaluation.rows_scored;
    object["metrics"] = json_metrics(evaluation.metrics);
    write_stdout(context, json_text(object));
    return;
  }
  std::string text = job.model + ", learner " + std::string(loaded.entry->name) + ": " +
                     std::to_string(evaluation.rows) + " rows";
  if (evaluation.rows_scored) text += ", " + std::to_string(*evaluation.rows_scored) + " scored";
  write_stdout(context, text + "\n" + metrics_text(evaluation.metrics));
}

}  // namespace firesteel::cli
