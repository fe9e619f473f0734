// SPDX-License-Identifier: Apache-2.0
#include <atomic>
#include <cmath>
#include <memory>

#include "firesteel/core/parameters.hpp"
#include "firesteel/core/rating_chunks.hpp"
#include "firesteel/io/csv_fields.hpp"
#include "firesteel/io/csv_table.hpp"
#include "firesteel/io/quoted.hpp"
#include "firesteel/io/read_text.hpp"

namespace firesteel {

namespace {

std::size_t size(Index i) { return static_cast<std::size_t>(i); }

struct RatingPlan {
  Index user = 0;
  Index item = 0;
  std::optional<Index> rating;
  std::vector<Index> keep;
};

RatingPlan plan_ratings(const CsvTable& table, const ReadOptions& options) {
  const InputColumns& columns = table.columns;
  RatingPlan plan{require_column(columns, options.user, "--user"),
                  require_column(columns, options.item, "--item"), find_column(columns, options.rating),
                  expand_columns(columns, options.keep, "--keep")};
  const bool asked = options.rating != ReadOptions{}.rating;
  const bool scoring = options.label_use == ReadOptions::Label::ignored;
  if (!plan.rating && asked && !scoring) require_column(columns, options.rating, "--rating");
  if (plan.user == plan.item)
    throw bad_input("--user and --item are both column '" + columns.name(plan.user) + "' of " +
                    columns.source);
  if (plan.rating == plan.user || plan.rating == plan.item)
    throw bad_input("--rating is column '" + columns.name(*plan.rating) + "' of " + columns.source +
                    ", which holds the users or items");
  return plan;
}

/// How ids of one column are read: as whole numbers, until one is none.
struct IdKind {
  bool text = false;
  std::atomic<bool> failed{false};
};

struct Ids {
  IdKind& kind;
  std::vector<std::int64_t> numbers;
  std::vector<std::string> texts;

  Ids(IdKind& ids, Index rows)
      : kind(ids), numbers(ids.text ? 0 : size(rows)), texts(ids.text ? size(rows) : 0) {}
  void put(Index row, std::string_view text) {
    if (kind.text) {
      texts[size(row)] = text;
    } else if (const auto number = field_to_whole(text)) {
      numbers[size(row)] = *number;
    } else {
      kind.failed.store(true, std::memory_order_relaxed);
    }
  }
  ColumnValues values() {
    if (kind.text) return std::move(texts);
    return std::move(numbers);
  }
};

/// Ratings of a run of rows as they are parsed.
class RatingPass {
 public:
  RatingPass(const CsvTable& table, const RatingPlan& plan, IdKind& user_kind, IdKind& item_kind, Index rows)
      : users(user_kind, rows),
        items(item_kind, rows),
        ratings(plan.rating ? size(rows) : 0),
        kept(plan.keep.size(), std::vector<std::string>(size(rows))),
        table_(table),
        plan_(plan) {}

  const char* record(const TextExtent& extent, const char* text, const char* p, const char* text_end,
                     Index row) {
    const TextDialect& dialect = table_.index.dialect;
    const char* const begin = p;
    while (dialect.blank_runs && (*p == ' ' || *p == '\t')) ++p;
    std::string scratch;
    Index column = 0;
    do {
      const CsvField field = read_csv_field(p, text_end, dialect, scratch);
      const Index offset = extent.begin + (p - text);
      if (field.fault != nullptr) throw table_.field_error(extent.file, offset, column, field.fault);
      use_field(extent, offset, column++, field.text, row);
      p = field.end;
    } while (next_csv_field(p, dialect));
    if (column != table_.file_columns)
      throw table_.error(
          extent.file, extent.begin + (begin - text), -1,
          "expected " + std::to_string(table_.file_columns) + " columns, got " + std::to_string(column));
    for (; column < table_.columns.count; ++column)
      use_field(extent, extent.begin + (begin - text), column, table_.folder_value(column, extent.file), row);
    return p;
  }

  Ids users;
  Ids items;
  std::vector<double> ratings;
  std::vector<std::vector<std::string>> kept;

 private:
  void use_field(const TextExtent& extent, Index offset, Index column, std::string_view text, Index row) {
    if (column == plan_.user) users.put(row, id(extent, offset, column, text));
    if (column == plan_.item) items.put(row, id(extent, offset, column, text));
    if (column == plan_.rating) ratings[size(row)] = rating(extent, offset, column, text);
    for (std::size_t i = 0; i < plan_.keep.size(); ++i)
      if (plan_.keep[i] == column) kept[i][size(row)] = text;
  }
  std::string_view id(const TextExtent& extent, Index offset, Index column, std::string_view text) const {
    if (text.empty()) throw table_.field_error(extent.file, offset, column, "expected an id, got nothing");
    return text;
  }
  double rating(const TextExtent& extent, Index offset, Index column, std::string_view text) const {
    double value = 0;
    if (!field_to_number(text, value) || !std::isfinite(value))
      throw table_.field_error(
          extent.file, offset, column,
          "expected a finite number as rating, got " + (text.empty() ? "nothing" : quoted(text)));
    return value;
  }

