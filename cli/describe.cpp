// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "firesteel/cli/json.hpp"
#include "firesteel/cli/option_uses.hpp"
#include "firesteel/cli/steps.hpp"
#include "firesteel/io/quoted.hpp"
#include "firesteel/io/summary.hpp"

namespace firesteel::cli {

namespace {

const char* kind_name(TableKind kind) {
  switch (kind) {
    case TableKind::whole:
      return "whole";
    case TableKind::real:
      return "real";
    case TableKind::text:
      return "text";
    case TableKind::other:
      return "other";
  }
  return "";
}

Json column_json(const ColumnSummary& column) {
  Json object = Json::object();
  object["name"] = column.name;
  object["kind"] = kind_name(column.kind);
  if (column.kind == TableKind::other) return object;
  object["values"] = column.values;
  object["missing"] = column.missing;
  if (column.kind == TableKind::text) {
    object["shortest"] = column.shortest;
    object["longest"] = column.longest;
  } else {
    object["mean"] = json_number(column.mean);
    object["sd"] = json_number(column.sd);
    object["min"] = json_number(column.min);
    object["max"] = json_number(column.max);
    object["zeros"] = column.zeros;
    object["quantiles"] = Json::object();
    for (std::size_t i = 0; i < column.quantiles.size(); ++i)
      object["quantiles"][short_number(kSummaryQuantiles[i])] = json_number(column.quantiles[i]);
    object["exact_quantiles"] = column.exact_quantiles;
  }
  if (column.kind == TableKind::real) return object;
  object["distinct"] = column.distinct;
  object["exact_distinct"] = column.exact_distinct;
  object["top"] = Json::array();
  for (const auto& [value, count] : column.top) {
    Json entry = Json::object();
    if (column.kind == TableKind::whole)
      entry["value"] = std::stoll(value);
    else
      entry["value"] = value;
    entry["count"] = count;
    object["top"].push_back(std::move(entry));
  }
  return object;
}

std::string summary_json(const DataSummary& summary) {
  Json object = Json::object();
  object["command"] = "describe";
  object["format"] = summary.format;
  object["rows"] = summary.rows;
  object["sparse"] = summary.sparse;
  if (summary.sparse) object["nonzeros"] = summary.nonzeros;
  object["columns"] = Json::array();
  for (const auto& column : summary.columns) object["columns"].push_back(column_json(column));
  return json_text(object);
}

/// Cells in columns, the first to the left, the others to the right.
class TextGrid {
 public:
  void add(std::vector<std::string> cells) {
    widths_.resize(std::max(widths_.size(), cells.size()), 0);
    for (std::size_t i = 0; i < cells.size(); ++i) widths_[i] = std::max(widths_[i], width(cells[i]));
    lines_.push_back(std::move(cells));
  }
  std::string text() const {
    std::string all;
    for (const auto& cells : lines_) {
      std::string line;
      for (std::size_t i = 0; i < cells.size(); ++i) {
        const std::string blanks(widths_[i] - width(cells[i]), ' ');
        line += "  " + (i == 0 ? cells[i] + blanks : blanks + cells[i]);
      }
      all += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
    }
    return all;
  }

 private:
  /// Characters of UTF-8.
  static std::size_t width(const std::string& text) {
    return static_cast<std::size_t>(
        std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
  }
  std::vector<std::size_t> widths_;
  std::vector<std::vector<std::string>> lines_;
};

std::string name_of(const ColumnSummary& column) {
  const std::string shown = firesteel::quoted(column.name);
  return shown.substr(1, shown.size() - 2);
}

std::string values_text(const ColumnSummary& column) {
  std::string text = std::to_string(column.distinct) + " different";
  if (!column.exact_distinct) return "about " + text;
  for (const auto& [value, count] : column.top)
    text += (&value == &column.top.front().value ? ": " : ", ") +
            (column.kind == TableKind::text ? firesteel::quoted(value) : value) + " " +
            std::to_string(count) + "x";
  if (static_cast<Index>(column.top.size()) < column.distinct) text += ", ...";
  return text;
}

std::string summary_text(const DataSummary& summary) {
  std::string text = std::to_string(summary.rows) + " rows, " + std::to_string(summary.columns.size()) +
                     " columns (" + summary.format + ")\n";
  if (summary.sparse)
    text += std::to_string(summary.nonzeros) + " entries are stored, the others are 0; more than " +
            std::to_string(kMostSparseColumns) + " columns are not described one by one\n";
  TextGrid numbers;
  numbers.add({"number", "kind", "missing", "mean", "sd", "min", "5%", "25%", "50%", "75%", "95%", "max"});
  TextGrid texts;
  texts.add({"text", "missing", "bytes"});
  std::string values;
  std::string others;
  bool exact = true;
  for (const auto& column : summary.columns) {
    if (column.kind == TableKind::other) {
      others += (others.empty() ? "" : ", ") + name_of(column);
      continue;
    }
    if (column.kind == TableKind::text) {
      texts.add({name_of(column), std::to_string(column.missing),
                 std::to_string(column.shortest) + "-" + std::to_string(column.longest)});
    } else {
      std::vector<std::string> line{
          name_of(column),           kind_name(column.kind),  std::to_string(column.missing),
          short_number(column.mean), short_number(column.sd), short_number(column.min)};
      for (std::size_t i = 1; i + 1 < column.quantiles.size(); ++i)
        line.push_back(short_number(column.quantiles[i]));
      line.push_back(short_number(column.max));
      numbers.add(std::move(line));
      exact = exact && column.exact_quantiles;
    }
    if (column.kind != TableKind::real) values += "  " + name_of(column) + ": " + values_text(column) + "\n";
  }
  const bool some_text = texts.text().find('\n') + 1 < texts.text().size();
  const bool some_numbers = numbers.text().find('\n') + 1 < numbers.text().size();
  if (some_numbers) text += "\n" + numbers.text();
  if (some_numbers && !exact) text += "  quantiles are within 0.4 %\n";
  if (some_text) text += "\n" + texts.text();
  if (!values.empty()) text += "\nValues\n" + values;
  if (!others.empty()) text += "\nNeither numbers nor texts: " + others + "\n";
  return text;
}

}  // namespace

void run_describe(const Run& run) {
  const Context& context = run.context;
  const Job& job = run.job;
  refuse_unused_of_rows(run, resolve_inputs(context.comm(), job.read.inputs), true);
  enter_phase(run, "reading");
  const DataSummary summary = describe_data(context, job.read, job.rows.top);
  write_stdout(context, job.json ? summary_json(summary) : summary_text(summary));
}

}  // namespace firesteel::cli
