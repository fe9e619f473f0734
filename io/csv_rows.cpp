// SPDX-License-Identifier: Apache-2.0
#include <atomic>
#include <cmath>
#include <limits>
#include <memory>

#include "firesteel/io/class_labels_check.hpp"
#include "firesteel/io/csv_fields.hpp"
#include "firesteel/io/csv_table.hpp"
#include "firesteel/io/finish_rows.hpp"
#include "firesteel/io/number_reading.hpp"
#include "firesteel/io/quoted.hpp"
#include "firesteel/io/read_text.hpp"

namespace firesteel {

namespace {

std::size_t size(Index i) { return static_cast<std::size_t>(i); }

/// Blocks that a thread fills at a time: those of an extent of about 1 MiB of text, two bytes a number.
constexpr Index kFillingBytes = Index{4} << 20;

enum class Missing { error, drop, mean };

Missing missing_of(const std::string& word) {
  if (word == "error") return Missing::error;
  if (word == "drop") return Missing::drop;
  if (word == "mean") return Missing::mean;
  throw bad_parameter("--missing: expected error, drop or mean, got '" + word + "'");
}

/// How labels are read: as numbers, where a text is noted, or as texts.
enum class Labels { numbers, texts };

/// This rank's rows as they are parsed.
template <class Scalar>
struct ParsedRows {
  DenseTiles<Scalar> tiles;
  std::vector<double> label_numbers;
  std::vector<std::string> label_texts;
  AlignedVector<double> weights;
  std::vector<std::uint8_t> dropped;
  std::vector<std::vector<std::string>> kept;
  std::atomic<bool> met_text_label{false};

  ParsedRows(const Context& context, const ColumnPlan& plan, bool text_labels, bool may_drop, Index rows,
             Index block_rows)
      : tiles(context, rows, static_cast<Index>(plan.features.size()), block_rows),
        label_numbers(plan.label && !text_labels ? size(rows) : 0),
        label_texts(plan.label && text_labels ? size(rows) : 0),
        weights(plan.weight ? size((rows + kTileRows - 1) / kTileRows * kTileRows) : 0),
        dropped(may_drop ? size(rows) : 0),
        kept(plan.keep.size(), std::vector<std::string>(size(rows))) {}
};

/// Where a record being parsed stands, for messages.
struct RecordSite {
  const TextExtent* extent;
  const char* text;    ///< the extent's first byte
  const char* record;  ///< the record's first byte
  const char* text_end;
  Index row;  ///< of this rank
};

template <class Scalar>
class RecordIntoTiles {
 public:
  RecordIntoTiles(const CsvTable& table, const ColumnPlan& plan, Missing missing, Labels labels,
                  ParsedRows<Scalar>& out)
      : table_(table),
        plan_(plan),
        missing_(missing),
        labels_(labels),
        out_(out),
        use_(size(table.columns.count), kSkip) {
    const auto mixed = [&](std::optional<Index> column) {
      if (column) use_[size(*column)] = kMixed;
    };
    for (std::size_t i = 0; i < plan.features.size(); ++i)
      use_[size(plan.features[i])] = static_cast<Index>(i);
    feature_of_ = use_;
    mixed(plan.label);
    mixed(plan.weight);
    for (const Index column : plan.keep) mixed(column);
  }

  /// Zeros for the rows [first, end) that are left out.
  void clear_dropped(Index first, Index end) const {
    if (out_.dropped.empty()) return;
    for (Index row = first; row < end; ++row)
      if (out_.dropped[size(row)] != 0)
        for (Index j = 0; j < out_.tiles.columns(); ++j) out_.tiles.at(row, j) = 0;
  }