  const CsvTable& table_;
  const RatingPlan& plan_;
};

void parse_to_memory(const Context& context, const CsvTable& table, const RatingPlan& plan, IdKind& users,
                     IdKind& items, Index first_row, Index end_row, ReadProgress& progress,
                     RatingInput& input) {
  input.ratings.reserved = reserve_ratings(context, end_row - first_row, users.text || items.text);
  RatingPass pass(table, plan, users, items, end_row - first_row);
  parse_records(context, table.files, table.index, first_row, end_row, progress,
                [&](int, const TextExtent& extent, const char* text, const char* p, const char* text_end,
                    Index row) { return pass.record(extent, text, p, text_end, row - first_row); });
  if (users.failed || items.failed) return;
  input.ratings.users = pass.users.values();
  input.ratings.items = pass.items.values();
  input.ratings.ratings = std::move(pass.ratings);
  for (std::size_t i = 0; i < plan.keep.size(); ++i)
    input.kept.columns.push_back({table.columns.name(plan.keep[i]), std::move(pass.kept[i])});
}

/// The rows of an extent are a chunk, with the columns that are kept.
std::shared_ptr<const RatingChunks> parse_to_scratch(const Context& context, const CsvTable& table,
                                                     const RatingPlan& plan, IdKind& users, IdKind& items,
                                                     Index first_row, Index end_row, ReadProgress& progress) {
  constexpr Index kExtentBytes = Index{8} << 20;  // of the ratings of about 1 MiB of text, with their copies
  const MemoryReservation parsing(context.memory(), context.threads() * kExtentBytes, "ratings being read");
  auto chunks = std::make_shared<RatingChunks>(context.scratch());
  static thread_local std::unique_ptr<RatingPass> run;  // of this thread's extent
  static thread_local Index run_first = 0;
  parse_records(
      context, table.files, table.index, first_row, end_row, progress,
      [&](int, const TextExtent& extent, const char* text, const char* p, const char* text_end, Index row) {
        return run->record(extent, text, p, text_end, row - run_first);
      },
      [&](Index first, Index end) {
        run = std::make_unique<RatingPass>(table, plan, users, items, end - first);
        run_first = first;
      },
      [&](Index first, Index) {
        std::vector<ColumnValues> kept;
        for (auto& column : run->kept) kept.emplace_back(std::move(column));
        if (!users.failed && !items.failed)
          chunks->put(first - first_row, run->users.values(), run->items.values(), run->ratings, kept);
        run.reset();
      });
  chunks->finish();
  return chunks;
}

}  // namespace

RatingInput read_ratings_csv(const Context& context, const ReadOptions& options, const InputFiles& files) {
  Communicator& comm = context.comm();
  const CsvTable table = open_csv(context, files, options);
  const RatingPlan plan = comm.collectively([&] { return plan_ratings(table, options); });
  const Index first_row = table.index.rows * comm.rank() / comm.size();
  const Index end_row = table.index.rows * (comm.rank() + 1) / comm.size();
  RatingInput input{.ratings = {.context = context, .rows = table.index.rows, .first_row = first_row}};
  input.ratings.user_name = table.columns.name(plan.user);
  input.ratings.item_name = table.columns.name(plan.item);
  input.ratings.has_ratings = plan.rating.has_value();

  // Ids are read as whole numbers; only where some rank meets another id are they read again, as texts.
  IdKind users{.text = table.is_text[size(plan.user)]};
  IdKind items{.text = table.is_text[size(plan.item)]};
  const Index own = end_row - first_row;
  for (;;) {
    const bool text_ids = users.text || items.text;
    const bool spill = options.ratings_in_scratch && ratings_spill(context, own, text_ids, plan.keep.size());
    comm.collectively([&] {
      ReadProgress progress(context, true, bytes_of_rows(table.index, first_row, end_row));
      if (spill)
        input.ratings.chunks =
            parse_to_scratch(context, table, plan, users, items, first_row, end_row, progress);
      else
        parse_to_memory(context, table, plan, users, items, first_row, end_row, progress, input);
    });
    const bool users_failed = comm.any(users.failed);
    const bool items_failed = comm.any(items.failed);
    if (!users_failed && !items_failed) {
      if (spill)  // names alone, the values lie in scratch
        for (const Index column : plan.keep) input.kept.columns.push_back({table.columns.name(column), {}});
      return input;
    }
    users.text = users.text || users_failed;
    items.text = items.text || items_failed;
    users.failed = items.failed = false;
    input.kept = {};
    input.ratings.reserved.reset();
  }
}

}  // namespace firesteel
