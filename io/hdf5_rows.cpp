// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <limits>

#include "firesteel/core/error.hpp"
#include "firesteel/core/parameters.hpp"
#include "firesteel/core/sparse_rows_builder.hpp"
#include "firesteel/io/class_labels_check.hpp"
#include "firesteel/io/finish_rows.hpp"
#include "firesteel/io/hdf5_by_column.hpp"
#include "firesteel/io/hdf5_data.hpp"
#include "firesteel/io/hdf5_handle.hpp"
#include "firesteel/io/hdf5_layout.hpp"

namespace firesteel {

namespace {

using namespace hdf5;

constexpr Index kSlabBytes = Index{4} << 20;

std::size_t size(Index i) { return static_cast<std::size_t>(i); }

/// Reads this rank's rows [begin, end) of the files into storage.
class RowsReader {
 public:
  RowsReader(const SourceFiles& files, const RowsLayout& layout, const ReadOptions& options, Index begin,
             Index end)
      : files_(files), layout_(layout), options_(options), begin_(begin), end_(end) {}

  std::vector<std::uint8_t> dropped;  ///< filled where --missing drop leaves rows out

  template <class Scalar>
  DenseTiles<Scalar> read_dense(const Context& context, Index block_rows) {
    const auto [low, high] = std::minmax_element(layout_.features.begin(), layout_.features.end());
    const Index first_column = *low;
    const Index width = *high - *low + 1;
    std::vector<Index> offsets;
    for (const Index column : layout_.features) offsets.push_back(column - first_column);
    const Index step = std::max<Index>(1, kSlabBytes / (width * static_cast<Index>(sizeof(double))));
    const MemoryReservation filling(context.memory(), 2 * kSlabBytes, "rows being read");
    DenseTiles<Scalar> tiles(context, end_ - begin_, static_cast<Index>(offsets.size()), block_rows);
    std::vector<double> slab;
    files_.for_rows(begin_, end_, [&](const Source& source, Index first, Index rows, Index place) {
      for (Index done = 0; done < rows; done += step) {
        const Index count = std::min(step, rows - done);
        slab.resize(size(count * width));
        source.read(options_.dataset, first + done, count, first_column, width, slab.data());
        tiles.begin_rows(place + done, place + done + count);
        for (Index row = 0; row < count; ++row) {
          for (std::size_t j = 0; j < offsets.size(); ++j)
            tiles.at(place + done + row, static_cast<Index>(j)) = static_cast<Scalar>(checked(
                source, slab[size(row * width + offsets[j])], first + done + row, j, place + done + row));
          if (!dropped.empty() && dropped[size(place + done + row)] != 0)
            for (Index j = 0; j < tiles.columns(); ++j) tiles.at(place + done + row, j) = 0;
        }
        tiles.end_rows(place + done, place + done + count);
      }
    });
    return tiles;
  }

  template <class Scalar>
  SparseRows<Scalar> read_sparse(const Context& context, Index block_rows) {
    const MemoryReservation filling(context.memory(), 3 * kSlabBytes, "rows being read");
    SparseRowsBuilder<Scalar> builder(context, end_ - begin_, static_cast<Index>(layout_.features.size()),
                                      block_rows, most_values());
    // Column of the file → feature; −1: not read.
    std::vector<std::int32_t> feature_of(size(layout_.columns), -1);
    for (std::size_t j = 0; j < layout_.features.size(); ++j)
      feature_of[size(layout_.features[j])] = static_cast<std::int32_t>(j);
    files_.for_rows(begin_, end_, [&](const Source& source, Index first, Index count, Index place) {
      constexpr Index kSlabRows = 65536;
      for (Index done = 0; done < count; done += kSlabRows)
        read_sparse_slab(source, first + done, std::min(kSlabRows, count - done), place + done, feature_of,
                         builder);
    });
    return builder.finish();
  }

 private:
  /// Non-zeros of the rows, if the pointers are right.
  Index most_values() const {
    Index values = 0;
    files_.for_rows(begin_, end_, [&](const Source& source, Index first, Index count, Index) {
      std::int64_t from = 0;
      std::int64_t to = 0;
      source.read(options_.dataset + "/indptr", first, 1, &from);
      source.read(options_.dataset + "/indptr", first + count, 1, &to);
      const Index total = source.array(options_.dataset + "/indices", 1).shape[0];
      values += std::clamp<Index>(to - from, 0, total);
    });
    return values;
  }
  std::string where(Index row, std::size_t feature) const {
    return "row " + std::to_string(row) + ", column '" +
           (layout_.names.empty() ? std::to_string(layout_.features[feature]) : layout_.names[feature]) + "'";
  }

