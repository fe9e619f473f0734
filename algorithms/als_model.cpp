// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <numeric>

#include "firesteel/algorithms/als.hpp"
#include "firesteel/algorithms/als_blocks.hpp"
#include "firesteel/algorithms/als_ranking.hpp"
#include "firesteel/core/check_rows.hpp"
#include "firesteel/core/parallel.hpp"
#include "firesteel/core/rating_chunks.hpp"

namespace firesteel {

namespace {

constexpr Index kPredictRows = 4096;  // rows a task

constexpr std::size_t at(Index i) { return static_cast<std::size_t>(i); }

template <class Id>
RecordArray<Id> id_array(const std::vector<Id>& ids) {
  return {{static_cast<Index>(ids.size())}, ids};
}

template <class Id>
IdList checked_ids(const Record& record, std::string_view name) {
  const auto& array = record.get<RecordArray<Id>>(name);
  const bool ascending = std::adjacent_find(array.values.begin(), array.values.end(),
                                            std::greater_equal<Id>()) == array.values.end();
  if (array.shape.size() != 1 || array.values.empty() || !ascending)
    throw bad_input(std::string(name) + ": expected a list of ascending ids, the model is damaged");
  return array.values;
}

IdList ids_from_record(const Record& record, std::string_view name) {
  for (const auto& [entry, value] : record.entries())
    if (entry == name && std::holds_alternative<RecordArray<std::string>>(value))
      return checked_ids<std::string>(record, name);
  return checked_ids<std::int64_t>(record, name);
}

/// The rows of a column that are kept.
ColumnValues select(const ColumnValues& column, const std::vector<std::size_t>& rows) {
  return std::visit(
      [&](const auto& values) -> ColumnValues {
        std::remove_cvref_t<decltype(values)> kept;
        kept.reserve(rows.size());
        for (const std::size_t r : rows) kept.push_back(values[r]);
        return kept;
      },
      column);
}

/// What is to be appended becomes the column where that has nothing yet.
void append(ColumnValues& column, ColumnValues more) {
  if (column_size(column) == 0) {
    column = std::move(more);
    return;
  }
  std::visit(
      [&](auto& values) {
        auto& from = std::get<std::remove_cvref_t<decltype(values)>>(more);
        values.insert(values.end(), std::make_move_iterator(from.begin()),
                      std::make_move_iterator(from.end()));
      },
      column);
}

/// Models of builds that had one solver do not name it.
Record with_solver(const Record& record) {
  Record completed = record;
  const auto complete = [&](const char* name, RecordValue value) {
    const auto& entries = record.entries();
    if (std::none_of(entries.begin(), entries.end(), [&](const auto& entry) { return entry.first == name; }))
      completed.set(name, std::move(value));
  };
  complete("parameters/solver", std::string("cholesky"));
  complete("parameters/cg_steps", Als{}.cg_steps);
  return completed;
}

}  // namespace

void AlsModel::to_record(Record& record) const {
  Als described = parameters;
  parameters_to_record(described, record);
  record.set("block_rows", kEntityBlockRows);
  record.set("num_ratings", num_ratings);
  record.set("user_name", user_name);
  record.set("item_name", item_name);
  std::visit([&](const auto& ids) { record.set("user_ids", id_array(ids)); }, user_ids);
  std::visit([&](const auto& ids) { record.set("item_ids", id_array(ids)); }, item_ids);
  record.set_matrix("user_factors", num_users(), parameters.rank, user_factors);
  record.set_matrix("item_factors", num_items(), parameters.rank, item_factors);
}

AlsModel AlsModel::from_record(const Record& record) {
  AlsModel model;
  parameters_from_record(model.parameters, with_solver(record));
  try {
    validate_parameters(model.parameters);
  } catch (const Error& error) {
    throw bad_input(std::string(error.what()) + ": the model is damaged");  // not the caller's words
  }
  model.num_ratings = record.get<std::int64_t>("num_ratings");
  model.user_name = record.get<std::string>("user_name");
  model.item_name = record.get<std::string>("item_name");
  model.user_ids = ids_from_record(record, "user_ids");
  model.item_ids = ids_from_record(record, "item_ids");
  model.user_factors = record.matrix("user_factors", model.num_users(), model.parameters.rank).values;
  model.item_factors = record.matrix("item_factors", model.num_items(), model.parameters.rank).values;
  return model;
}

void AlsModel::describe_scoring(ParameterVisitor& visitor) {
  visitor.choice("cold_start_strategy", parameters.cold_start_strategy, {"nan", "drop"},
                 "prediction for an unknown user or item: NaN, or leave the row out");
}

std::vector<double> AlsModel::predictions(const Ratings& data) const {
  const FloatEnvironment environment;
  check_lengths(data);
  const int threads = data.context.threads();
  const auto users = find_ids(user_ids, data.users, threads);
  const auto items = find_ids(item_ids, data.items, threads);
  const Index rank = parameters.rank;
  std::vector<double> predicted(users.size(), std::numeric_limits<double>::quiet_NaN());
  const auto rows = static_cast<Index>(users.size());
  parallel_for(threads, (rows + kPredictRows - 1) / kPredictRows, [&](Index task, int) {
    for (Index r = task * kPredictRows; r < std::min(rows, (task + 1) * kPredictRows); ++r) {
      if (users[at(r)] < 0 || items[at(r)] < 0) continue;
      const double* u = user_factors.data() + users[at(r)] * rank;
      const double* v = item_factors.data() + items[at(r)] * rank;
      double sum = 0;
      for (Index j = 0; j < rank; ++j) sum += u[j] * v[j];
      predicted[at(r)] = sum;
    }
  });
  return predicted;
}

ColumnTable AlsModel::predict(const Ratings& data) const {
  const FloatEnvironment environment;
  return data.context.comm().collectively([&]() -> ColumnTable {
    ColumnTable table{{{data.user_name, {}}, {data.item_name, {}}, {"prediction", {}}}};
    const auto append_predictions = [&](const Ratings& ratings) {
      auto predicted = predictions(ratings);
      if (parameters.cold_start_strategy == "drop") {
        std::vector<std::size_t> known;
        for (std::size_t r = 0; r < predicted.size(); ++r)
          if (!std::isnan(predicted[r])) known.push_back(r);
        append(table.columns[0].values, select(ratings.users, known));
        append(table.columns[1].values, select(ratings.items, known));
        append(table.columns[2].values, select(std::move(predicted), known));
      } else {
        append(table.columns[0].values, ratings.users);
        append(table.columns[1].values, ratings.items);
        append(table.columns[2].values, std::move(predicted));
      }
    };
    for_each_chunk(data, append_predictions);
    return table;
  });
}

ColumnTable AlsModel::recommend(const Context& context, Index top, bool for_items) const {
  const FloatEnvironment environment;
  return context.comm().collectively([&]() -> ColumnTable {
    if (top < 1) throw bad_parameter("--top: expected a whole number >= 1, got " + std::to_string(top));
    const Index queries = for_items ? num_items() : num_users();
    const auto partition = BlockPartition::even(queries, kEntityBlockRows, context.size());
    std::vector<std::int32_t> which(at(partition.local_rows(context.rank())));
    std::iota(which.begin(), which.end(), static_cast<std::int32_t>(partition.first_row(context.rank())));
    const BestMatches best = best_matches(for_items ? item_factors : user_factors, which,
                                          pack_candidates(for_items ? user_factors : item_factors,
                                                          parameters.rank, static_cast<Index>(which.size())),
                                          top, context.threads());
    std::vector<std::int32_t> repeated;
    repeated.reserve(best.positions.size());
    for (const std::int32_t query : which) repeated.insert(repeated.end(), at(best.count), query);
    return {{{user_name, ids_at(user_ids, for_items ? best.positions : repeated)},
             {item_name, ids_at(item_ids, for_items ? repeated : best.positions)},
             {"prediction", best.scores}}};
  });
}

}  // namespace firesteel
