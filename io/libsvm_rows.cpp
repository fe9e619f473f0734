// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <charconv>
#include <cmath>
#include <tuple>

#include "firesteel/core/parallel.hpp"
#include "firesteel/core/parameters.hpp"
#include "firesteel/core/sparse_rows_builder.hpp"
#include "firesteel/io/class_labels_check.hpp"
#include "firesteel/io/csv_fields.hpp"
#include "firesteel/io/finish_rows.hpp"
#include "firesteel/io/libsvm_columns.hpp"
#include "firesteel/io/libsvm_scan.hpp"
#include "firesteel/io/number_reading.hpp"
#include "firesteel/io/quoted.hpp"
#include "firesteel/io/read_text.hpp"
#include "firesteel/io/sparse_part.hpp"
#include "firesteel/io/text_index.hpp"

namespace firesteel {

namespace {

constexpr Index kExtentsPerWave = 4;            // a thread
constexpr Index kParsedBytes = Index{4} << 20;  // of the rows of an extent of about 1 MiB

std::size_t size(Index i) { return static_cast<std::size_t>(i); }

bool ends_word(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '#'; }

const char* skip_blanks(const char* p) {
  while (*p == ' ' || *p == '\t' || *p == '\r') ++p;
  return p;
}

/// The whole number at p, if a colon ends it within eight bytes: then returns where it stands, else nullptr.
const char* read_short_index(const char* p, Index& index) {
  std::uint64_t digits = 0;
  const int count = detail::append_digits(p, digits);
  index = static_cast<Index>(digits);
  return count > 0 && p[count] == ':' ? p + count : nullptr;
}

std::string_view word_at(const char* p) {
  const char* end = p;
  while (!ends_word(*end)) ++end;
  return {p, static_cast<std::size_t>(end - p)};
}

bool is_entry(std::string_view word) { return word.find(':') != std::string_view::npos; }

/// LIBSVM files after the first sweep.
struct LibsvmText {
  TextFiles files;
  TextIndex index;
  bool has_labels = false;
  bool text_labels = false;

  Error error(const TextExtent& extent, Index offset, const std::string& message) const {
    const Index place = extent.begin + offset;
    return bad_input(files.path(extent.file) + ":" +
                         std::to_string(line_of(files, index, extent.file, place)) + ": " + message,
                     {extent.file, place});
  }
};

template <class Scalar>
class LibsvmParser {
 public:
  LibsvmParser(const LibsvmText& text, const LibsvmColumns& columns, const ReadOptions& options, Index rows)
      : text_(text),
        columns_(columns),
        first_index_(options.zero_based ? 0 : 1),
        scoring_(options.expected != nullptr && columns.all),
        may_drop_(options.missing == "drop"),
        plain_(!columns.weight && columns.kept.empty()),
        keep_labels_(text.has_labels && options.label_use != ReadOptions::Label::ignored),
        label_copy_(std::find(columns.keep.begin(), columns.keep.end(), LibsvmColumns::kLabel) -
                    columns.keep.begin()),
        dropped(may_drop_ ? size(rows) : 0),
        weights(columns.weight ? size((rows + kTileRows - 1) / kTileRows * kTileRows) : 0),
        label_numbers(keep_labels_ && !text.text_labels ? size(rows) : 0),
        label_texts(keep_labels_ && text.text_labels ? size(rows) : 0),
        kept(columns.keep.size(), std::vector<std::string>(size(rows), "0")) {}

