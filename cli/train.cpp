// SPDX-License-Identifier: Apache-2.0
#include "firesteel/cli/json.hpp"
#include "firesteel/cli/matrix_file.hpp"
#include "firesteel/cli/option_uses.hpp"
#include "firesteel/cli/steps.hpp"
#include "firesteel/io/model_file.hpp"
#include "firesteel/io/output_file.hpp"

namespace firesteel::cli {

namespace {

/// Finds one matrix parameter by name.
class MatrixFinder final : public ParameterVisitor {
 public:
  explicit MatrixFinder(std::string_view name) : name_(name) {}
  Matrix* found = nullptr;

  void matrix(std::string_view name, Matrix& value, std::string_view) override {
    if (name == name_) found = &value;
  }
  void integer(std::string_view, Index&, Range, std::string_view) override {}
  void real(std::string_view, double&, Range, std::string_view) override {}
  void boolean(std::string_view, bool&, std::string_view) override {}
  void choice(std::string_view, std::string&, const std::vector<std::string>&, std::string_view) override {}
  void reals(std::string_view, std::vector<double>&, Range, std::string_view) override {}
  void seed(std::string_view, std::uint64_t&, std::string_view) override {}

 private:
  std::string_view name_;
};

/// A number of clusters that was asked for must be that of the initial centres; said before data are read.
void check_number_of_centres(Job& job, const std::string& path, Index centres) {
  if (!job.k_named) return;
  for (const auto& parameter : parameters_of(*job.learner))
    if (parameter.name == "k" && parameter.value != std::to_string(centres))
      throw bad_parameter("--k " + parameter.value + ": " + path + " has " + std::to_string(centres) +
                          " rows, one a centre; leave out --k, or make them equal");
}

/// Fills the parameters that files hold.
void read_matrix_parameters(const Run& run) {
  for (const auto& file : run.job.matrix_files) {
    Matrix matrix = read_matrix_file(run.context, file.second);
    run.context.comm().collectively([&] {
      check_number_of_centres(run.job, file.second, matrix.rows);
      MatrixFinder finder(file.first);
      run.job.learner->describe(finder);
      *finder.found = std::move(matrix);
    });
  }
}

struct TrainResult {
  std::unique_ptr<AnyModel> model;
  Metrics metrics;
  std::string sha256;
  Index rows = 0;
  StorageReport storage;
  double read_s = 0;
  double fit_s = 0;
  double write_s = 0;
  std::vector<ProcessMemory> memory;  ///< of each rank, at the end
};

std::string result_json(const Run& run, const TrainResult& result) {
  const FitSummary& summary = result.model->summary();
  Json object = Json::object();
  object["command"] = "train";
  object["learner"] = run.job.entry->name;
  object["rows"] = summary.rows;
  object["features"] = summary.features;
  object["iterations"] = summary.iterations;
  object["converged"] = summary.converged ? Json(*summary.converged) : Json(nullptr);
  object["stop_reason"] = summary.stop_reason;
  object["objective"] = json_number(summary.objective);
  if (summary.gradient_norm) object["gradient_norm"] = json_number(*summary.gradient_norm);
  object["metrics"] = json_metrics(result.metrics);
  object["seconds"] = {{"read", result.read_s}, {"fit", result.fit_s}, {"write", result.write_s}};
  object["ranks"] = run.context.size();
  object["threads"] = run.context.threads();
  object["model"] = run.job.output;
  for (const auto& [name, value] : summary.extra) object[name] = json_value(value);
  object["sha256"] = result.sha256;
  object["peak_memory_bytes"] = Json::array();
  for (const auto& memory : result.memory) object["peak_memory_bytes"].push_back(memory.peak);
  object["storage"] = {{"memory_bytes", result.storage.memory_bytes},
                       {"spilled_bytes", result.storage.spilled_bytes},
                       {"passes", result.storage.passes},
                       {"bytes_read", result.storage.bytes_read},
                       {"bytes_written", result.storage.bytes_written},
                       {"stalls", result.storage.stalls},
                       {"stall_seconds", result.storage.stall_s},
                       {"requests_in_flight", result.storage.requests_in_flight},
                       {"reader", result.storage.reader}};
  return json_text(object);
}

std::string result_text(const Run& run, const TrainResult& result) {
  const FitSummary& summary = result.model->summary();
  std::string text = std::string(run.job.entry->name) + ": " + std::to_string(summary.rows) + " rows";
  if (summary.features > 0) text += " x " + std::to_string(summary.features) + " features";
  text += ", " + std::to_string(summary.iterations) + " iterations, stopped by " + summary.stop_reason + "\n";
  text += metrics_text({{"objective", summary.objective}});
  text += metrics_text(result.metrics);
  text += "  seconds             read " + short_number(result.read_s) + ", fit " +
          short_number(result.fit_s) + ", write " + short_number(result.write_s) + "\n";
  return text + "model " + run.job.output + ", sha256 " + result.sha256 + "\n";
}

void note_storage(const Run& run, const StorageReport& storage) {
  if (storage.bytes_read == 0) return;
  run.monitor.note("scratch: " + std::to_string(storage.passes) + " passes read " +
                   std::to_string(storage.bytes_read) + " bytes (" + std::to_string(storage.spilled_bytes) +
                   " a pass) by " + storage.reader + "; " + std::to_string(storage.stalls) +
                   " blocks were waited for, " + short_number(storage.stall_s) + " s in all, with " +
                   short_number(storage.requests_in_flight) + " requests under way in the mean");
}

/// A model called as data are is most likely a slip, but any name will do.
void warn_of_output_name(const Run& run) {
  for (const char* extension : {".csv", ".tsv", ".txt", ".libsvm", ".svm", ".svmlight", ".json"})
    if (run.job.output.ends_with(extension))
      run.monitor.warning("--output " + run.job.output +
                          ": a model is an HDF5 file, whatever its name; .h5 would say so");
}

void warn_if_not_converged(const Run& run, const FitSummary& summary) {
  if (!summary.converged || *summary.converged) return;
  const std::string remedy = summary.stop_reason == "max_iter" ? "; raise --max-iter, or --tol" : "";
  run.monitor.warning("not converged: stopped by " + summary.stop_reason + " after " +
                      std::to_string(summary.iterations) + " iterations" + remedy);
}

/// The ranks say their memory, too, where there is a heartbeat. Collective.
void enter_train_phase(const Run& run, const char* name) {
  enter_phase(run, name);
  if (run.job.heartbeat.empty()) return;
  run.monitor.memory(run.context.comm().allgather(process_memory()));
  if (run.monitor.heartbeat() != nullptr) run.monitor.heartbeat()->phase(name);
}

void start_heartbeat(const Run& run, const std::vector<std::string>& inputs) {
  if (run.job.heartbeat.empty()) return;
  refuse_to_overwrite(run.context, run.job.heartbeat, inputs, "--heartbeat");
  run.context.comm().collectively([&] {
    if (run.context.rank() == 0)
      run.monitor.start_heartbeat({run.job.heartbeat, std::string(run.job.command->name),
                                   std::string(run.job.entry->name), run.context.size(),
                                   run.context.threads()});
  });
}

}  // namespace

void run_train(const Run& run) {
  const Context& context = run.context;
  Job& job = run.job;
  auto sources = resolve_inputs(context.comm(), job.read.inputs);
  refuse_unused(run, job.entry->task, sources);
  for (const auto& file : job.matrix_files) {
    require_readable(context, file.second);
    sources.push_back(file.second);
  }
  refuse_to_overwrite(context, job.output, sources);
  context.comm().collectively([&] {
    if (context.rank() == 0) check_can_write(job.output);
  });
  if (!job.checkpoint.directory.empty()) open_checkpoint_directory(context, job.checkpoint.directory);

  check_scratch(run);
  warn_of_output_name(run);
  start_heartbeat(run, sources);
  enter_train_phase(run, "reading");
  TrainResult result;
  const Stopwatch read_watch;
  prepare_label(job);
  read_matrix_parameters(run);
  const Input input = read_input(run, job.entry->task);
  result.read_s = read_watch.seconds();
  announce_storage(run, input.data);

  if (run.monitor.heartbeat() != nullptr) run.monitor.heartbeat()->rows(rows_used(input.data));
  enter_train_phase(run, "fitting");
  const Stopwatch fit_watch;
  result.model = job.learner->fit(input.data);
  result.fit_s = fit_watch.seconds();
  warn_if_not_converged(run, result.model->summary());
  warn_of_threshold(run, *result.model);

  enter_train_phase(run, "evaluating");
  for (const auto& metric : result.model->evaluate(input.data))
    if (metric.first != "rows_scored") result.metrics.push_back(metric);

  enter_train_phase(run, "writing");
  const Stopwatch write_watch;
  const Record record = result.model->to_record();
  write_model(context, record, job.output);
  result.write_s = write_watch.seconds();
  result.sha256 = record.sha256();

  result.storage = storage_report(run, input.data);
  note_storage(run, result.storage);
  result.memory = context.comm().allgather(process_memory());
  run.monitor.memory(result.memory);
  write_stdout(context, job.json ? result_json(run, result) : result_text(run, result), &job.result_printed);
}

}  // namespace firesteel::cli
