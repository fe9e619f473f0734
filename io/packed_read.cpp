// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <memory>

#include "firesteel/core/atomic_file.hpp"
#include "firesteel/core/error.hpp"
#include "firesteel/core/parallel.hpp"
#include "firesteel/core/parameters.hpp"
#include "firesteel/io/class_labels_check.hpp"
#include "firesteel/io/column_selection.hpp"
#include "firesteel/io/packed_file.hpp"
#include "firesteel/io/quoted.hpp"
#include "firesteel/io/store.hpp"

namespace firesteel {

namespace {

std::size_t size(Index i) { return static_cast<std::size_t>(i); }

class PackedReader {
 public:
  PackedReader(const Context& context, const std::string& path, PackedHeader header)
      : path_(path), header_(std::move(header)), file_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
    if (!file_.open())
      throw Error(ErrorCode::no_input, "cannot read '" + path + "': " + std::strerror(errno));
    sums_.resize(size(header_.blocks()));
    read(header_.checksums, 0, sums_.data(), header_.checksums.bytes);
    partition = BlockPartition::even(
        header_.rows, choose_block_rows(header_.columns, header_.value_bytes(), header_.sparse),
        context.size());
    first_row = partition.first_row(context.rank());
    end_row = partition.end_row(context.rank());
  }

  BlockPartition partition;
  Index first_row = 0;
  Index end_row = 0;

  Index rows() const { return end_row - first_row; }
  Index first_sum_block() const { return first_row / header_.block_rows; }
  Index end_sum_block() const {
    return rows() == 0 ? first_sum_block() : (end_row + header_.block_rows - 1) / header_.block_rows;
  }

  void read(const PackedHeader::Place& place, Index begin, void* out, Index bytes) const {
    if (begin < 0 || bytes < 0 || begin + bytes > place.bytes)
      throw internal_error("bytes beyond an array of " + path_ + " were asked for");
    for (Index done = 0; done < bytes;) {
      const ssize_t count = ::pread(file_.get(), static_cast<char*>(out) + done, size(bytes - done),
                                    place.offset + begin + done);
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) throw Error(ErrorCode::io_failed, path_ + ": reading failed: " + std::strerror(errno));
      if (count == 0) throw Error(ErrorCode::io_failed, path_ + " changed while it was read");
      done += static_cast<Index>(count);
    }
  }
  template <class T>
  std::vector<T> read_rows(const PackedHeader::Place& place, Index first, Index count) const {
    std::vector<T> values(size(count));
    constexpr auto kBytes = static_cast<Index>(sizeof(T));
    read(place, first * kBytes, values.data(), count * kBytes);
    return values;
  }

  void check(Index block, const PackedBlock& parts) const {
    if (parts.checksum() != sums_[size(block)])
      throw bad_input(
          path_ + " is damaged: rows " + std::to_string(block * header_.block_rows) +
              " and the following do not fit their checksum: pack the data anew by firesteel convert",
          {0, block});
  }
  [[noreturn]] void damaged(Index row, const std::string& what) const {
    throw bad_input(path_ + " is damaged: row " + std::to_string(row) + " " + what, {0, row});
  }

 private:
  const std::string& path_;
  PackedHeader header_;
  FileDescriptor file_;
  std::vector<std::uint64_t> sums_;
};

/// Labels, weights and flags of one block of checksums.
struct SideValues {
  Index first = 0;  ///< row
  Index end = 0;
  std::string labels;
  std::vector<double> weights;
  std::vector<std::int32_t> dropped;

  SideValues(const PackedReader& reader, const PackedHeader& header, Index block)
      : first(block * header.block_rows), end(std::min(header.rows, first + header.block_rows)) {
    if (header.label_kind >= 0) {
      labels.resize(size((end - first) * header.label_bytes));
      reader.read(header.labels, first * header.label_bytes, labels.data(),
                  static_cast<Index>(labels.size()));
    }
    if (header.has_weights) weights = reader.read_rows<double>(header.weights, first, end - first);
    if (header.has_dropped) dropped = reader.read_rows<std::int32_t>(header.dropped, first, end - first);
  }
  void add_to(PackedBlock& parts) const {
    parts.labels = std::as_bytes(std::span(labels));
    parts.weights = std::as_bytes(std::span(weights));
    parts.dropped = std::as_bytes(std::span(dropped));
  }
};

