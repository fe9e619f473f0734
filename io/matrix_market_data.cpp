// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <charconv>
#include <utility>

#include "firesteel/core/error.hpp"
#include "firesteel/core/rating_chunks.hpp"
#include "firesteel/io/csv_fields.hpp"
#include "firesteel/io/entry_rows.hpp"
#include "firesteel/io/matrix_market.hpp"
#include "firesteel/io/number_reading.hpp"
#include "firesteel/io/read_text.hpp"
#include "firesteel/io/text_index.hpp"

namespace firesteel {

namespace {

using Symmetry = MatrixMarketHeader::Symmetry;

constexpr Index kMostEmpty = Index{1} << 24;
constexpr Index kMostEmptyPerByte = 64;

std::size_t size(Index i) { return static_cast<std::size_t>(i); }

/// Matrix Market files after the first sweep. Replicated.
struct MatrixMarketText {
  TextFiles files;
  TextIndex index;
  std::vector<MatrixMarketHeader> headers;
  std::vector<Index> first_line;    ///< of the data of a file, in the index's numbering of lines
  std::vector<Index> first_record;  ///< of a file, over all files; one more at the end
  std::vector<Index> first_row;     ///< likewise

  Error error(const TextExtent& extent, Index offset, const std::string& message) const {
    const Index place = extent.begin + offset;
    return bad_input(files.path(extent.file) + ":" +
                         std::to_string(line_of(files, index, extent.file, place)) + ": " + message,
                     {extent.file, place});
  }
};

MatrixMarketHeader read_header(const TextFiles& files, Index file) {
  constexpr Index kMostHeaderBytes = Index{1} << 20;
  TextReader reader(files);
  const auto text = reader.read(file, 0, std::min(files.size(file), kMostHeaderBytes));
  try {
    return parse_matrix_market({text.data(), text.size()});
  } catch (const Error& error) {
    throw bad_input(files.path(file) + ": " + error.what(), {file, 0});
  }
}

MatrixMarketText open_matrix_market(const Context& context, const std::vector<std::string>& paths) {
  Communicator& comm = context.comm();
  MatrixMarketText text;
  text.files = open_text_files(context, paths);
  text.index = index_text(context, text.files, {.delimiter = ' ', .blank_runs = true, .quotes = false});
  comm.collectively([&] {
    if (comm.rank() == 0)
      for (Index file = 0; file < text.files.count(); ++file)
        text.headers.push_back(read_header(text.files, file));
    text.headers.resize(text.files.paths.size());
  });
  comm.broadcast(std::span(text.headers), 0);
  comm.collectively([&] {
    text.first_record.push_back(0);
    text.first_row.push_back(0);
    Index lines = 0;
    for (Index file = 0; file < text.files.count(); ++file) {
      const MatrixMarketHeader& header = text.headers[size(file)];
      const MatrixMarketHeader& first = text.headers.front();
      const auto fail = [&](const std::string& what) {
        throw bad_input(text.files.path(file) + ": " + what, {file, 0});
      };
      const Index found = text.index.file_rows[size(file)] - header.header_records;
      if (found != header.records)
        fail("expected " + std::to_string(header.records) + " lines of values, as its header says, found " +
             std::to_string(found) + (found < header.records ? ": it is cut short" : ""));
      if (header.columns < 1) fail("the matrix has no columns");
      // Empty rows and columns cost memory, which a claim alone must not.
      const Index most = kMostEmpty + kMostEmptyPerByte * text.files.size(file);
      if (header.rows > most || header.columns > most)
        fail("a matrix of " + std::to_string(header.rows) + " x " + std::to_string(header.columns) +
             ", more than a file of this size can use: at most " + std::to_string(most) + " of either");
      if (header.columns != first.columns || header.coordinate != first.coordinate)
        fail("a matrix of " + std::to_string(header.columns) + (header.coordinate ? " sparse" : " dense") +
             " columns, but " + text.files.path(0) + " has " + std::to_string(first.columns) +
             (first.coordinate ? " sparse" : " dense") + " ones: all files must have the same columns");
      text.first_line.push_back(lines + header.header_records);
      lines += text.index.file_rows[size(file)];
      text.first_record.push_back(text.first_record.back() + header.records);
      text.first_row.push_back(text.first_row.back() + header.rows);
    }
  });
  return text;
}

/// Parses the lines of one file's values.
class EntryParser {
 public:
  EntryParser(const MatrixMarketText& text, Index file) : text_(text), header_(text.headers[size(file)]) {}

