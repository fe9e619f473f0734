// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>

#include "firesteel/core/parameters.hpp"
#include "firesteel/io/csv_fields.hpp"
#include "firesteel/io/table_view.hpp"

namespace firesteel {

namespace {

std::size_t size(Index i) { return static_cast<std::size_t>(i); }

using Doubles = std::vector<double>;
using Integers = std::vector<std::int64_t>;
using Texts = std::vector<std::string>;

/// Ids as whole numbers where every one of every rank is written as one, else as texts. Collective.
ColumnValues ids_of(Communicator& comm, ColumnValues values) {
  if (auto* numbers = std::get_if<Doubles>(&values)) {
    Texts texts;
    for (const double value : *numbers) texts.push_back(number_text(value));
    values = std::move(texts);
  }
  auto* texts = std::get_if<Texts>(&values);
  const bool other =
      texts != nullptr && std::any_of(texts->begin(), texts->end(),
                                      [](const std::string& text) { return !field_to_whole(text); });
  if (comm.any(other) || texts == nullptr) return values;
  Integers whole;
  for (const auto& text : *texts) whole.push_back(*field_to_whole(text));
  return whole;
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
  std::vector<ColumnValues> own;
  comm.collectively([&] {
    const auto rows = size(end_row - ratings.first_row);
    for (const auto& each : wanted) {
      if (view.kind(each.column) == TableKind::text)
        own.emplace_back(Texts(rows));
      else if (view.kind(each.column) == TableKind::whole && each.want == TableWant::as_it_is)
        own.emplace_back(Integers(rows));
      else
        own.emplace_back(Doubles(rows));
    }
    read_table_rows(context, table, view, ratings.first_row, end_row, wanted,
                    [&](const TablePart& part, Index row, Index from, Index count,
                        const std::vector<TableValues>& values) {
                      for (std::size_t c = 0; c < wanted.size(); ++c)
                        std::visit(
                            [&](auto& column) {
                              const auto& source = std::get<std::decay_t<decltype(column)>>(values[c].values);
                              for (Index i = 0; i < count; ++i) {
                                const bool kept = c >= 2 + (ratings.has_ratings ? 1U : 0U);
                                bool bad = missing_at(values[c], from + i);
                                if constexpr (std::is_same_v<std::decay_t<decltype(column)>, Doubles>)
                                  bad = bad || !std::isfinite(source[size(from + i)]);
                                if (bad && !kept)
                                  throw bad_input(table.where(part, row + i) + ": expected " +
                                                      (c < 2 ? "an id" : "a finite number as rating") +
                                                      " (column '" + names[c] + "')",
                                                  {part.file, row + i});
                                if (!missing_at(values[c], from + i))
                                  column[size(row + i - ratings.first_row)] = source[size(from + i)];
                              }
                            },
                            own[c]);
                    });
  });
  ratings.user_name = names[0];
  ratings.item_name = names[1];
  ratings.users = ids_of(comm, std::move(own[0]));
  ratings.items = ids_of(comm, std::move(own[1]));
  std::size_t next = 2;
  if (ratings.has_ratings) ratings.ratings = std::get<Doubles>(std::move(own[next++]));
  for (; next < own.size(); ++next) input.kept.columns.push_back({names[next], std::move(own[next])});
  return input;
}

}  // namespace firesteel