/// Room for this rank's labels, weights and flags, filled block by block.
class Sides {
 public:
  Sides(const PackedReader& reader, const PackedHeader& header, RowBlocks& rows)
      : reader_(reader), header_(header), rows_(rows) {
    const std::size_t count = size(reader.rows());
    if (header.label_kind == 0) rows.labels = std::vector<double>(count);
    if (header.label_kind == 1) rows.labels = std::vector<std::int64_t>(count);
    if (header.label_kind == 2) rows.labels = std::vector<std::string>(count);
    if (header.has_weights) rows.weights.assign((count + kTileRows - 1) / kTileRows * kTileRows, 0.0);
    if (header.has_dropped) rows.dropped.assign(count, 0);
  }
  void take(const SideValues& values) {
    for (Index row = std::max(values.first, reader_.first_row); row < std::min(values.end, reader_.end_row);
         ++row) {
      const std::size_t from = size(row - values.first);
      const std::size_t to = size(row - reader_.first_row);
      if (header_.label_kind >= 0) put_label(values, from, to);
      if (header_.has_weights) rows_.weights[to] = weight(values, row, from);
      if (header_.has_dropped) rows_.dropped[to] = values.dropped[from] != 0 ? 1 : 0;
    }
  }

 private:
  double weight(const SideValues& values, Index row, std::size_t from) const {
    const double value = values.weights[from];
    if (!(value >= 0) || !std::isfinite(value)) reader_.damaged(row, "has the weight " + number_text(value));
    return value;
  }
  void put_label(const SideValues& values, std::size_t from, std::size_t to) {
    const char* const bytes = values.labels.data() + from * size(header_.label_bytes);
    std::visit(
        [&](auto& labels) {
          using Label = typename std::decay_t<decltype(labels)>::value_type;
          if constexpr (std::is_same_v<Label, std::string>)
            labels[to].assign(bytes, strnlen(bytes, size(header_.label_bytes)));
          else
            std::memcpy(&labels[to], bytes, sizeof(Label));
        },
        rows_.labels);
  }

  const PackedReader& reader_;
  const PackedHeader& header_;
  RowBlocks& rows_;
};

/// Copies columns of the file's tiles into tiles of their own, which may lie in scratch.
template <class Scalar>
DenseTiles<Scalar> copy_tiles(const Context& context, const PackedReader& reader, const PackedHeader& header,
                              const std::vector<Index>& columns, Sides& sides) {
  const Index tile_values = kTileRows * header.columns;
  const auto width = static_cast<Index>(columns.size());
  DenseTiles<Scalar> tiles(context, reader.rows(), width, reader.partition.block_rows());
  parallel_for(context.threads(), reader.end_sum_block() - reader.first_sum_block(), [&](Index i, int) {
    const Index block = reader.first_sum_block() + i;
    const SideValues values(reader, header, block);
    const Index first_tile = values.first / kTileRows;
    const Index count = (values.end + kTileRows - 1) / kTileRows - first_tile;
    const auto image =
        reader.template read_rows<Scalar>(header.features, first_tile * tile_values, count * tile_values);
    PackedBlock parts;
    parts.features = std::as_bytes(std::span(image));
    values.add_to(parts);
    reader.check(block, parts);
    const Index first = std::max(values.first, reader.first_row) - reader.first_row;
    const Index end = std::min(values.end, reader.end_row) - reader.first_row;
    tiles.begin_rows(first, end);
    for (Index row = first; row < end; row += kTileRows) {
      const Index tile = (row + reader.first_row) / kTileRows - first_tile;
      Scalar* const to = tiles.tile(row / kTileRows);
      for (Index j = 0; j < width; ++j)
        std::memcpy(to + j * kTileRows, image.data() + tile * tile_values + columns[size(j)] * kTileRows,
                    kTileRows * sizeof(Scalar));
    }
    tiles.end_rows(first, end);
    sides.take(values);
  });
  return tiles;
}

