// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>

#include "firesteel/core/error.hpp"
#include "firesteel/core/parameters.hpp"
#include "firesteel/io/column_selection.hpp"
#include "firesteel/io/hdf5_columns.hpp"
#include "firesteel/io/hdf5_data.hpp"
#include "firesteel/io/hdf5_handle.hpp"

namespace firesteel {

namespace {

using namespace hdf5;

/// Whole doubles up to here are themselves and no neighbour's rounding.
constexpr double kLargestWhole = 9007199254740992.0;

void set_rows(SourceFiles& files, const ReadOptions& options) {
  std::vector<Index> rows;
  for (Index file = 0; file < files.count(); ++file) {
    const Source& source = files.open(file);
    for (const auto& [name, option] : {std::pair(options.user, "--user"), std::pair(options.item, "--item")})
      if (!source.has(name))
        source.fail("no array '" + name + "' (" + option + "); the file holds " +
                    list_names(source.contents()));
    rows.push_back(source.array(options.user, 1).shape[0]);
  }
  files.set_rows(rows);
  if (files.rows() == 0) files.open(0).fail("'" + options.user + "' has no rows");
}

/// Ids as 64-bit whole numbers where every value of every rank is one, else as texts. Collective.
ColumnValues read_ids(Communicator& comm, const SourceFiles& files, const std::string& name, Index begin,
                      Index end) {
  ColumnKind kind = ColumnKind::integer;
  ColumnValues values = comm.collectively([&] {
    kind = check_column(files, name);
    return read_column(files, name, kind, begin, end);
  });
  if (kind == ColumnKind::integer) return values;
  std::vector<std::string> texts;
  std::vector<std::int64_t> integers;
  bool whole = true;
  comm.collectively([&] {
    if (const auto* numbers = std::get_if<std::vector<double>>(&values)) {
      for (const double value : *numbers) {
        texts.push_back(number_text(value));
        whole = whole && std::abs(value) <= kLargestWhole && value == std::floor(value);
        if (whole) integers.push_back(static_cast<std::int64_t>(value));
      }
    } else {
      texts = std::move(std::get<std::vector<std::string>>(values));
      for (const auto& text : texts) {
        const auto integer = whole ? parse_integer(text) : std::nullopt;
        whole = integer.has_value();
        if (whole) integers.push_back(*integer);
        if (!whole) break;
      }
    }
  });
  if (comm.any(!whole)) return texts;
  return integers;
}

std::vector<double> read_checked_ratings(const SourceFiles& files, const std::string& name, Index begin,
                                         Index end) {
  if (check_column(files, name) == ColumnKind::text)
    files.open(0).fail("expected '" + name + "' to hold numbers, found texts");
  auto ratings = read_numbers(files, name, begin, end);
  files.for_rows(begin, end, [&](const Source& source, Index first, Index rows, Index place) {
    for (Index row = 0; row < rows; ++row)
      if (const double value = ratings[static_cast<std::size_t>(place + row)]; !std::isfinite(value))
        source.fail("row " + std::to_string(first + row) + " of '" + name +
                        "': expected a finite number, got " + number_text(value),
                    first + row);
  });
  return ratings;
}

}  // namespace

RatingInput read_ratings_arrays(const Context& context, const ReadOptions& options,
                                const std::vector<std::string>& paths, OpenArrays open) {
  Communicator& comm = context.comm();
  const Quiet quiet;
  SourceFiles files(paths, open);
  comm.collectively([&] { set_rows(files, options); });
  RatingInput input{.ratings = {.context = context}, .kept = {}};
  Ratings& ratings = input.ratings;
  ratings.rows = files.rows();
  const auto cut = [&](int rank) {
    return ratings.rows / comm.size() * rank + std::min<Index>(rank, ratings.rows % comm.size());
  };
  ratings.first_row = cut(comm.rank());
  const Index end = cut(comm.rank() + 1);
  ratings.user_name = options.user;
  ratings.item_name = options.item;
  ratings.users = read_ids(comm, files, options.user, ratings.first_row, end);
  ratings.items = read_ids(comm, files, options.item, ratings.first_row, end);
  comm.collectively([&] {
    ratings.has_ratings = has_column(files, options.rating);
    const bool asked = options.rating != ReadOptions{}.rating;
    if (!ratings.has_ratings && asked && options.label_use != ReadOptions::Label::ignored)
      files.open(0).fail("no array '" + options.rating + "' (--rating)");
    if (ratings.has_ratings)
      ratings.ratings = read_checked_ratings(files, options.rating, ratings.first_row, end);
    for (const auto& name : options.keep) {
      if (!has_column(files, name)) files.open(0).fail("no array '" + name + "' (--keep)");
      input.kept.columns.push_back(
          {name, read_column(files, name, check_column(files, name), ratings.first_row, end)});
    }
  });
  return input;
}

}  // namespace firesteel
