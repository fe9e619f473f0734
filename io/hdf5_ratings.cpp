// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>

#include "firesteel/core/error.hpp"
#include "firesteel/core/parameters.hpp"
#include "firesteel/core/rating_chunks.hpp"
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

/// Ids of one kind of column as they are used, one way or another: whole numbers where every value of every
/// rank is one, else texts. Nothing where `whole` is wanted and one is none.
std::optional<ColumnValues> ids_of(ColumnValues values, bool whole) {
  if (std::holds_alternative<std::vector<std::int64_t>>(values)) return values;
  std::vector<std::int64_t> integers;
  if (auto* texts = std::get_if<std::vector<std::string>>(&values)) {
    if (!whole) return std::move(*texts);
    for (const auto& text : *texts) {
      const auto integer = parse_integer(text);
      if (!integer) return std::nullopt;
      integers.push_back(*integer);
    }
    return integers;
  }
  const auto& numbers = std::get<std::vector<double>>(values);
  std::vector<std::string> texts;
  for (const double value : numbers) {
    if (!whole) {
      texts.push_back(number_text(value));
    } else {
      if (!(std::abs(value) <= kLargestWhole) || value != std::floor(value)) return std::nullopt;
      integers.push_back(static_cast<std::int64_t>(value));
    }
  }
  if (!whole) return texts;
  return integers;
}

/// Reads ids of a column by and by.
class IdReader {
 public:
  /// Looks at all values of all ranks where the column holds no whole numbers as such. Collective.
  IdReader(Communicator& comm, const SourceFiles& files, std::string name, Index begin, Index end)
      : files_(files), name_(std::move(name)) {
    bool whole = true;
    comm.collectively([&] {
      kind_ = check_column(files_, name_);
      if (kind_ == ColumnKind::integer) return;
      for (Index first = begin; first < end && whole; first += RatingChunks::kRows)
        whole =
            ids_of(read_column(files_, name_, kind_, first, std::min(end, first + RatingChunks::kRows)), true)
                .has_value();
    });
    whole_ = !comm.any(!whole);
  }
  bool text() const { return !whole_; }
  /// Local.
  ColumnValues read(Index begin, Index end) const {
    return *ids_of(read_column(files_, name_, kind_, begin, end), whole_);
  }

 private:
  const SourceFiles& files_;
  std::string name_;
  ColumnKind kind_ = ColumnKind::integer;
  bool whole_ = true;
};

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
  const IdReader users(comm, files, options.user, ratings.first_row, end);
  const IdReader items(comm, files, options.item, ratings.first_row, end);
  const bool text_ids = users.text() || items.text();
  const Index own = end - ratings.first_row;
  const bool spill = options.ratings_in_scratch && ratings_spill(context, own, text_ids, options.keep.size());
  comm.collectively([&] {
    ratings.has_ratings = has_column(files, options.rating);
    const bool asked = options.rating != ReadOptions{}.rating;
    if (!ratings.has_ratings && asked && options.label_use != ReadOptions::Label::ignored)
      files.open(0).fail("no array '" + options.rating + "' (--rating)");
    const auto values = [&](Index from, Index to) {
      return ratings.has_ratings ? read_checked_ratings(files, options.rating, from, to)
                                 : std::vector<double>();
    };
    for (const auto& name : options.keep)
      if (!has_column(files, name)) files.open(0).fail("no array '" + name + "' (--keep)");
    const auto kept = [&](const std::string& name, Index from, Index to) {
      return read_column(files, name, check_column(files, name), from, to);
    };
    if (spill) {
      const auto chunks = std::make_shared<RatingChunks>(context.scratch());
      for (Index first = ratings.first_row; first < end; first += RatingChunks::kRows) {
        const Index stop = std::min(end, first + RatingChunks::kRows);
        std::vector<ColumnValues> beside;
        for (const auto& name : options.keep) beside.push_back(kept(name, first, stop));
        chunks->put(first - ratings.first_row, users.read(first, stop), items.read(first, stop),
                    values(first, stop), beside);
      }
      chunks->finish();
      ratings.chunks = chunks;
    } else {
      ratings.reserved = reserve_ratings(context, own, text_ids);
      ratings.users = users.read(ratings.first_row, end);
      ratings.items = items.read(ratings.first_row, end);
      ratings.ratings = values(ratings.first_row, end);
    }
    for (const auto& name : options.keep)
      input.kept.columns.push_back({name, spill ? ColumnValues() : kept(name, ratings.first_row, end)});
  });
  return input;
}

}  // namespace firesteel