/// Sparse rows of this rank. `feature_of`: of each column its feature, or −1; empty: all as they are.
template <class Scalar>
SparseRows<Scalar> read_sparse(const Context& context, const PackedReader& reader, const PackedHeader& header,
                               const std::vector<std::int32_t>& feature_of, Index width, Sides& sides) {
  SparseRows<Scalar> rows;
  rows.columns_count = width;
  if (reader.rows() == 0) return rows;
  const Index first = reader.first_sum_block() * header.block_rows;
  const Index end = std::min(header.rows, reader.end_sum_block() * header.block_rows);
  const auto pointers = reader.read_rows<std::int64_t>(header.pointers, first, end - first + 1);
  if (pointers.front() < 0 || pointers.back() > header.values || (first == 0 && pointers.front() != 0) ||
      (end == header.rows && pointers.back() != header.values))
    reader.damaged(first, "has values that are not there");
  for (std::size_t i = 0; i + 1 < pointers.size(); ++i)
    if (pointers[i] > pointers[i + 1])
      reader.damaged(first + static_cast<Index>(i), "has less than no values");
  const Index base = pointers.front();
  std::vector<std::int32_t> indices(size(pointers.back() - base));
  AlignedVector<Scalar> values(indices.size());
  parallel_for(context.threads(), reader.end_sum_block() - reader.first_sum_block(), [&](Index i, int) {
    const Index block = reader.first_sum_block() + i;
    const SideValues side(reader, header, block);
    const auto pointer = [&](Index row) { return pointers[size(row - first)]; };
    const Index begin = pointer(side.first);
    const Index count = pointer(side.end) - begin;
    Scalar* const own_values = values.data() + (begin - base);
    std::int32_t* const own = indices.data() + (begin - base);
    constexpr auto kBytes = static_cast<Index>(sizeof(Scalar));
    reader.read(header.features, begin * kBytes, own_values, count * kBytes);
    reader.read(header.indices, begin * 4, own, count * 4);
    PackedBlock parts;
    parts.features = std::as_bytes(std::span(own_values, size(count)));
    parts.indices = std::as_bytes(std::span(own, size(count)));
    parts.pointers =
        std::as_bytes(std::span(pointers).subspan(size(side.first + 1 - first), size(side.end - side.first)));
    side.add_to(parts);
    reader.check(block, parts);
    for (Index row = side.first; row < side.end; ++row) {
      std::int32_t before = -1;
      for (Index at = pointer(row) - base; at < pointer(row + 1) - base; ++at) {
        if (indices[size(at)] <= before || indices[size(at)] >= header.columns)
          reader.damaged(row, "has the column " + std::to_string(indices[size(at)]) + " out of place");
        before = indices[size(at)];
      }
    }
    sides.take(side);
  });
  // What of the blocks is this rank's, and of it the features.
  const Index skip = pointers[size(reader.first_row - first)] - base;
  const Index stop = pointers[size(reader.end_row - first)] - base;
  rows.row_begin.resize(size(reader.rows()) + 1);
  if (feature_of.empty()) {
    for (Index row = 0; row <= reader.rows(); ++row)
      rows.row_begin[size(row)] = pointers[size(reader.first_row + row - first)] - base - skip;
    indices.erase(indices.begin() + stop, indices.end());
    indices.erase(indices.begin(), indices.begin() + skip);
    values.erase(values.begin() + stop, values.end());
    values.erase(values.begin(), values.begin() + skip);
    rows.indices = std::move(indices);
    rows.values = std::move(values);
    return rows;
  }
  for (Index row = 0; row < reader.rows(); ++row) {
    std::vector<std::pair<std::int32_t, Scalar>> kept;
    for (Index at = pointers[size(reader.first_row + row - first)] - base;
         at < pointers[size(reader.first_row + row + 1 - first)] - base; ++at)
      if (const std::int32_t feature = feature_of[static_cast<std::size_t>(indices[size(at)])]; feature >= 0)
        kept.emplace_back(feature, values[size(at)]);
    std::sort(kept.begin(), kept.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    for (const auto& [feature, value] : kept) {
      rows.indices.push_back(feature);
      rows.values.push_back(value);
    }
    rows.row_begin[size(row) + 1] = static_cast<Index>(rows.indices.size());
  }
  return rows;
}

/// The file's columns that are the model's, in its order; of a fit all.
std::vector<Index> choose_columns(const std::string& path, const PackedHeader& header,
                                  const ReadOptions& options) {
  std::vector<Index> columns;
  const bool by_name =
      options.expected != nullptr && !options.expected->names.empty() && !header.schema.names.empty();
  if (!by_name) {
    const bool sparse_less = header.sparse && options.expected_features > header.columns;
    if (options.expected_features > 0 && options.expected_features != header.columns && !sparse_less)
      throw bad_input(path + " has " + std::to_string(header.columns) + " features, the model has " +
                      std::to_string(options.expected_features));
    for (Index column = 0; column < header.columns; ++column) columns.push_back(column);
    return columns;
  }
  const auto& names = header.schema.names;
  for (const auto& name : options.expected->names) {
    const auto found = std::find(names.begin(), names.end(), name);
    if (found == names.end())
      throw bad_input(path + " has no column " + quoted(name) + ", which the model was trained with");
    columns.push_back(found - names.begin());
  }
  return columns;
}

bool is_identity(const std::vector<Index>& columns, Index all) {
  for (std::size_t i = 0; i < columns.size(); ++i)
    if (columns[i] != static_cast<Index>(i)) return false;
  return static_cast<Index>(columns.size()) == all;
}

template <class Scalar>
void read_features(const Context& context, const ReadOptions& options, const std::string& path,
                   const PackedReader& reader, const PackedHeader& header, RowBlocks& rows) {
  const auto columns = choose_columns(path, header, options);
  const bool all = is_identity(columns, header.columns);
  Sides sides(reader, header, rows);
  if (header.sparse) {
    std::vector<std::int32_t> feature_of;
    if (!all) feature_of.assign(size(header.columns), -1);
    for (std::size_t i = 0; i < columns.size() && !all; ++i)
      feature_of[size(columns[i])] = static_cast<std::int32_t>(i);
    const Index width = std::max(static_cast<Index>(columns.size()), options.expected_features);
    rows.features = read_sparse<Scalar>(context, reader, header, feature_of, width, sides);
  } else {
    rows.features = copy_tiles<Scalar>(context, reader, header, columns, sides);
  }
  rows.schema = header.schema;
  if (!all && !header.schema.names.empty()) {
    rows.schema.names.clear();
    for (const Index column : columns) rows.schema.names.push_back(header.schema.names[size(column)]);
    rows.schema.missing_means.clear();
  }
}

/// Columns that are copied beside predictions: features by name or number, `label`, `weight`.
ColumnTable keep_columns(const RowBlocks& rows, const std::string& path, const ReadOptions& options) {
  ColumnTable kept;
  InputColumns columns{.source = path, .names = rows.schema.names, .count = rows.columns(), .numbered = true};
  for (const auto& name : options.keep) {
    if (name == "label" && rows.has_labels) {
      kept.columns.push_back({name, rows.labels});
      continue;
    }
    const Index column = require_column(columns, name, "--keep");
    std::vector<double> values;
    std::vector<double> row(size(rows.columns()));
    for (Index i = 0; i < rows.local_rows(); ++i)
      std::visit(
          [&](const auto& storage) {
            if constexpr (requires { storage.copy_row(i, row); }) {
              storage.copy_row(i, row);
              values.push_back(row[size(column)]);
            } else {
              const auto indices = storage.row_indices(i);
              const auto found = std::lower_bound(indices.begin(), indices.end(), column);
              const bool there = found != indices.end() && *found == column;
              values.push_back(
                  there ? static_cast<double>(storage.row_values(i)[size(found - indices.begin())]) : 0.0);
            }
          },
          rows.features);
    kept.columns.push_back({columns.name(column), std::move(values)});
  }
  return kept;
}

void use_labels(const std::string& path, const ReadOptions& options, RowBlocks& rows, int kind) {
  rows.has_labels = kind >= 0 && options.label_use != ReadOptions::Label::ignored;
  if (kind < 0 && options.label_use == ReadOptions::Label::required)
    throw bad_input(path + " was packed without a label: convert the data anew, with --label NAME");
  if (!rows.has_labels) rows.labels = std::vector<double>();
  if (!rows.has_labels || !expects_texts(options)) return;
  std::vector<std::string> texts;
  if (const auto* numbers = std::get_if<std::vector<double>>(&rows.labels))
    for (const double number : *numbers) texts.push_back(number_text(number));
  else if (const auto* whole = std::get_if<std::vector<std::int64_t>>(&rows.labels))
    for (const std::int64_t number : *whole) texts.push_back(std::to_string(number));
  else
    return;
  rows.labels = std::move(texts);
}

const std::string& only_one(const std::vector<std::string>& paths) {
  if (is_url(paths.front()))
    throw bad_input(paths.front() +
                    " is a packed file in a store: those are mapped, copy it to a file system first");
  if (paths.size() != 1)
    throw bad_input("packed files are read one at a time, got " + std::to_string(paths.size()) +
                    ": convert the original data to one packed file");
  return paths.front();
}

}  // namespace