  /// Parses one record; returns the byte past it.
  const char* operator()(const RecordSite& site) const {
    const TextDialect dialect = table_.index.dialect;  // a copy that no store can alias
    const Index* const uses = use_.data();
    const char* p = site.record;
    while (dialect.blank_runs && (*p == ' ' || *p == '\t')) ++p;
    Scalar* const cells = out_.tiles.tile(site.row / kTileRows) + site.row % kTileRows;
    const auto columns = size(table_.file_columns);
    std::size_t column = 0;
    do {
      if (column == columns) throw ragged(site, p);
      while (*p <= ' ' && dialect.is_blank(*p)) ++p;
      const Index use = uses[column];
      double value;
      const char* end = use >= 0 ? read_number(p, site.text_end, value) : nullptr;
      if (end != nullptr && ends_field(end, dialect) && std::isfinite(static_cast<Scalar>(value))) {
        cells[use * kTileRows] = static_cast<Scalar>(value);
        p = end;
      } else {
        p = other_field(site, p, static_cast<Index>(column), cells);
      }
      ++column;
    } while (next_csv_field(p, dialect));
    if (column != columns) throw ragged(site, nullptr, static_cast<Index>(column));
    for (; column < use_.size(); ++column)
      use_field(site, site.record, static_cast<Index>(column),
                table_.folder_value(static_cast<Index>(column), site.extent->file), cells);
    return p;
  }

 private:
  static constexpr Index kSkip = -1;
  static constexpr Index kMixed = -2;

  static bool ends_field(const char* p, const TextDialect& dialect) {
    return dialect.is_delimiter(*p) || *p == '\n' || (*p == '\r' && p[1] == '\n');
  }

  Error ragged(const RecordSite& site, const char* p, Index found = 0) const {
    std::string scratch;
    if (p != nullptr) {
      found = table_.file_columns;
      CsvField field;
      do {  // wrong quotes end the count: what follows them may be another record
        ++found;
        field = read_csv_field(p, site.text_end, table_.index.dialect, scratch);
        p = field.end;
      } while (field.fault == nullptr && next_csv_field(p, table_.index.dialect));
    }
    return table_.error(
        site.extent->file, site.extent->begin + (site.record - site.text), -1,
        "expected " + std::to_string(table_.file_columns) + " columns, got " + std::to_string(found));
  }
  Error error(const RecordSite& site, const char* p, Index column, const std::string& message) const {
    return table_.field_error(site.extent->file, site.extent->begin + (p - site.text), column, message);
  }

  /// A field that is no plain number or not only a feature.
  const char* other_field(const RecordSite& site, const char* p, Index column, Scalar* cells) const {
    std::string scratch;
    const CsvField field = read_csv_field(p, site.text_end, table_.index.dialect, scratch);
    if (field.fault != nullptr) throw error(site, p, column, field.fault);
    use_field(site, p, column, field.text, cells);
    return field.end;
  }

  void use_field(const RecordSite& site, const char* p, Index column, std::string_view text,
                 Scalar* cells) const {
    if (use_[size(column)] == kSkip) return;
    const Index feature = feature_of_[size(column)];
    if (feature >= 0) cells[feature * kTileRows] = feature_value(site, p, column, text);
    if (column == plan_.label) put_label(site, p, column, text);
    if (column == plan_.weight) put_weight(site, p, column, text);
    for (std::size_t i = 0; i < plan_.keep.size(); ++i)
      if (plan_.keep[i] == column) out_.kept[i][size(site.row)] = text;
  }

  double number(const RecordSite& site, const char* p, Index column, std::string_view text,
                const std::string& expected) const {
    double value = 0;
    if (!field_to_number(text, value) || std::isnan(value))
      throw error(
          site, p, column,
          "expected " + expected + ", got " + (is_missing(text) && text.empty() ? "nothing" : quoted(text)));
    if (!std::isfinite(value)) throw error(site, p, column, "expected a finite number, got " + quoted(text));
    return value;
  }

