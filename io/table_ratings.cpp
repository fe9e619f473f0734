// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <atomic>
#include <cmath>
#include <memory>

#include "firesteel/core/parameters.hpp"
#include "firesteel/core/rating_chunks.hpp"
#include "firesteel/io/csv_fields.hpp"
#include "firesteel/io/table_view.hpp"

namespace firesteel {

namespace {

std::size_t size(Index i) { return static_cast<std::size_t>(i); }

using Doubles = std::vector<double>;
using Integers = std::vector<std::int64_t>;
using Texts = std::vector<std::string>;

void numbers_to_texts(ColumnValues& values) {
  const auto* numbers = std::get_if<Doubles>(&values);
  if (numbers == nullptr) return;
  Texts texts;
  for (const double value : *numbers) texts.push_back(number_text(value));
  values = std::move(texts);
}

bool all_whole(const ColumnValues& values) {
  const auto* texts = std::get_if<Texts>(&values);
  return texts == nullptr || std::all_of(texts->begin(), texts->end(), [](const std::string& text) {
           return field_to_whole(text).has_value();
         });
}

void texts_to_whole(ColumnValues& values) {
  const auto* texts = std::get_if<Texts>(&values);
  if (texts == nullptr) return;
  Integers whole;
  for (const auto& text : *texts) whole.push_back(*field_to_whole(text));
  values = std::move(whole);
}

/// Ids as whole numbers where every one of every rank is written as one, else as texts. Collective.
ColumnValues ids_of(Communicator& comm, ColumnValues values) {
  numbers_to_texts(values);
  if (!comm.any(!all_whole(values))) texts_to_whole(values);
  return values;
}

/// The columns that ratings are read from.
struct RatingColumns {
  const Table& table;
  const TableView& view;
  const std::vector<WantedColumn>& wanted;
  const std::vector<std::string>& names;
  std::size_t needed;  ///< of them: those that must have a value in every row

  ColumnValues column(std::size_t c, Index rows) const {
    if (view.kind(wanted[c].column) == TableKind::text) return Texts(size(rows));
    if (view.kind(wanted[c].column) == TableKind::whole && wanted[c].want == TableWant::as_it_is)
      return Integers(size(rows));
    return Doubles(size(rows));
  }

