// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <limits>

#include "firesteel/cli/json.hpp"
#include "firesteel/cli/option_uses.hpp"
#include "firesteel/cli/steps.hpp"
#include "firesteel/core/rating_chunks.hpp"
#include "firesteel/io/parts_output.hpp"
#include "firesteel/io/write_table.hpp"

namespace firesteel::cli {

namespace {

constexpr double kNoPrediction = std::numeric_limits<double>::quiet_NaN();

/// Rows that `--missing drop` left out stay in the output, without a prediction.
void blank_dropped_rows(const RowBlocks& rows, ColumnTable& table) {
  Communicator& comm = rows.context.comm();
  if (!comm.any(!rows.dropped.empty())) return;
  comm.collectively([&] {
    const auto dropped = [&](std::size_t row) { return row < rows.dropped.size() && rows.dropped[row] != 0; };
    for (auto& column : table.columns) {
      // Whole numbers have no mark for "none": such a column becomes one of doubles, on every rank.
      if (const auto* whole = std::get_if<std::vector<std::int64_t>>(&column.values))
        column.values = std::vector<double>(whole->begin(), whole->end());
      if (auto* numbers = std::get_if<std::vector<double>>(&column.values)) {
        for (std::size_t row = 0; row < numbers->size(); ++row)
          if (dropped(row)) (*numbers)[row] = kNoPrediction;
      } else if (auto* texts = std::get_if<std::vector<std::string>>(&column.values)) {
        for (std::size_t row = 0; row < texts->size(); ++row)
          if (dropped(row)) (*texts)[row] = "nan";
      }
    }
  });
}

/// The columns of `right` behind those of `left`; their rows are the same.
ColumnTable beside(ColumnTable left, ColumnTable right) {
  for (auto& column : right.columns) left.columns.push_back(std::move(column));
  return left;
}

void keep_rows(ColumnTable& table, const std::vector<char>& keep) {
  for (auto& column : table.columns)
    std::visit(
        [&](auto& values) {
          std::size_t kept = 0;
          for (std::size_t row = 0; row < values.size(); ++row)
            if (keep[row] != 0) std::swap(values[kept++], values[row]);
          values.resize(kept);
        },
        column.values);
}

/// Leaves out the rows whose prediction is not a number.
void drop_unpredicted(ColumnTable& table) {
  for (const auto& column : table.columns) {
    if (column.name != "prediction") continue;
    const auto* predictions = std::get_if<std::vector<double>>(&column.values);
    if (predictions == nullptr) return;
    std::vector<char> keep;
    for (const double prediction : *predictions) keep.push_back(std::isnan(prediction) ? 0 : 1);
    keep_rows(table, keep);
    return;
  }
}

/// Sets the model's cold-start strategy; returns what it was, empty where it has none.
std::string set_cold_start(AnyModel& model, const std::string& strategy) {
  ParameterLister lister;
  model.describe_scoring(lister);
  for (const auto& parameter : lister.list) {
    if (parameter.name != "cold_start_strategy") continue;
    ParameterSetter setter(parameter.name, strategy);
    model.describe_scoring(setter);
    return parameter.value;
  }
  return {};
}

Input read_rows_to_score(const Run& run, const LoadedModel& loaded) {
  ReadOptions& read = run.job.read;
  read.label_use = ReadOptions::Label::ignored;
  read.expected = &loaded.model->schema();
  read.expected_features = loaded.model->features();
  if (!run.job.missing_named) read.missing = loaded.model->schema().missing;
  return read_input(run, loaded.entry->task);
}

/// CSV repeats kept texts as they were; in HDF5 a number is a number.
bool keeps_texts(const std::string& output) {
  const std::string name = without_slash(output);
  return name == "-" || name.ends_with(".csv") || name.ends_with(".tsv");
}

ColumnTable predict_rows(const Run& run, LoadedModel& loaded, Input input) {
  if (!keeps_texts(run.job.output)) read_kept_numbers(run.context, input.kept);

  enter_phase(run, "predicting");
  // Kept columns stand beside every row, so rows without a prediction are taken out of both together.
  const bool keeps = !run.job.read.keep.empty();
  const bool drops = keeps && set_cold_start(*loaded.model, "nan") == "drop";
  ColumnTable table = loaded.model->predict(input.data);
  if (const auto* rows = std::get_if<RowBlocks>(&input.data)) blank_dropped_rows(*rows, table);
  if (!keeps) return table;
  table = beside(std::move(input.kept), std::move(table));
  if (drops) run.context.comm().collectively([&] { drop_unpredicted(table); });
  return table;
}

/// The columns that are kept beside ratings in scratch, a chunk at a time.
class KeptChunks {
 public:
  /// Collective.
  KeptChunks(const Run& run, const Ratings& ratings, const ColumnTable& names)
      : ratings_(ratings), names_(names) {
    if (names.columns.empty() || keeps_texts(run.job.output)) return;
    run.context.comm().collectively([&] {
      for (Index i = 0; i < ratings.chunks->count(); ++i) numbers_.look_at(read(i).columns);
    });
    numbers_.agree(run.context.comm(), names.columns.size());
    turns_ = true;
  }
  ColumnTable of_chunk(Index i) const {
    ColumnTable kept = read(i);
    if (turns_) numbers_.turn(kept.columns);
    return kept;
  }

