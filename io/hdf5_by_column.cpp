// SPDX-License-Identifier: Apache-2.0
#include "firesteel/io/hdf5_by_column.hpp"

#include <algorithm>
#include <utility>

#include "firesteel/io/entry_rows.hpp"
#include "firesteel/io/hdf5_handle.hpp"

namespace firesteel {

using namespace hdf5;

namespace {

constexpr Index kSlabBytes = Index{4} << 20;

std::size_t size(Index i) { return static_cast<std::size_t>(i); }

/// This rank's share of the entries of files that are stored by column, rows numbered over all files.
void read_entries_by_column(const Communicator& comm, const SourceFiles& files, const ReadOptions& options,
                            EntryPile& pile) {
  std::vector<MatrixEntry> entries;
  Index first_row = 0;
  for (Index file = 0; file < files.count(); first_row += files.rows(file++)) {
    const Source& source = files.open(file);
    const SparseParts parts = sparse_parts(source, options.dataset);
    const Index total = source.array(parts.indices, 1).shape[0];
    std::vector<std::int64_t> begins(size(source.array(parts.pointers, 1).shape[0]));
    source.read(parts.pointers, 0, static_cast<Index>(begins.size()), begins.data());
    if (begins.front() != 0 || begins.back() != total || !std::is_sorted(begins.begin(), begins.end()))
      source.fail("'indptr' of '" + options.dataset + "' does not rise from 0 to " + std::to_string(total));
    const Index end =
        total / comm.size() * (comm.rank() + 1) + total % comm.size() * (comm.rank() + 1) / comm.size();
    Index place = total / comm.size() * comm.rank() + total % comm.size() * comm.rank() / comm.size();
    auto column = std::upper_bound(begins.begin(), begins.end(), place) - begins.begin() - 1;
    std::vector<std::int64_t> rows;
    std::vector<double> values;
    while (place < end) {
      const Index count = std::min(end - place, kSlabBytes / 8);
      rows.resize(size(count));
      values.resize(size(count));
      source.read(parts.indices, place, count, rows.data());
      source.read(parts.data, place, count, values.data());
      for (Index i = 0; i < count; ++i) {
        while (begins[size(column + 1)] <= place + i) ++column;
        const Index row = rows[size(i)];
        if (row < 0 || row >= files.rows(file))
          source.fail("column " + std::to_string(column) + " has row " + std::to_string(row) +
                      ", expected 0 … " + std::to_string(files.rows(file) - 1));
        const std::string fault = fault_of_value(values[size(i)], options, true);
        if (!fault.empty())
          source.fail("row " + std::to_string(row) + ", column " + std::to_string(column) + ": " + fault,
                      row);
        entries.push_back({first_row + row, column, values[size(i)]});
      }
      place += count;
      pile.add(std::exchange(entries, {}));
    }
  }
}

}  // namespace

RowInput rows_by_column(const Context& context, const SourceFiles& files, const RowsLayout& layout,
                        const ReadOptions& options) {
  Index values = 0;
  context.comm().collectively([&] {
    for (Index file = 0; file < files.count(); ++file) {
      const Source& source = files.open(file);
      values += source.array(sparse_parts(source, options.dataset).indices, 1).shape[0];
    }
  });
  EntryPile pile(context, values / context.size() + 1);
  context.comm().collectively([&] { read_entries_by_column(context.comm(), files, options, pile); });
  ReadOptions of_entries = options;  // the other parts are arrays of their own
  of_entries.label_use = ReadOptions::Label::ignored;
  of_entries.label.clear();
  of_entries.weight.clear();
  of_entries.keep.clear();
  const EntryMatrix matrix{.source = files.path(0),
                           .rows = files.rows(),
                           .columns = layout.columns,
                           .sparse = true,
                           .names = layout.all_names};
  return rows_of_entries(context, of_entries, matrix, pile, false);
}

}  // namespace firesteel
