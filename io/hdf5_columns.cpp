// SPDX-License-Identifier: Apache-2.0
#include "firesteel/io/hdf5_columns.hpp"

#include <algorithm>
#include <limits>

#include "firesteel/core/error.hpp"
#include "firesteel/core/parameters.hpp"

namespace firesteel::hdf5 {

namespace {

std::size_t size(Index i) { return static_cast<std::size_t>(i); }

std::vector<std::int64_t> read_integers(const Source& source, const std::string& name, Index first,
                                        Index rows) {
  std::vector<std::int64_t> values(size(rows));
  if (source.array(name, 1).kind != ValueKind::unsigned_integer) {
    source.read(name, first, rows, values.data());
    return values;
  }
  std::vector<std::uint64_t> wide(size(rows));
  source.read(name, first, rows, wide.data());
  for (std::size_t i = 0; i < wide.size(); ++i) {
    if (wide[i] > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
      source.fail("row " + std::to_string(first + static_cast<Index>(i)) + " of '" + name + "' is " +
                      std::to_string(wide[i]) + ", beyond 2^63 - 1: store such ids as texts",
                  first + static_cast<Index>(i));
    values[i] = static_cast<std::int64_t>(wide[i]);
  }
  return values;
}

std::vector<double> read_reals(const Source& source, const std::string& name, Index first, Index rows) {
  std::vector<double> values(size(rows));
  source.read(name, first, rows, values.data());
  return values;
}

std::vector<std::string> read_as_texts(const Source& source, const std::string& name, Index first,
                                       Index rows) {
  const ValueKind kind = source.array(name, 1).kind;
  if (kind == ValueKind::text) return source.read_texts(name, first, rows);
  std::vector<std::string> texts;
  if (kind == ValueKind::real)
    for (const double value : read_reals(source, name, first, rows)) texts.push_back(number_text(value));
  else
    for (const auto value : read_integers(source, name, first, rows)) texts.push_back(std::to_string(value));
  return texts;
}

template <class T>
void append(std::vector<T>& all, std::vector<T>&& more) {
  if (all.empty())
    all = std::move(more);
  else
    all.insert(all.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
}

}  // namespace

const Source& SourceFiles::open(Index file) const {
  if (open_file_ != file) {
    source_.reset();
    source_ = open_source_(path(file), file);
    open_file_ = file;
  }
  return *source_;
}

void SourceFiles::set_rows(const std::vector<Index>& rows) {
  ends_.clear();
  Index end = 0;
  for (const Index count : rows) ends_.push_back(end += count);
}

void SourceFiles::for_rows(Index begin, Index end, Body body) const {
  Index file_begin = 0;
  for (Index file = 0; file < count(); ++file) {
    const Index file_end = ends_[size(file)];
    const Index first = std::max(begin, file_begin);
    const Index last = std::min(end, file_end);
    if (first < last) body(open(file), first - file_begin, last - first, first - begin);
    file_begin = file_end;
  }
}

bool has_column(const SourceFiles& files, const std::string& name) {
  Index holders = 0;
  Index without = -1;
  for (Index file = 0; file < files.count(); ++file) {
    if (files.open(file).has(name))
      ++holders;
    else if (without < 0)
      without = file;
  }
  if (holders > 0 && without >= 0)
    files.open(without).fail("no array '" + name + "', which other input files have");
  return holders > 0;
}

ColumnKind check_column(const SourceFiles& files, const std::string& name) {
  ColumnKind kind = ColumnKind::integer;
  for (Index file = 0; file < files.count(); ++file) {
    const Source& source = files.open(file);
    const SourceArray array = source.array(name, 1);
    const Index rows = files.rows(file);
    if (array.shape[0] != rows)
      source.fail("'" + name + "' has " + std::to_string(array.shape[0]) +
                  " values, expected one a row: " + std::to_string(rows));
    if (array.kind == ValueKind::text)
      kind = ColumnKind::text;
    else if (array.kind == ValueKind::real && kind == ColumnKind::integer)
      kind = ColumnKind::real;
  }
  return kind;
}

ColumnValues read_column(const SourceFiles& files, const std::string& name, ColumnKind kind, Index begin,
                         Index end) {
  if (kind == ColumnKind::real) return read_numbers(files, name, begin, end);
  std::vector<std::int64_t> integers;
  std::vector<std::string> texts;
  files.for_rows(begin, end, [&](const Source& source, Index first, Index rows, Index) {
    if (kind == ColumnKind::integer)
      append(integers, read_integers(source, name, first, rows));
    else
      append(texts, read_as_texts(source, name, first, rows));
  });
  if (kind == ColumnKind::integer) return integers;
  return texts;
}

std::vector<double> read_numbers(const SourceFiles& files, const std::string& name, Index begin, Index end) {
  std::vector<double> numbers;
  files.for_rows(begin, end, [&](const Source& source, Index first, Index rows, Index) {
    if (source.array(name, 1).kind == ValueKind::text)
      source.fail("expected '" + name + "' to hold numbers, found texts");
    append(numbers, read_reals(source, name, first, rows));
  });
  return numbers;
}

}  // namespace firesteel::hdf5
