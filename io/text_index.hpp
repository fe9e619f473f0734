// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <string>
#include <utility>
#include <vector>

#include "firesteel/core/context.hpp"
#include "firesteel/core/function_ref.hpp"
#include "firesteel/io/line_scan.hpp"
#include "firesteel/io/text_files.hpp"

namespace firesteel {

/// A run of whole lines of one file, the unit of parallel reading: bytes [begin, end), which hold the rows
/// [first_row, first_row + rows), numbered over all files.
struct TextExtent {
  Index file = 0;
  Index begin = 0;
  Index end = 0;
  Index first_row = 0;
  Index rows = 0;
};

/// What the first sweep over the text leaves: where every row is, to within an extent of about 1 MiB.
/// Replicated.
struct TextIndex {
  TextDialect dialect;
  Index rows = 0;
  std::vector<TextExtent> extents;  ///< in input order, none empty of bytes
  Index piece_bytes = 0;            ///< the files were cut at multiples of this
  std::vector<Index> first_piece;   ///< of each file; one more at the end
  std::vector<Index> line_breaks;   ///< of each piece
  std::vector<Index> file_rows;     ///< of each file
  /// LIBSVM only: upper bound of the entries in an extent, and the largest index.
  std::vector<Index> extent_entries;
  Index largest_index = -1;
};

/// First sweep: every rank reads an even share of the bytes of all files, in pieces of at most 1 MiB (more
/// above 256 GiB), counts records for every state a piece may begin in, and a scan over pieces and ranks
/// settles which state was true, so that a line break inside quotes is read right wherever ranges are cut.
/// Collective; throws 65 for text of two bytes a character and for a record of more than 256 MiB (a 32nd of
/// the context's bound on its memory, where that is less), 66, 74.
TextIndex index_text(const Context& context, const TextFiles& files, const TextDialect& dialect);

/// Takes the first record of every file that starts before header_end[file] out of the rows (a CSV header).
void drop_headers(TextIndex& index, const std::vector<Index>& header_ends);

/// Extents that hold rows of [first_row, end_row), as positions [begin, end) in index.extents.
std::pair<std::size_t, std::size_t> extents_of_rows(const TextIndex& index, Index first_row, Index end_row);

/// Number (from 1) of the physical line that holds byte `offset`; reads at most one piece. Local.
Index line_of(const TextFiles& files, const TextIndex& index, Index file, Index offset);

/// Tells the monitor how far this rank's reading is: the first sweep is one half, the second the other.
class ReadProgress {
 public:
  ReadProgress(const Context& context, bool second_sweep, Index bytes)
      : context_(&context), done_(second_sweep ? bytes : 0), total_(2 * bytes) {}
  /// Called by any thread; only thread 0 (the caller's) speaks.
  void add(Index bytes, int thread);

 private:
  const Context* context_;
  std::atomic<Index> done_;
  Index total_;
};

/// Bytes of the extents that hold rows of [first_row, end_row).
Index bytes_of_rows(const TextIndex& index, Index first_row, Index end_row);

/// Second sweep: calls parse(thread, extent, p, text_end, row) for every record of the global rows
/// [first_row, end_row), by several threads, in order within an extent; parse returns the byte past the
/// record. Local; throws what parse throws, and 74 where the files changed meanwhile.
using RecordParser = FunctionRef<const char*(int thread, const TextExtent& extent, const char* text,
                                             const char* p, const char* text_end, Index row)>;
/// Called before and after a run of rows is parsed, by the thread that does, so that room is made for them
/// and taken away.
using RowsHook = FunctionRef<void(Index first_row, Index end_row)>;
void parse_records(const Context& context, const TextFiles& files, const TextIndex& index, Index first_row,
                   Index end_row, ReadProgress& progress, RecordParser parse, RowsHook begin, RowsHook end);
void parse_records(const Context& context, const TextFiles& files, const TextIndex& index, Index first_row,
                   Index end_row, ReadProgress& progress, RecordParser parse);

/// Reads one global row anew: calls see(extent, text, p, text_end) with its record at p. For messages. Local;
/// throws what see throws, and 74.
using RecordVisitor =
    FunctionRef<void(const TextExtent& extent, const char* text, const char* p, const char* text_end)>;
void visit_record(const TextFiles& files, const TextIndex& index, Index row, RecordVisitor see);

}  // namespace firesteel