  /// Appends the record at p, row `row` of this rank; returns the byte past its line.
  const char* record(const TextExtent& extent, const char* text, const char* p, const char* text_end,
                     Index row, SparsePart<Scalar>& part) {
    const std::size_t before = part.entries;
    p = skip_blanks(p);
    if (text_.has_labels) p = label(extent, text, p, row);
    Index last = -1;
    for (p = skip_blanks(p); *p != '\n' && *p != '#'; p = skip_blanks(p)) {
      Index index = 0;
      const char* colon = read_short_index(p, index);
      if (colon == nullptr) {
        const auto number = std::from_chars(p, text_end, index);
        if (number.ec == std::errc::invalid_argument || *number.ptr != ':' ||
            number.ptr - p >= kLibsvmLeadBytes) {
          const auto word = word_at(p);
          if (!word.starts_with("qid:")) throw not_an_entry(extent, text, p);
          p += word.size();
          continue;
        }
        if (number.ec != std::errc()) index = kMostLibsvmColumns + first_index_;
        colon = number.ptr;
      }
      index -= first_index_;
      if (index < 0 || index <= last || index >= columns_.end_index)
        throw bad_index(extent, text, p, index, last);
      double value = 0;
      const char* end = read_number(colon + 1, text_end, value);
      if (end == nullptr || !ends_word(*end)) throw not_an_entry(extent, text, p);
      if (!plain_) other_parts(extent, text, p, index, {colon + 1, end}, value, row);
      if (const std::int32_t feature = columns_.feature(index); feature != LibsvmColumns::kNoFeature) {
        const auto stored = static_cast<Scalar>(value);
        if (!std::isfinite(stored)) {
          not_finite(extent, text, p, value, row);
        } else {
          part.add(feature, stored);
        }
      }
      last = index;
      p = end;
    }
    if (!columns_.ascending) sort_entries(part, before);
    if (last >= columns_.count)  // the first sweep saw the last index of every line
      throw Error(ErrorCode::io_failed, text_.files.path(extent.file) + " changed while it was read",
                  {extent.file, extent.begin + (p - text)});
    part.lengths.push_back(static_cast<Index>(part.entries - before));
    while (*p != '\n') ++p;
    return p + 1;
  }

 private:
  const char* label(const TextExtent& extent, const char* text, const char* p, Index row) {
    const auto word = word_at(p);
    if (is_entry(word)) throw text_.error(extent, p - text, "expected a label, got " + quoted(word));
    if (label_copy_ < columns_.keep.size()) kept[label_copy_][size(row)] = word;
    if (keep_labels_) {
      double value = 0;
      if (text_.text_labels)
        label_texts[size(row)] = word;
      else if (!field_to_number(word, value) || !std::isfinite(value))
        throw text_.error(extent, p - text, "expected a finite number as label, got " + quoted(word));
      else
        label_numbers[size(row)] = value;
    }
    return p + word.size();
  }

  /// Weight and columns to copy.
  void other_parts(const TextExtent& extent, const char* text, const char* p, Index column,
                   std::string_view written, double value, Index row) {
    if (column == columns_.weight) {
      if (!std::isfinite(value) || value < 0)
        throw text_.error(extent, p - text, "expected a finite weight >= 0, got " + quoted(word_at(p)));
      weights[size(row)] = value;
    }
    const auto place =
        std::lower_bound(columns_.kept.begin(), columns_.kept.end(), std::pair(column, std::size_t{0}));
    if (place != columns_.kept.end() && place->first == column) kept[place->second][size(row)] = written;
  }

  /// Brings the entries of a row, from `begin` on, into the order of their features.
  static void sort_entries(SparsePart<Scalar>& part, std::size_t begin) {
    std::vector<std::pair<std::int32_t, Scalar>> entries;
    for (std::size_t i = begin; i < part.entries; ++i) entries.emplace_back(part.indices[i], part.values[i]);
    std::sort(entries.begin(), entries.end());
    for (std::size_t i = 0; i < entries.size(); ++i)
      std::tie(part.indices[begin + i], part.values[begin + i]) = entries[i];
  }

  Error not_an_entry(const TextExtent& extent, const char* text, const char* p) const {
    return text_.error(extent, p - text, "expected index:value, got " + quoted(word_at(p)));
  }

  Error bad_index(const TextExtent& extent, const char* text, const char* p, Index index, Index last) const {
    const std::string got = "index " + std::string(word_at(p).substr(0, word_at(p).find(':')));
    if (index < 0)
      return text_.error(extent, p - text,
                         first_index_ == 1
                             ? got + ", but indices count from 1: if these count from 0, say --zero-based"
                             : got + ", expected an index >= 0");
    if (index <= last)
      return text_.error(extent, p - text,
                         got + " after index " + std::to_string(last + first_index_) +
                             ": indices must ascend; sort the entries of the line");
    return text_.error(extent, p - text,
                       got + " is beyond " +
                           (scoring_ ? "the model's " + std::to_string(columns_.features) + " features"
                                     : std::to_string(columns_.end_index) + " features (--num-features)"));
  }

  void not_finite(const TextExtent& extent, const char* text, const char* p, double value, Index row) {
    const std::string word = quoted(word_at(p));
    if (std::isinf(value)) throw text_.error(extent, p - text, "expected a finite number, got " + word);
    if (!std::isnan(value)) throw text_.error(extent, p - text, word + " is beyond single precision");
    if (!may_drop_)
      throw text_.error(extent, p - text, "the value is missing (" + word + "); say --missing drop");
    dropped[size(row)] = 1;
  }

