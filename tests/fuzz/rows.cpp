// SPDX-License-Identifier: Apache-2.0
#include "rows.hpp"

#include <cstdlib>

#include "support.hpp"

namespace firesteel::fuzz {

namespace {

/// The ranks' texts, one after the other.
std::string joined(Communicator& comm, const std::string& own) {
  if (comm.size() == 1) return own;
  std::string all;
  for (const auto& part : comm.allgather_texts(std::vector<std::string>{own})) all += part;
  return all;
}

void append_value(std::string& out, const ColumnValues& column, Index row) {
  std::visit(
      [&](const auto& values) {
        if (static_cast<std::size_t>(row) >= values.size()) return;
        using Value = typename std::decay_t<decltype(values)>::value_type;
        const auto& value = values[static_cast<std::size_t>(row)];
        if constexpr (std::is_same_v<Value, double>)
          append_bits(out, value);
        else if constexpr (std::is_same_v<Value, std::string>)
          out += "'" + value + "' ";
        else
          out += std::to_string(value) + " ";
      },
      column);
}

void append_features(std::string& out, const RowBlocks& rows, Index row) {
  std::visit(
      [&](const auto& storage) {
        if constexpr (requires { storage.row_begin; }) {
          const auto indices = storage.row_indices(row);
          for (std::size_t i = 0; i < indices.size(); ++i) {
            if (indices[i] < 0 || indices[i] >= storage.columns()) broken("an index out of range");
            out += std::to_string(indices[i]) + ":";
            append_bits(out, static_cast<double>(storage.row_values(row)[i]));
          }
        } else {
          for (Index column = 0; column < storage.columns(); ++column)
            append_bits(out, static_cast<double>(storage.at(row, column)));
        }
      },
      rows.features);
}

void append_kept(std::string& out, const ColumnTable& kept, Index row) {
  for (const auto& column : kept.columns) append_value(out, column.values, row);
}

/// Runs `read` as the reference and then as it is tested.
std::string both_ways(std::size_t piece_bytes, FunctionRef<std::string(const Context&)> read) {
  ::setenv("FIRESTEEL_PIECE_BYTES", "1048576", 1);
  std::string expected = outcome([&] { return read(alone()); });
  expected += take_warnings();
  ::setenv("FIRESTEEL_PIECE_BYTES", std::to_string(piece_bytes).c_str(), 1);
  std::string found = outcome([&] { return read(everyone()); });
  found += take_warnings();
  require_equal("read in pieces of " + std::to_string(piece_bytes) + " bytes", expected, found);
  return expected;
}

}  // namespace

std::string text_of(const RowInput& input) {
  const RowBlocks& rows = input.rows;
  const Index local = rows.local_rows();
  std::string own;
  for (Index row = 0; row < local; ++row) {
    append_features(own, rows, row);
    own += "| ";
    append_value(own, rows.labels, row);
    if (!rows.weights.empty()) append_bits(own, rows.weights[static_cast<std::size_t>(row)]);
    if (!rows.dropped.empty() && rows.dropped[static_cast<std::size_t>(row)] != 0) own += "dropped ";
    append_kept(own, input.kept, row);
    own += '\n';
  }
  std::string text = std::to_string(rows.partition.rows()) + " rows, " + std::to_string(rows.rows_used) +
                     " used, " + std::to_string(rows.columns()) + " columns:";
  for (const auto& name : rows.schema.names) text += " '" + name + "'";
  for (const double mean : rows.schema.missing_means) append_bits(text, mean);
  return text + '\n' + joined(rows.context.comm(), own);
}

std::string text_of(const RatingInput& input) {
  const Ratings& ratings = input.ratings;
  std::string own;
  for (Index row = 0; row < column_size(ratings.users); ++row) {
    append_value(own, ratings.users, row);
    append_value(own, ratings.items, row);
    if (ratings.has_ratings) append_bits(own, ratings.ratings.at(static_cast<std::size_t>(row)));
    append_kept(own, input.kept, row);
    own += '\n';
  }
  return std::to_string(ratings.rows) + " ratings of " + ratings.user_name + " and " + ratings.item_name +
         '\n' + joined(ratings.context.comm(), own);
}

std::string read_rows_both_ways(const ReadOptions& options, std::size_t piece_bytes) {
  return both_ways(piece_bytes, [&](const Context& context) { return text_of(read_rows(context, options)); });
}

std::string read_ratings_both_ways(const ReadOptions& options, std::size_t piece_bytes) {
  return both_ways(piece_bytes,
                   [&](const Context& context) { return text_of(read_ratings(context, options)); });
}

}  // namespace firesteel::fuzz