  /// A feature's value; NaN only where it stands for a missing value that is dealt with later.
  double checked(const Source& source, double value, Index row, std::size_t feature, Index local_row) {
    if (options_.single_precision && std::isfinite(value) && !std::isfinite(static_cast<float>(value)))
      source.fail(where(row, feature) + ": " + number_text(value) + " is beyond single precision", row);
    if (std::isfinite(value)) return value;
    if (std::isinf(value))
      source.fail(where(row, feature) + ": expected a finite number, got " + number_text(value), row);
    if (options_.missing == "error")
      source.fail(
          where(row, feature) +
              ": the value is missing (NaN); --missing drop leaves such rows out, --missing mean fills them",
          row);
    if (options_.missing == "mean" && layout_.sparse)
      source.fail(where(row, feature) + ": --missing mean is for dense features; drop leaves such rows out",
                  row);
    if (options_.missing == "drop") {
      if (dropped.empty()) dropped.assign(size(end_ - begin_), 0);
      dropped[size(local_row)] = 1;
    }
    return value;
  }

  template <class Scalar>
  void read_sparse_slab(const Source& source, Index first, Index count, Index place,
                        const std::vector<std::int32_t>& feature_of, SparseRowsBuilder<Scalar>& rows) {
    const std::string& name = options_.dataset;
    std::vector<std::int64_t> pointers(size(count) + 1);
    source.read(name + "/indptr", first, count + 1, pointers.data());
    const Index total = source.array(name + "/indices", 1).shape[0];
    if (first == 0 && pointers.front() != 0) source.fail("'indptr' of '" + name + "' does not begin with 0");
    for (std::size_t i = 0; i + 1 < pointers.size(); ++i)
      if (pointers[i] < 0 || pointers[i + 1] < pointers[i] || pointers[i + 1] > total)
        source.fail("'indptr' of '" + name + "' does not rise from 0 to " + std::to_string(total) +
                        " at row " + std::to_string(first + static_cast<Index>(i)),
                    first + static_cast<Index>(i));
    std::vector<std::int64_t> indices;
    std::vector<double> values;
    // Several rows a read, as many as fit the slab.
    for (Index row = 0; row < count;) {
      Index last = row + 1;
      while (last < count && pointers[size(last + 1)] - pointers[size(row)] <= kSlabBytes / 8) ++last;
      const Index begin = pointers[size(row)];
      const Index length = pointers[size(last)] - begin;
      indices.resize(size(length));
      values.resize(size(length));
      source.read(name + "/indices", begin, length, indices.data());
      source.read(name + "/data", begin, length, values.data());
      for (; row < last; ++row) {
        const auto from = size(pointers[size(row)] - begin);
        const auto number = size(pointers[size(row + 1)] - pointers[size(row)]);
        append_row(source, first + row, place + row, {indices.data() + from, number},
                   {values.data() + from, number}, feature_of, rows);
      }
    }
  }

  template <class Scalar>
  void append_row(const Source& source, Index row, Index local_row, std::span<const std::int64_t> indices,
                  std::span<const double> values, const std::vector<std::int32_t>& feature_of,
                  SparseRowsBuilder<Scalar>& rows) {
    entries_.clear();
    for (std::size_t i = 0; i < indices.size(); ++i) {
      if (indices[i] < 0 || indices[i] >= layout_.columns)
        source.fail("row " + std::to_string(row) + " has column " + std::to_string(indices[i]) +
                        ", expected 0 … " + std::to_string(layout_.columns - 1),
                    row);
      const std::int32_t feature = feature_of[size(indices[i])];
      if (feature < 0) continue;
      entries_.emplace_back(feature,
                            checked(source, values[i], row, static_cast<std::size_t>(feature), local_row));
    }
    const auto before = [](const auto& a, const auto& b) { return a.first < b.first; };
    if (!std::is_sorted(entries_.begin(), entries_.end(), before))
      std::sort(entries_.begin(), entries_.end(), before);
    for (std::size_t i = 0; i < entries_.size(); ++i) {
      if (i > 0 && entries_[i].first == entries_[i - 1].first)
        source.fail(where(row, static_cast<std::size_t>(entries_[i].first)) + " is given twice", row);
    }
    indices_.clear();
    std::vector<Scalar>& stored = stored_values<Scalar>();
    stored.clear();
    for (const auto& [feature, value] : entries_) {
      indices_.push_back(feature);
      stored.push_back(static_cast<Scalar>(value));
    }
    rows.add(indices_, stored, !dropped.empty() && dropped[size(local_row)] != 0);
  }
  template <class Scalar>
  std::vector<Scalar>& stored_values() {
    if constexpr (std::is_same_v<Scalar, float>)
      return singles_;
    else
      return doubles_;
  }