RowInput read_rows_packed(const Context& context, const ReadOptions& options,
                          const std::vector<std::string>& paths) {
  Communicator& comm = context.comm();
  return comm.collectively([&] {
    const std::string& path = only_one(paths);
    const PackedHeader header = read_packed_header(path);
    const PackedReader reader(context, path, header);
    RowInput input{.rows = {.context = context}, .kept = {}};
    RowBlocks& rows = input.rows;
    rows.partition = reader.partition;
    rows.rows_used = header.rows_used;
    if (header.single_precision)
      read_features<float>(context, options, path, reader, header, rows);
    else
      read_features<double>(context, options, path, reader, header, rows);
    if (!options.keep.empty()) {
      rows.has_labels = header.label_kind >= 0;
      input.kept = keep_columns(rows, path, options);
    }
    use_labels(path, options, rows, header.label_kind);
    if (const auto bad = find_bad_label(rows, options))
      throw bad_input(path + ", row " + std::to_string(reader.first_row + bad->row) + ": " + bad->message(),
                      {0, reader.first_row + bad->row});
    return input;
  });
}

RowsShape measure_rows_packed(const Context& context, const std::vector<std::string>& paths) {
  return context.comm().collectively([&]() -> RowsShape {
    const PackedHeader header = read_packed_header(only_one(paths));
    return {.rows = header.rows,
            .columns = header.columns,
            .sparse = header.sparse,
            .values = header.values,
            .has_labels = header.label_kind >= 0};
  });
}

}  // namespace firesteel
