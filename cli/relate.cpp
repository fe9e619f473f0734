// SPDX-License-Identifier: Apache-2.0
// sort and join: rows in the order of keys.
#include <algorithm>
#include <optional>
#include <utility>

#include "firesteel/cli/json.hpp"
#include "firesteel/cli/option_uses.hpp"
#include "firesteel/cli/steps.hpp"
#include "firesteel/io/pack_typed_rows.hpp"
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

struct Sides {
  TypedRows left;
  TypedRows right;
};

bool has_column(const TypedRows& rows, const std::string& name) {
  return std::any_of(rows.columns.begin(), rows.columns.end(),
                     [&](const TableColumn& column) { return column.name == name; });
}

/// A table and rows of features: --features and --exclude are about the table's columns, --label and --weight
/// too where it has columns of these names.
Sides read_mixed(const Run& run, ReadOptions table_side, ReadOptions feature_side, bool table_is_left) {
  const bool label_given = table_side.label_use == ReadOptions::Label::required;
  TypedRows table = read_typed_rows(run.context, table_side);
  const bool label_of_table = label_given && has_column(table, table_side.label);
  feature_side.features.clear();
  feature_side.exclude.clear();
  if (label_of_table) feature_side.label_use = ReadOptions::Label::optional;
  table_side.label_use = ReadOptions::Label::optional;
  (has_column(table, table_side.weight) ? feature_side : table_side).weight.clear();
  TypedRows features = read_typed_rows(run.context, feature_side);
  if (label_of_table)
    std::replace(features.parts.begin(), features.parts.end(), ColumnPart::label, ColumnPart::none);
  if (features.sparse || !is_column_output(run.job.output)) table = with_parts(table, table_side);
  if (table_is_left) return {std::move(table), std::move(features)};
  return {std::move(features), std::move(table)};
}

Sides read_sides(const Run& run) {
  const Job& job = run.job;
  ReadOptions left = job.read;
  ReadOptions right = job.read;
  left.inputs = {job.read.inputs[0]};
  right.inputs = {job.read.inputs[1]};
  for (const auto& column : job.rows.on) {
    left.key_arrays.push_back(column.left);
    right.key_arrays.push_back(column.right);
  }
  const auto is_table = [&](const ReadOptions& side) {
    return is_column_format(format_of_files(run.context.comm(), side, side.inputs));
  };
  const bool left_table = is_table(left);
  const bool right_table = is_table(right);
  if (left_table && !right_table) return read_mixed(run, left, right, true);
  if (!left_table && right_table) return read_mixed(run, right, left, false);
  return {read_typed_rows(run.context, left), read_typed_rows(run.context, right)};
}

void finish(const Run& run, TypedRows rows) {
  const Job& job = run.job;
  enter_phase(run, "writing");
  const Index count = write_typed_rows(std::move(rows), job.output, job.read);
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
  ReadOptions read = run.job.read;
  for (const auto& column : run.job.rows.by) read.key_arrays.push_back(column.name);
  TypedRows rows = read_typed_rows(run.context, read);
  enter_phase(run, "sorting");
  rows = sort_rows(rows, run.job.rows.by);  // what was read is given up
  finish(run, std::move(rows));
}

void run_join(const Run& run) {
  prepare(run);
  std::optional<Sides> sides = read_sides(run);
  enter_phase(run, "joining");
  TypedRows rows = join_rows(sides->left, sides->right, run.job.rows.on, run.job.rows.how);
  sides.reset();  // given up, as the result holds what it needs
  finish(run, std::move(rows));
}

}  // namespace firesteel::cli