  const LibsvmText& text_;
  const LibsvmColumns& columns_;
  Index first_index_;
  bool scoring_;
  bool may_drop_;
  bool plain_;  ///< no weight, nothing to copy
  bool keep_labels_;
  std::size_t label_copy_;  ///< among the kept columns; past their end: none

 public:
  std::vector<std::uint8_t> dropped;
  AlignedVector<double> weights;
  std::vector<double> label_numbers;
  std::vector<std::string> label_texts;
  std::vector<std::vector<std::string>> kept;  ///< as written; 0 where a line has no such entry
};

/// The kind of the labels is that of the first one.
void find_label_kind(Communicator& comm, LibsvmText& text) {
  std::string first;
  comm.collectively([&] {
    if (comm.rank() != 0) return;
    TextReader reader(text.files);
    for (const auto& extent : text.index.extents) {
      if (extent.rows == 0) continue;
      const auto bytes = reader.read(extent.file, extent.begin, extent.end);
      first =
          word_at(skip_blanks(next_record(bytes.data(), bytes.data() + bytes.size(), text.index.dialect)));
      return;
    }
  });
  first = comm.broadcast_text(first, 0);
  double value = 0;
  text.has_labels = !is_entry(first);
  text.text_labels = text.has_labels && !field_to_number(first, value);
}

LibsvmText open_libsvm(const Context& context, const ReadOptions& options,
                       const std::vector<std::string>& files) {
  Communicator& comm = context.comm();
  LibsvmText text;
  text.files = open_text_files(context, files);
  text.index = index_text(context, text.files,
                          {.delimiter = ' ', .blank_runs = true, .quotes = false, .comments = true});
  comm.collectively([&] {
    for (Index file = 0; file < text.files.count(); ++file)
      if (text.index.file_rows[size(file)] == 0)
        throw bad_input(text.files.path(file) + " is empty", {file, 0});
  });
  find_label_kind(comm, text);
  if (text.has_labels && expects_texts(options)) text.text_labels = true;
  comm.collectively([&] {
    if (!text.has_labels && options.label_use == ReadOptions::Label::required)
      throw bad_input(text.files.path(0) + " has no labels: its first line begins with an index:value pair");
  });
  return text;
}

LibsvmColumns plan_columns(const Communicator& comm, const LibsvmText& text, const ReadOptions& options) {
  // An index 0 that should not be is left to the second sweep, which says where it stands.
  const Index largest = std::min(text.index.largest_index, kMostLibsvmColumns);
  const Index found = largest < 0 ? 0 : std::max<Index>(1, largest + (options.zero_based ? 1 : 0));
  return plan_libsvm_columns({.source = text.files.path(0),
                              .has_labels = text.has_labels,
                              .ranks_of_host = comm.node_size(),
                              .columns = std::min(found, kMostLibsvmColumns)},
                             options);
}

/// Appends the parts, in order, to rows that go to scratch, from local row `row` on; those that are left out
/// as zeros.
template <class Scalar>
void append(SparseRowsBuilder<Scalar>& builder, const std::vector<SparsePart<Scalar>>& parts, Index row,
            const std::vector<std::uint8_t>& dropped) {
  for (const auto& part : parts) {
    std::size_t begin = 0;
    for (const Index length : part.lengths) {
      builder.add(std::span(part.indices).subspan(begin, size(length)),
                  std::span(part.values).subspan(begin, size(length)),
                  !dropped.empty() && dropped[size(row)] != 0);
      begin += size(length);
      ++row;
    }
  }
}

/// Parses the global rows [first_row, end_row) a few extents at a time, so that little more is held than the
/// rows themselves.
template <class Scalar>
SparseRows<Scalar> parse_in_waves(const Context& context, const LibsvmText& text,
                                  LibsvmParser<Scalar>& parser, const BlockPartition& partition,
                                  Index columns) {
  const Index first_row = partition.first_row(context.rank());
  const Index end_row = partition.end_row(context.rank());
  const auto [begin, end] = extents_of_rows(text.index, first_row, end_row);
  Index entries = 0;
  for (std::size_t i = begin; i < end; ++i) entries += text.index.extent_entries[i];
  const auto wave = size((context.memory()->strict() ? 1 : kExtentsPerWave) * context.threads());
  const MemoryReservation parsing(context.memory(), static_cast<Index>(wave) * kParsedBytes,
                                  "rows being parsed");
  SparseRowsBuilder<Scalar> builder(context, end_row - first_row, columns, partition.block_rows(), entries);
  ReadProgress progress(context, true, bytes_of_rows(text.index, first_row, end_row));
  std::vector<SparsePart<Scalar>> parts;
  for (std::size_t i = begin; i < end; i += wave) {
    const std::size_t wave_end = std::min(end, i + wave);
    const TextExtent& last = text.index.extents[wave_end - 1];
    for (auto& part : parts) part.reset();
    parts.resize(wave_end - i);
    for (std::size_t k = i; k < wave_end; ++k) {
      auto& part = parts[k - i];
      const std::size_t expected = size(text.index.extent_entries[k]);
      if (part.indices.size() < expected) part.make_room(expected);
    }
    const Index wave_first = std::max(first_row, text.index.extents[i].first_row);
    const Index wave_stop = std::min(end_row, last.first_row + last.rows);
    parse_records(context, text.files, text.index, wave_first, wave_stop, progress,
                  [&](int, const TextExtent& extent, const char* bytes, const char* p, const char* text_end,
                      Index row) {
                    auto& part = parts[static_cast<std::size_t>(&extent - &text.index.extents[i])];
                    return parser.record(extent, bytes, p, text_end, row - first_row, part);
                  });
    if (builder.spills())
      append(builder, parts, wave_first - first_row, parser.dropped);
    else
      append(builder.in_memory(), parts, context.threads());
  }
  return builder.finish();
}

void refuse_label(const LibsvmText& text, Index global_row, const BadLabel& bad) {
  visit_record(text.files, text.index, global_row,
               [&](const TextExtent& extent, const char* bytes, const char* p, const char*) {
                 p = skip_blanks(p);
                 throw text.error(extent, p - bytes, bad.message(word_at(p)));
               });
}

template <class Scalar>
RowInput parse_rows(const Context& context, const ReadOptions& options, const LibsvmText& text,
                    const LibsvmColumns& columns) {
  Communicator& comm = context.comm();
  RowInput input{.rows = {.context = context}, .kept = {}};
  RowBlocks& rows = input.rows;
  rows.partition = BlockPartition::even(
      text.index.rows, choose_block_rows(columns.features, sizeof(Scalar), true), comm.size());
  comm.collectively([&] {
    const bool labelled = text.has_labels && options.label_use != ReadOptions::Label::ignored;
    rows.reserved = std::make_shared<MemoryReservation>(
        context.memory(),
        rows.local_rows() * ((labelled ? (text.text_labels ? 32 : 8) : 0) + (columns.weight ? 8 : 0)),
        "labels and weights");
    LibsvmParser<Scalar> parser(text, columns, options, rows.local_rows());
    rows.features = parse_in_waves(context, text, parser, rows.partition, columns.features);
    rows.schema.names = columns.names;
    rows.dropped = std::move(parser.dropped);
    rows.weights = std::move(parser.weights);
    for (std::size_t i = 0; i < columns.keep.size(); ++i)
      input.kept.columns.push_back({columns.keep_name(i), std::move(parser.kept[i])});
    if (text.text_labels && options.label_use != ReadOptions::Label::ignored)
      rows.labels = std::move(parser.label_texts);
    else
      rows.labels = std::move(parser.label_numbers);
  });
  rows.has_labels = text.has_labels && options.label_use != ReadOptions::Label::ignored;
  finish_rows(rows, options, text.files.path(0));
  comm.collectively([&] {
    if (const auto bad = find_bad_label(rows, options))
      refuse_label(text, rows.partition.first_row(comm.rank()) + bad->row, *bad);
  });
  return input;
}

}  // namespace

RowInput read_rows_libsvm(const Context& context, const ReadOptions& options,
                          const std::vector<std::string>& files) {
  const LibsvmText text = open_libsvm(context, options, files);
  const LibsvmColumns columns =
      context.comm().collectively([&] { return plan_columns(context.comm(), text, options); });
  return options.single_precision ? parse_rows<float>(context, options, text, columns)
                                  : parse_rows<double>(context, options, text, columns);
}

RowsShape measure_rows_libsvm(const Context& context, const ReadOptions& options,
                              const std::vector<std::string>& files) {
  const LibsvmText text = open_libsvm(context, options, files);
  const LibsvmColumns columns =
      context.comm().collectively([&] { return plan_columns(context.comm(), text, options); });
  RowsShape shape{
      .rows = text.index.rows, .columns = columns.features, .sparse = true, .has_labels = text.has_labels};
  for (const Index entries : text.index.extent_entries) shape.values += entries;
  return shape;
}

}  // namespace firesteel