  Scalar feature_value(const RecordSite& site, const char* p, Index column, std::string_view text) const {
    if (is_missing(text)) {
      if (missing_ == Missing::error)
        throw error(site, p, column,
                    (text.empty() ? std::string("the value is missing")
                                  : "the value is missing ('" + std::string(text) + "')") +
                        "; say --missing drop or --missing mean");
      if (missing_ == Missing::mean) return std::numeric_limits<Scalar>::quiet_NaN();
      out_.dropped[size(site.row)] = 1;
      return 0;
    }
    const auto value = static_cast<Scalar>(number(site, p, column, text, "a number"));
    if (!std::isfinite(value)) throw error(site, p, column, quoted(text) + " is beyond single precision");
    return value;
  }

  void put_label(const RecordSite& site, const char* p, Index column, std::string_view text) const {
    if (is_missing(text))
      throw error(
          site, p, column,
          text.empty() ? "the label is missing" : "the label is missing ('" + std::string(text) + "')");
    if (labels_ == Labels::texts) {
      out_.label_texts[size(site.row)] = text;
      return;
    }
    double label = 0;
    if (!field_to_number(text, label)) {
      out_.met_text_label.store(true, std::memory_order_relaxed);
      return;
    }
    if (!std::isfinite(label))
      throw error(site, p, column, "expected a finite number as label, got " + quoted(text));
    out_.label_numbers[size(site.row)] = label;
  }

  void put_weight(const RecordSite& site, const char* p, Index column, std::string_view text) const {
    const double weight = number(site, p, column, text, "a weight");
    if (weight < 0) throw error(site, p, column, "expected a weight >= 0, got " + quoted(text));
    out_.weights[size(site.row)] = weight;
  }