  const SourceFiles& files_;
  const RowsLayout& layout_;
  const ReadOptions& options_;
  Index begin_;
  Index end_;
  // A sparse row.
  std::vector<std::pair<std::int32_t, double>> entries_;
  std::vector<std::int32_t> indices_;
  std::vector<float> singles_;
  std::vector<double> doubles_;
};

/// Calls refuse(source, row in the file, value) for the first value that is not good.
template <class Good, class Refuse>
void check_values(const SourceFiles& files, const std::vector<double>& values, Index begin, Index end,
                  Good&& good, Refuse&& refuse) {
  files.for_rows(begin, end, [&](const Source& source, Index first, Index rows, Index place) {
    for (Index row = 0; row < rows; ++row)
      if (const double value = values[size(place + row)]; !good(value)) refuse(source, first + row, value);
  });
}

std::vector<double> read_dense_column(const SourceFiles& files, const ReadOptions& options, Index column,
                                      Index begin, Index end) {
  std::vector<double> values(size(end - begin));
  files.for_rows(begin, end, [&](const Source& source, Index first, Index rows, Index to) {
    source.read(options.dataset, first, rows, column, 1, values.data() + to);
  });
  return values;
}

ColumnValues read_labels(const SourceFiles& files, const RowsLayout& layout, const ReadOptions& options,
                         Index begin, Index end) {
  if (layout.label_kind == ColumnKind::text)
    return read_column(files, options.label, layout.label_kind, begin, end);
  auto labels = layout.label_column < 0 ? read_numbers(files, options.label, begin, end)
                                        : read_dense_column(files, options, layout.label_column, begin, end);
  check_values(
      files, labels, begin, end, [](double value) { return std::isfinite(value); },
      [&](const Source& source, Index row, double value) {
        source.fail("row " + std::to_string(row) + " of '" + options.label + "': expected a label, got " +
                        number_text(value),
                    row);
      });
  return labels;
}

void refuse_label(const SourceFiles& files, const ReadOptions& options, Index row, const BadLabel& bad) {
  files.for_rows(row, row + 1, [&](const Source& source, Index file_row, Index, Index) {
    source.fail("row " + std::to_string(file_row) + " of '" + options.label + "': " + bad.message(),
                file_row);
  });
}

AlignedVector<double> read_weights(const SourceFiles& files, const ReadOptions& options, Index begin,
                                   Index end) {
  const auto weights = read_numbers(files, options.weight, begin, end);
  check_values(
      files, weights, begin, end, [](double value) { return std::isfinite(value) && value >= 0; },
      [&](const Source& source, Index row, double value) {
        source.fail("row " + std::to_string(row) + " of '" + options.weight +
                        "': expected a weight >= 0, got " + number_text(value),
                    row);
      });
  AlignedVector<double> padded(size((end - begin + kTileRows - 1) / kTileRows * kTileRows), 0.0);
  std::copy(weights.begin(), weights.end(), padded.begin());
  return padded;
}

/// One column of sparse rows [first, first + rows); a row without an entry there has 0.
void read_sparse_column(const Source& source, const std::string& name, Index first, Index rows, Index column,
                        double* out) {
  constexpr Index kSlabEntries = kSlabBytes / 8;
  std::vector<std::int64_t> pointers(size(rows) + 1);
  source.read(name + "/indptr", first, rows + 1, pointers.data());
  std::vector<std::int64_t> indices;
  std::vector<double> values;
  Index row = 0;
  for (Index begin = pointers.front(); begin < pointers.back(); begin += kSlabEntries) {
    const Index count = std::min(kSlabEntries, pointers.back() - begin);
    indices.resize(size(count));
    values.resize(size(count));
    source.read(name + "/indices", begin, count, indices.data());
    source.read(name + "/data", begin, count, values.data());
    for (Index entry = 0; entry < count; ++entry) {
      while (begin + entry >= pointers[size(row + 1)]) ++row;
      if (indices[size(entry)] == column) out[row] = values[size(entry)];
    }
  }
}

ColumnValues read_kept(const SourceFiles& files, const RowsLayout& layout, const ReadOptions& options,
                       const KeptColumn& kept, Index begin, Index end) {
  if (kept.column < 0) return read_column(files, kept.name, kept.kind, begin, end);
  std::vector<double> values(size(end - begin), 0.0);
  files.for_rows(begin, end, [&](const Source& source, Index first, Index rows, Index to) {
    if (layout.sparse)
      read_sparse_column(source, options.dataset, first, rows, kept.column, values.data() + to);
    else
      source.read(options.dataset, first, rows, kept.column, 1, values.data() + to);
  });
  return values;
}

FeatureStorage read_features(RowsReader& reader, const RowBlocks& rows, bool sparse, bool single) {
  const Index block_rows = rows.partition.block_rows();
  if (sparse && single) return reader.read_sparse<float>(rows.context, block_rows);
  if (sparse) return reader.read_sparse<double>(rows.context, block_rows);
  if (single) return reader.read_dense<float>(rows.context, block_rows);
  return reader.read_dense<double>(rows.context, block_rows);
}

}  // namespace

RowInput read_rows_arrays(const Context& context, const ReadOptions& options,
                          const std::vector<std::string>& paths, OpenArrays open) {
  Communicator& comm = context.comm();
  const Quiet quiet;
  SourceFiles files(paths, open);
  const RowsLayout layout = comm.collectively([&] { return plan_rows(files, options); });
  for (const auto& warning : layout.warnings) context.monitor().warning(warning);
  RowInput input{.rows = {.context = context}, .kept = {}};
  RowBlocks& rows = input.rows;
  const Index value_bytes = options.single_precision ? sizeof(float) : sizeof(double);
  rows.partition = BlockPartition::even(
      files.rows(), choose_block_rows(static_cast<Index>(layout.features.size()), value_bytes, layout.sparse),
      comm.size());
  const Index begin = rows.partition.first_row(comm.rank());
  const Index end = rows.partition.end_row(comm.rank());
  if (layout.by_column) {
    rows = rows_by_column(context, files, layout, options).rows;
  } else {
    comm.collectively([&] {
      RowsReader reader(files, layout, options, begin, end);
      rows.features = read_features(reader, rows, layout.sparse, options.single_precision);
      rows.dropped = std::move(reader.dropped);
      rows.schema.names = layout.names;
    });
  }
  comm.collectively([&] {
    const Index label_bytes = layout.has_label ? (layout.label_kind == ColumnKind::text ? 32 : 8) : 0;
    rows.reserved = std::make_shared<MemoryReservation>(
        context.memory(), (end - begin) * (label_bytes + (options.weight.empty() ? 0 : 8)),
        "labels and weights");
    rows.has_labels = layout.has_label;
    if (layout.has_label) rows.labels = read_labels(files, layout, options, begin, end);
    if (!options.weight.empty()) rows.weights = read_weights(files, options, begin, end);
    for (const auto& kept : layout.keep)
      input.kept.columns.push_back({kept.name, read_kept(files, layout, options, kept, begin, end)});
  });
  finish_rows(rows, options, paths.front());
  comm.collectively([&] {
    if (const auto bad = find_bad_label(rows, options)) refuse_label(files, options, begin + bad->row, *bad);
  });
  return input;
}

RowsShape measure_rows_arrays(const Context& context, const ReadOptions& options,
                              const std::vector<std::string>& paths, OpenArrays open) {
  const Quiet quiet;
  SourceFiles files(paths, open);
  const RowsLayout layout = context.comm().collectively([&] { return plan_rows(files, options); });
  return {.rows = files.rows(),
          .columns = static_cast<Index>(layout.features.size()),
          .sparse = layout.sparse,
          .values = layout.sparse ? -1 : 0,
          .has_labels = layout.has_label};
}

}  // namespace firesteel