  /// The entry at p, `number` within the file; moves p past its line.
  MatrixEntry entry(const TextExtent& extent, const char* text, const char*& p, const char* text_end,
                    Index number) const {
    MatrixEntry entry{.row = 0, .column = 0, .value = 1};
    const auto skip_blanks = [&] {
      while (*p == ' ' || *p == '\t' || *p == '\r') ++p;
    };
    const auto fail = [&](const std::string& expected) {
      const char* end = p;
      while (*end != '\n' && *end != ' ' && *end != '\t' && *end != '\r') ++end;
      throw text_.error(extent, p - text,
                        "expected " + expected + ", got " +
                            (end == p ? "nothing" : "'" + std::string(p, std::min(end, p + 80)) + "'"));
    };
    const auto index = [&](Index most, const std::string& what) {
      skip_blanks();
      Index value = 0;
      const auto [end, code] = std::from_chars(p, text_end, value);
      if (code != std::errc() || value < 1 || value > most)
        fail("a " + what + ", 1 … " + std::to_string(most));
      p = end;
      return value - 1;
    };
    if (header_.coordinate) {
      entry.row = index(header_.rows, "row");
      entry.column = index(header_.columns, "column");
      if (header_.symmetry != Symmetry::general && entry.column > entry.row)
        throw text_.error(extent, p - text,
                          "an entry above the diagonal of a matrix that is stored below it");
    } else {
      place(number, entry);
    }
    if (!header_.pattern) {
      skip_blanks();
      const char* end = read_number(p, text_end, entry.value);
      if (end == nullptr) fail("a number");
      p = end;
    }
    skip_blanks();
    if (*p != '\n') fail("the end of the line");
    ++p;
    return entry;
  }

  bool mirrored(const MatrixEntry& entry) const {
    return header_.symmetry != Symmetry::general && entry.row != entry.column;
  }
  double mirrored_value(double value) const {
    return header_.symmetry == Symmetry::skew_symmetric ? -value : value;
  }

 private:
  /// Row and column of the number-th value of an array, column by column, on and below the diagonal only
  /// where the matrix is symmetric.
  void place(Index number, MatrixEntry& entry) const {
    if (header_.symmetry == Symmetry::general) {
      entry.row = number % header_.rows;
      entry.column = number / header_.rows;
      return;
    }
    const Index skip = header_.symmetry == Symmetry::skew_symmetric ? 1 : 0;
    // Column j begins at j · (n − skip) − j · (j − 1) / 2.
    Index low = 0;
    Index high = header_.columns - 1;
    const auto begin = [&](Index j) { return j * (header_.rows - skip) - j * (j - 1) / 2; };
    while (low < high) {
      const Index middle = (low + high + 1) / 2;
      if (begin(middle) <= number)
        low = middle;
      else
        high = middle - 1;
    }
    entry.column = low;
    entry.row = low + skip + (number - begin(low));
  }