  /// Copies rows of a part to row `to` on of `out`, checked.
  void copy(const TablePart& part, Index row, Index from, Index count, const std::vector<TableValues>& values,
            Index to, std::vector<ColumnValues>& out) const {
    for (std::size_t c = 0; c < wanted.size(); ++c)
      std::visit(
          [&](auto& column) {
            const auto& source = std::get<std::decay_t<decltype(column)>>(values[c].values);
            for (Index i = 0; i < count; ++i) {
              bool bad = missing_at(values[c], from + i);
              if constexpr (std::is_same_v<std::decay_t<decltype(column)>, Doubles>)
                bad = bad || !std::isfinite(source[size(from + i)]);
              if (bad && c < needed)
                throw bad_input(table.where(part, row + i) + ": expected " +
                                    (c < 2 ? "an id" : "a finite number as rating") + " (column '" +
                                    names[c] + "')",
                                {part.file, row + i});
              if (!missing_at(values[c], from + i)) column[size(to + i)] = source[size(from + i)];
            }
          },
          out[c]);
  }
};

/// What is read at once is a chunk. A first pass finds out whether ids are whole numbers. Collective.
std::shared_ptr<const RatingChunks> read_to_scratch(const Context& context, const RatingColumns& columns,
                                                    Index first_row, Index end_row) {
  Communicator& comm = context.comm();
  const auto pass = [&](const auto& take) {
    comm.collectively([&] {
      const auto reading =
          plan_reading(context, columns.table, 2 * static_cast<Index>(columns.wanted.size()));
      read_table_rows(context, columns.table, columns.view, reading, first_row, end_row, columns.wanted,
                      [&](const TablePart& part, Index row, Index from, Index count,
                          const std::vector<TableValues>& values) {
                        std::vector<ColumnValues> own;
                        for (std::size_t c = 0; c < columns.wanted.size(); ++c)
                          own.push_back(columns.column(c, count));
                        columns.copy(part, row, from, count, values, 0, own);
                        for (const std::size_t c : {0, 1}) numbers_to_texts(own[c]);
                        take(row - first_row, own);
                      });
    });
  };
  std::atomic<bool> other[2] = {false, false};
  const auto is_whole = [&](std::size_t c) {
    return columns.view.kind(columns.wanted[c].column) == TableKind::whole;
  };
  if (!is_whole(0) || !is_whole(1))
    pass([&](Index, const std::vector<ColumnValues>& own) {
      for (const std::size_t c : {0, 1})
        if (!all_whole(own[c])) other[c].store(true, std::memory_order_relaxed);
    });
  const bool texts[2] = {comm.any(other[0]), comm.any(other[1])};
  const auto chunks = comm.collectively([&] { return std::make_shared<RatingChunks>(context.scratch()); });
  pass([&](Index first, std::vector<ColumnValues>& own) {
    for (const std::size_t c : {0, 1})
      if (!texts[c]) texts_to_whole(own[c]);
    chunks->put(first, own[0], own[1], columns.needed > 2 ? std::get<Doubles>(own[2]) : Doubles(),
                {own.begin() + static_cast<std::ptrdiff_t>(columns.needed), own.end()});
  });
  chunks->finish();
  return chunks;
}

}  // namespace

RatingInput read_ratings_table(const Context& context, const ReadOptions& options, const Table& table) {
  Communicator& comm = context.comm();
  RatingInput input{.ratings = {.context = context, .rows = table.rows()}, .kept = {}};
  Ratings& ratings = input.ratings;
  std::vector<WantedColumn> wanted;
  std::vector<std::string> names;
  const TableView view = comm.collectively([&] {
    TableView made(table);
    if (ratings.rows == 0) throw bad_input(table.paths.front() + " has no rows");
    wanted.push_back({require_column(made.columns, options.user, "--user"), TableWant::as_it_is});
    wanted.push_back({require_column(made.columns, options.item, "--item"), TableWant::as_it_is});
    auto rating = find_column(made.columns, options.rating);
    const bool asked = options.rating != ReadOptions{}.rating;
    if (!rating && asked && options.label_use != ReadOptions::Label::ignored)
      rating = require_column(made.columns, options.rating, "--rating");
    ratings.has_ratings = rating.has_value();
    if (rating && made.is_text[size(*rating)])
      throw bad_input("--rating: column '" + options.rating + "' of " + made.columns.source +
                      " holds no numbers");
    if (rating) wanted.push_back({*rating, TableWant::doubles});
    for (const Index column : expand_columns(made.columns, options.keep, "--keep"))
      wanted.push_back({column, TableWant::as_it_is});
    for (const auto& each : wanted) {
      made.require_values(each.column, "--user, --item, --keep");
      names.push_back(made.columns.name(each.column));
    }
    return made;
  });
  ratings.first_row = ratings.rows * comm.rank() / comm.size();
  const Index end_row = ratings.rows * (comm.rank() + 1) / comm.size();
  ratings.user_name = names[0];
  ratings.item_name = names[1];
  const RatingColumns columns{table, view, wanted, names, ratings.has_ratings ? 3U : 2U};
  const Index rows = end_row - ratings.first_row;
  const bool text_ids =
      view.kind(wanted[0].column) != TableKind::whole || view.kind(wanted[1].column) != TableKind::whole;
  const std::size_t kept = wanted.size() - columns.needed;
  if (options.ratings_in_scratch && ratings_spill(context, rows, text_ids, kept)) {
    ratings.chunks = read_to_scratch(context, columns, ratings.first_row, end_row);
    for (std::size_t c = columns.needed; c < wanted.size(); ++c) input.kept.columns.push_back({names[c], {}});
    return input;
  }
  std::vector<ColumnValues> own;
  comm.collectively([&] {
    ratings.reserved = reserve_ratings(context, rows, text_ids);
    const auto reading = plan_reading(context, table, static_cast<Index>(wanted.size()));
    for (std::size_t c = 0; c < wanted.size(); ++c) own.push_back(columns.column(c, rows));
    read_table_rows(context, table, view, reading, ratings.first_row, end_row, wanted,
                    [&](const TablePart& part, Index row, Index from, Index count,
                        const std::vector<TableValues>& values) {
                      columns.copy(part, row, from, count, values, row - ratings.first_row, own);
                    });
  });
  ratings.users = ids_of(comm, std::move(own[0]));
  ratings.items = ids_of(comm, std::move(own[1]));
  std::size_t next = 2;
  if (ratings.has_ratings) ratings.ratings = std::get<Doubles>(std::move(own[next++]));
  for (; next < own.size(); ++next) input.kept.columns.push_back({names[next], std::move(own[next])});
  return input;
}

}  // namespace firesteel
