// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "firesteel/core/error.hpp"
#include "firesteel/core/parallel.hpp"
#include "firesteel/io/csv_fields.hpp"
#include "firesteel/io/text_index.hpp"

namespace firesteel {

namespace {

std::size_t size(Index i) { return static_cast<std::size_t>(i); }

Error changed(const TextFiles& files, const TextExtent& extent) {
  return Error(ErrorCode::io_failed, files.path(extent.file) + " changed while it was read",
               {extent.file, extent.begin});
}

}  // namespace

Index bytes_of_rows(const TextIndex& index, Index first_row, Index end_row) {
  const auto [begin, end] = extents_of_rows(index, first_row, end_row);
  Index bytes = 0;
  for (std::size_t i = begin; i < end; ++i) bytes += index.extents[i].end - index.extents[i].begin;
  return bytes;
}

void parse_records(const Context& context, const TextFiles& files, const TextIndex& index, Index first_row,
                   Index end_row, ReadProgress& progress, RecordParser parse) {
  const auto nothing = [](Index, Index) {};
  parse_records(context, files, index, first_row, end_row, progress, parse, nothing, nothing);
}

void parse_records(const Context& context, const TextFiles& files, const TextIndex& index, Index first_row,
                   Index end_row, ReadProgress& progress, RecordParser parse, RowsHook begin, RowsHook end) {
  const auto [first_extent, end_extent] = extents_of_rows(index, first_row, end_row);
  std::vector<TextReader> readers;
  for (int thread = 0; thread < context.threads(); ++thread) readers.emplace_back(files);
  const auto begin_extent = static_cast<Index>(first_extent);
  parallel_for(context.threads(), static_cast<Index>(end_extent) - begin_extent, [&](Index i, int thread) {
    const TextExtent& extent = index.extents[size(begin_extent + i)];
    if (extent.rows == 0) return;
    const auto text = readers[size(thread)].read(extent.file, extent.begin, extent.end);
    const char* const text_end = text.data() + text.size();
    Index row = std::max(first_row, extent.first_row);
    const char* p = skip_records(text.data(), text_end, row - extent.first_row, index.dialect);
    const Index start = row;
    const Index stop = std::min(end_row, extent.first_row + extent.rows);
    begin(start, stop);
    for (; row < stop; ++row) {
      p = next_record(p, text_end, index.dialect);
      if (p >= text_end) throw changed(files, extent);
      p = parse(thread, extent, text.data(), p, text_end, row);
    }
    end(start, stop);
    progress.add(extent.end - extent.begin, thread);
  });
}

void visit_record(const TextFiles& files, const TextIndex& index, Index row, RecordVisitor see) {
  const TextExtent& extent = index.extents[extents_of_rows(index, row, row + 1).first];
  TextReader reader(files);
  const auto text = reader.read(extent.file, extent.begin, extent.end);
  const char* const text_end = text.data() + text.size();
  const char* p = skip_records(text.data(), text_end, row - extent.first_row, index.dialect);
  p = next_record(p, text_end, index.dialect);
  if (p >= text_end) throw changed(files, extent);
  see(extent, text.data(), p, text_end);
}

}  // namespace firesteel