  const CsvTable& table_;
  const ColumnPlan& plan_;
  Missing missing_;
  Labels labels_;
  ParsedRows<Scalar>& out_;
  std::vector<Index> use_;  ///< of a column: its feature, kSkip, or kMixed
  std::vector<Index> feature_of_;
};

void warn_of_plan(const Context& context, const ColumnPlan& plan) {
  if (!plan.left_out.empty())
    context.monitor().warning("text columns are left out: " + list_names(plan.left_out));
  for (const auto& warning : plan.warnings) context.monitor().warning(warning);
  if (!plan.reserved.empty())
    context.monitor().warning("columns are left out as user, item or rating: " + list_names(plan.reserved) +
                              "; --features takes them in");
}

/// Parses this rank's rows. Local.
template <class Scalar>
std::unique_ptr<ParsedRows<Scalar>> parse_pass(const Context& context, const ReadOptions& options,
                                               const CsvTable& table, const ColumnPlan& plan, Labels labels,
                                               const BlockPartition& partition) {
  const Missing missing = missing_of(options.missing);
  const Index first_row = partition.first_row(context.rank());
  const Index end_row = partition.first_row(context.rank() + 1);
  const MemoryReservation filling(context.memory(), context.threads() * kFillingBytes, "blocks being filled");
  auto parsed =
      std::make_unique<ParsedRows<Scalar>>(context, plan, labels == Labels::texts, missing == Missing::drop,
                                           end_row - first_row, partition.block_rows());
  const RecordIntoTiles<Scalar> parse(table, plan, missing, labels, *parsed);
  ReadProgress progress(context, true, bytes_of_rows(table.index, first_row, end_row));
  parse_records(
      context, table.files, table.index, first_row, end_row, progress,
      [&](int, const TextExtent& extent, const char* text, const char* p, const char* text_end, Index row) {
        return parse({&extent, text, p, text_end, row - first_row});
      },
      [&](Index first, Index end) { parsed->tiles.begin_rows(first - first_row, end - first_row); },
      [&](Index first, Index end) {
        parse.clear_dropped(first - first_row, end - first_row);
        parsed->tiles.end_rows(first - first_row, end - first_row);
      });
  return parsed;
}

void refuse_label(const CsvTable& table, Index label, Index global_row, const BadLabel& bad) {
  visit_record(table.files, table.index, global_row,
               [&](const TextExtent& extent, const char* text, const char* p, const char* text_end) {
                 const TextDialect& dialect = table.index.dialect;
                 while (dialect.blank_runs && (*p == ' ' || *p == '\t')) ++p;
                 std::string scratch;
                 CsvField field = read_csv_field(p, text_end, dialect, scratch);
                 for (Index column = 0; column < label; ++column) {
                   const char* next = field.end;
                   next_csv_field(next, dialect);
                   p = next;
                   field = read_csv_field(p, text_end, dialect, scratch);
                 }
                 while (*p <= ' ' && dialect.is_blank(*p)) ++p;
                 throw table.field_error(extent.file, extent.begin + (p - text), label,
                                         bad.message(field.text));
               });
}

template <class Scalar>
RowInput parse_rows(const Context& context, const ReadOptions& options, const CsvTable& table,
                    const ColumnPlan& plan) {
  Communicator& comm = context.comm();
  RowInput input{.rows = {.context = context}};
  RowBlocks& rows = input.rows;
  const auto columns = static_cast<Index>(plan.features.size());
  rows.partition =
      BlockPartition::even(table.index.rows, choose_block_rows(columns, sizeof(Scalar), false), comm.size());
  const Index label_bytes =
      plan.label ? (table.is_text[size(*plan.label)] || expects_texts(options) ? 32 : 8) : 0;
  comm.collectively([&] {
    rows.reserved = std::make_shared<MemoryReservation>(
        context.memory(), rows.local_rows() * (label_bytes + (plan.weight ? 8 : 0)), "labels and weights");
  });
  // One text makes all labels texts, wherever it stands: that is known after a pass, which is then taken
  // again.
  Labels labels = plan.label && (table.is_text[size(*plan.label)] || expects_texts(options))
                      ? Labels::texts
                      : Labels::numbers;
  const auto pass = [&] {
    return comm.collectively(
        [&] { return parse_pass<Scalar>(context, options, table, plan, labels, rows.partition); });
  };
  auto parsed = pass();
  if (comm.any(parsed->met_text_label)) {
    labels = Labels::texts;
    parsed.reset();
    parsed = pass();
  }
  rows.features = std::move(parsed->tiles);
  if (labels == Labels::texts)
    rows.labels = std::move(parsed->label_texts);
  else
    rows.labels = std::move(parsed->label_numbers);
  rows.weights = std::move(parsed->weights);
  rows.dropped = std::move(parsed->dropped);
  for (std::size_t i = 0; i < plan.keep.size(); ++i)
    input.kept.columns.push_back({table.columns.name(plan.keep[i]), std::move(parsed->kept[i])});
  rows.has_labels = plan.label.has_value();
  rows.schema.names = plan.feature_names;
  finish_rows(rows, options, table.columns.source);
  comm.collectively([&] {
    const auto bad = find_bad_label(rows, options);
    if (bad) refuse_label(table, *plan.label, rows.partition.first_row(comm.rank()) + bad->row, *bad);
  });
  return input;
}

}  // namespace

RowInput read_rows_csv(const Context& context, const ReadOptions& options, const InputFiles& files) {
  const CsvTable table = open_csv(context, files, options);
  const ColumnPlan plan =
      context.comm().collectively([&] { return plan_columns(table.columns, table.is_text, options); });
  warn_of_plan(context, plan);
  return options.single_precision ? parse_rows<float>(context, options, table, plan)
                                  : parse_rows<double>(context, options, table, plan);
}

RowsShape measure_rows_csv(const Context& context, const ReadOptions& options, const InputFiles& files) {
  const CsvTable table = open_csv(context, files, options);
  const ColumnPlan plan =
      context.comm().collectively([&] { return plan_columns(table.columns, table.is_text, options); });
  return {.rows = table.index.rows,
          .columns = static_cast<Index>(plan.features.size()),
          .has_labels = plan.label.has_value()};
}

}  // namespace firesteel