  const MatrixMarketText& text_;
  const MatrixMarketHeader& header_;
};

/// Calls body(thread, parser, extent, text, p, text_end, file, record) for this rank's share of the records.
template <class Body>
void for_own_records(const Context& context, const MatrixMarketText& text, Body&& body) {
  const Index records = text.first_record.back();
  const Index begin = records * context.rank() / context.size();
  const Index end = records * (context.rank() + 1) / context.size();
  ReadProgress progress(context, true, 0);
  for (Index file = 0; file < text.files.count(); ++file) {
    const Index file_first = text.first_record[size(file)];
    const Index first = std::max(begin, file_first);
    const Index stop = std::min(end, text.first_record[size(file) + 1]);
    if (first >= stop) continue;
    const EntryParser parser(text, file);
    const Index shift = text.first_line[size(file)] - file_first;
    parse_records(context, text.files, text.index, first + shift, stop + shift, progress,
                  [&](int thread, const TextExtent& extent, const char* bytes, const char* p,
                      const char* text_end, Index line) {
                    const Index record = line - shift;
                    const MatrixEntry entry = parser.entry(extent, bytes, p, text_end, record - file_first);
                    body(thread, parser, extent, p - bytes - 1, file, record - begin, entry);
                    return p;
                  });
  }
}

}  // namespace

RowInput read_rows_matrix_market(const Context& context, const ReadOptions& options,
                                 const std::vector<std::string>& paths) {
  const MatrixMarketText text = open_matrix_market(context, paths);
  const MatrixMarketHeader& first = text.headers.front();
  const EntryMatrix matrix{.source = text.files.path(0),
                           .rows = text.first_row.back(),
                           .columns = first.columns,
                           .sparse = first.coordinate,
                           .names = {}};
  const bool mirrored = std::any_of(text.headers.begin(), text.headers.end(),
                                    [](const auto& header) { return header.symmetry != Symmetry::general; });
  EntryPile pile(context, text.first_record.back() * (mirrored ? 2 : 1) / context.size() + 1);
  context.comm().collectively([&] {
    constexpr std::size_t kPartEntries = 65536;
    std::vector<std::vector<MatrixEntry>> parts(size(context.threads()));
    for_own_records(context, text,
                    [&](int thread, const EntryParser& parser, const TextExtent& extent, Index offset,
                        Index file, Index, MatrixEntry entry) {
                      const std::string fault = fault_of_value(entry.value, options, matrix.sparse);
                      if (!fault.empty()) throw text.error(extent, offset, fault);
                      auto& part = parts[size(thread)];
                      const Index above = text.first_row[size(file)];
                      if (parser.mirrored(entry))
                        part.push_back({entry.column + above, entry.row, parser.mirrored_value(entry.value)});
                      part.push_back({entry.row + above, entry.column, entry.value});
                      if (part.size() >= kPartEntries) pile.add(std::exchange(part, {}));
                    });
    // A skew-symmetric array leaves its diagonal out.
    for (Index file = context.rank(); file < text.files.count(); file += context.size()) {
      const MatrixMarketHeader& header = text.headers[size(file)];
      if (header.coordinate || header.symmetry != Symmetry::skew_symmetric) continue;
      for (Index row = 0; row < header.rows; ++row)
        parts[0].push_back({text.first_row[size(file)] + row, row, 0});
    }
    for (auto& part : parts) pile.add(std::move(part));
  });
  return rows_of_entries(context, options, matrix, pile);
}

namespace {

double checked_rating(const MatrixMarketText& text, const TextExtent& extent, Index offset, double value) {
  const std::string fault = fault_of_value(value, ReadOptions{}, true);
  if (!fault.empty()) throw text.error(extent, offset, "expected a finite rating: " + fault);
  return value;
}

void read_ratings_to_memory(const Context& context, const MatrixMarketText& text, Index own,
                            Ratings& ratings) {
  ratings.reserved = reserve_ratings(context, own, false);
  std::vector<std::int64_t> users(size(own));
  std::vector<std::int64_t> items(size(own));
  ratings.ratings.resize(ratings.has_ratings ? size(own) : 0);
  for_own_records(context, text,
                  [&](int, const EntryParser&, const TextExtent& extent, Index offset, Index, Index record,
                      const MatrixEntry& entry) {
                    users[size(record)] = entry.row + 1;
                    items[size(record)] = entry.column + 1;
                    if (ratings.has_ratings)
                      ratings.ratings[size(record)] = checked_rating(text, extent, offset, entry.value);
                  });
  ratings.users = std::move(users);
  ratings.items = std::move(items);
}

/// Runs of records that follow one another are a chunk.
void read_ratings_to_scratch(const Context& context, const MatrixMarketText& text, Ratings& ratings) {
  struct Run {
    Index first = 0;
    std::vector<std::int64_t> users;
    std::vector<std::int64_t> items;
    std::vector<double> values;
  };
  const MemoryReservation reading(context.memory(), context.threads() * 64 * RatingChunks::kRows,
                                  "ratings being read");
  const auto chunks = std::make_shared<RatingChunks>(context.scratch());
  std::vector<Run> runs(size(context.threads()));
  const auto flush = [&](Run& run) {
    if (!run.users.empty()) chunks->put(run.first, run.users, run.items, run.values);
    run = {};
  };
  for_own_records(context, text,
                  [&](int thread, const EntryParser&, const TextExtent& extent, Index offset, Index,
                      Index record, const MatrixEntry& entry) {
                    Run& run = runs[size(thread)];
                    const auto length = static_cast<Index>(run.users.size());
                    if (record != run.first + length || length >= RatingChunks::kRows) flush(run);
                    if (run.users.empty()) run.first = record;
                    run.users.push_back(entry.row + 1);
                    run.items.push_back(entry.column + 1);
                    if (ratings.has_ratings)
                      run.values.push_back(checked_rating(text, extent, offset, entry.value));
                  });
  for (auto& run : runs) flush(run);
  chunks->finish();
  ratings.chunks = chunks;
}

}  // namespace

RatingInput read_ratings_matrix_market(const Context& context, const ReadOptions& options,
                                       const std::vector<std::string>& paths) {
  Communicator& comm = context.comm();
  const MatrixMarketText text = open_matrix_market(context, paths);
  RatingInput input{.ratings = {.context = context, .rows = text.first_record.back()}, .kept = {}};
  Ratings& ratings = input.ratings;
  comm.collectively([&] {
    for (Index file = 0; file < text.files.count(); ++file) {
      const MatrixMarketHeader& header = text.headers[size(file)];
      if (!header.coordinate || header.symmetry != Symmetry::general)
        throw bad_input(text.files.path(file) +
                            ": ratings are a general coordinate matrix: users in rows, items in columns",
                        {file, 0});
      if (header.pattern != text.headers.front().pattern)
        throw bad_input(
            text.files.path(file) + " and " + text.files.path(0) + ": one has ratings, one has not",
            {file, 0});
    }
    if (ratings.rows == 0) throw bad_input(text.files.path(0) + " has no ratings");
    if (!options.keep.empty())
      throw bad_input("--keep: " + text.files.path(0) + " has no columns but user, item and rating");
    ratings.has_ratings = !text.headers.front().pattern;
    ratings.first_row = ratings.rows * comm.rank() / comm.size();
  });
  const Index own = ratings.rows * (comm.rank() + 1) / comm.size() - ratings.first_row;
  const bool spill = options.ratings_in_scratch && ratings_spill(context, own, false);
  comm.collectively([&] {
    if (spill)
      read_ratings_to_scratch(context, text, ratings);
    else
      read_ratings_to_memory(context, text, own, ratings);
  });
  ratings.user_name = options.user;
  ratings.item_name = options.item;
  return input;
}

}  // namespace firesteel