 private:
  ColumnTable read(Index i) const {
    ColumnTable kept;
    auto values = ratings_.chunks->read_kept(i);
    for (std::size_t c = 0; c < values.size(); ++c)
      kept.columns.push_back({names_.columns[c].name, std::move(values[c])});
    return kept;
  }

  const Ratings& ratings_;
  const ColumnTable& names_;
  KeptNumbers numbers_;
  bool turns_ = false;
};

/// Ratings in scratch, predicted and written a chunk at a time; returns the rows written.
Index score_chunks(const Run& run, LoadedModel& loaded, const Ratings& ratings,
                   const ColumnTable& kept_names) {
  const Context& context = run.context;
  const bool keeps = !kept_names.columns.empty();
  const bool drops = keeps && set_cold_start(*loaded.model, "nan") == "drop";
  const KeptChunks kept(run, ratings, kept_names);
  // A chunk is this rank's alone.
  const Context alone(MPI_COMM_SELF, {.threads = context.threads()});
  const auto predict = [&](Ratings chunk) {
    chunk.context = alone;
    return loaded.model->predict(std::move(chunk));
  };
  enter_phase(run, "predicting");
  const auto make = [&](Index part) {
    ColumnTable made = predict(ratings.chunks->read(ratings, part));
    if (keeps) made = beside(kept.of_chunk(part), std::move(made));
    if (drops) drop_unpredicted(made);
    return made;
  };
  TableParts table{.count = ratings.chunks->count(), .make = make};
  for (const auto& column : kept_names.columns) table.names.push_back(column.name);
  context.comm().collectively([&] {
    const ColumnTable none =
        predict({.context = alone, .user_name = ratings.user_name, .item_name = ratings.item_name});
    for (const auto& column : none.columns) table.names.push_back(column.name);
  });
  return write_table(context, table, run.job.output);
}

/// Predicts and writes what is read, or what is recommended; returns the rows written.
Index write_scores(const Run& run, LoadedModel& loaded) {
  const Job& job = run.job;
  ColumnTable table;
  if (job.top > 0) {
    enter_phase(run, "predicting");
    table = loaded.model->recommend(run.context, job.top, job.top_for_items);
  } else {
    Input input = read_rows_to_score(run, loaded);
    const auto* ratings = std::get_if<Ratings>(&input.data);
    if (ratings != nullptr && ratings->chunks) return score_chunks(run, loaded, *ratings, input.kept);
    table = predict_rows(run, loaded, std::move(input));
  }
  enter_phase(run, "writing");
  write_table(run.context, table, job.output);
  return run.context.comm().sum(table.local_rows());
}

}  // namespace

void run_score(const Run& run) {
  const Context& context = run.context;
  const Job& job = run.job;
  require_readable(context, job.model);
  std::vector<std::string> sources{job.model};
  std::vector<std::string> inputs;
  if (!job.read.inputs.empty()) inputs = resolve_inputs(context.comm(), job.read.inputs);
  if (job.top == 0) refuse_unused(run, inputs);
  sources.insert(sources.end(), inputs.begin(), inputs.end());
  refuse_to_overwrite(context, job.output, sources);
  probe_output(context, job.output);
  check_scratch(run);

  enter_phase(run, "reading");
  LoadedModel loaded = load_model(run);
  if (job.top == 0) refuse_unused(run, loaded.entry->task, inputs);
  if (job.top > 0) warn_of_unread(run);
  const Index rows = write_scores(run, loaded);

  if (job.json) {
    Json object = Json::object();
    object["command"] = "score";
    object["rows"] = rows;
    object["output"] = job.output;
    write_stdout(context, json_text(object));
  } else if (job.output != "-") {
    write_stdout(context, std::to_string(rows) + " rows in " + job.output + "\n");
  }
}

}  // namespace firesteel::cli
