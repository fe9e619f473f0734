// SPDX-License-Identifier: Apache-2.0
// Features of a packed file: mapped where they lie, or copied.
#include <sys/mman.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "firesteel/core/parallel.hpp"
#include "firesteel/io/packed_reader.hpp"
#include "firesteel/io/quoted.hpp"

namespace firesteel::detail {

namespace {

constexpr Index kPage = 4096;
constexpr Index kAlignment = 64;

std::size_t size(Index i) { return static_cast<std::size_t>(i); }

/// A part of a file in memory: private, so that who writes to it changes nothing but its own copy.
class Mapping {
 public:
  Mapping(const std::string& path, int file, Index offset, Index bytes) {
    const Index begin = offset / kPage * kPage;
    length_ = size(offset + bytes - begin);
    void* const memory =
        ::mmap(nullptr, length_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE, file, begin);
    if (memory == MAP_FAILED)
      throw Error(errno == ENOMEM ? ErrorCode::out_of_memory : ErrorCode::io_failed,
                  path + ": cannot be mapped: " + std::strerror(errno));
    memory_ = memory;
    first_ = static_cast<std::byte*>(memory) + (offset - begin);
    ::madvise(memory_, length_, MADV_WILLNEED);
  }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping() { ::munmap(memory_, length_); }
  std::byte* first() const { return first_; }

 private:
  void* memory_ = nullptr;
  std::size_t length_ = 0;
  std::byte* first_ = nullptr;
};

/// Tiles of the file as they lie there.
template <class Scalar>
DenseTiles<Scalar> map_tiles(const Context& context, const std::string& path, const PackedReader& reader,
                             const PackedHeader& header, PackedSides& sides) {
  const Index tile_bytes = kTileRows * header.columns * static_cast<Index>(sizeof(Scalar));
  const auto tiles_before = [&](Index row) { return (row + kTileRows - 1) / kTileRows; };
  const Index block_bytes = header.block_rows / kTileRows * tile_bytes;
  if (reader.rows() == 0) return DenseTiles<Scalar>(0, header.columns);
  // Whole blocks of checksums, of which this rank's rows may be a part.
  const Index begin = reader.first_sum_block() * block_bytes;
  const Index end = std::min(header.features.bytes, reader.end_sum_block() * block_bytes);
  const auto mapping =
      std::make_shared<const Mapping>(path, reader.file(), header.features.offset + begin, end - begin);
  parallel_for(context.threads(), reader.end_sum_block() - reader.first_sum_block(), [&](Index i, int) {
    const Index block = reader.first_sum_block() + i;
    const SideValues values(reader, header, block);
    PackedBlock parts;
    parts.features = {mapping->first() + i * block_bytes,
                      size((tiles_before(values.end) - values.first / kTileRows) * tile_bytes)};
    values.add_to(parts);
    reader.check(block, parts);
    sides.take(values);
  });
  auto* const own = mapping->first() + (reader.first_row / kTileRows * tile_bytes - begin);
  return DenseTiles<Scalar>(mapping, reinterpret_cast<Scalar*>(own), reader.rows(), header.columns);
}

/// Copies columns of the file's tiles into tiles of their own, which may lie in scratch; also where the file
/// lies in a store, which forgets each block then.
template <class Scalar>
DenseTiles<Scalar> copy_tiles(const Context& context, const PackedReader& reader, const PackedHeader& header,
                              const std::vector<Index>& columns, PackedSides& sides) {
  const Index tile_values = kTileRows * header.columns;
  const auto width = static_cast<Index>(columns.size());
  DenseTiles<Scalar> tiles(context, reader.rows(), width, reader.partition.block_rows());
  const Index block_bytes = header.block_rows * header.columns * header.value_bytes();
  reader.expect(header.features, reader.first_sum_block() * block_bytes,
                reader.end_sum_block() * block_bytes);
  parallel_for(context.threads(), reader.end_sum_block() - reader.first_sum_block(), [&](Index i, int) {
    const Index block = reader.first_sum_block() + i;
    const SideValues values(reader, header, block);
    const Index first_tile = values.first / kTileRows;
    const Index count = (values.end + kTileRows - 1) / kTileRows - first_tile;
    const auto image =
        reader.template read_rows<Scalar>(header.features, first_tile * tile_values, count * tile_values);
    reader.let_go(header.features, block * block_bytes, (block + 1) * block_bytes);
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
                               const std::vector<std::int32_t>& feature_of, Index width, PackedSides& sides) {
  SparseRows<Scalar> rows;
  rows.columns_count = width;
  if (reader.rows() == 0) return rows;
  const Index first = reader.first_sum_block() * header.block_rows;
  const Index end = std::min(header.rows, reader.end_sum_block() * header.block_rows);
  reader.expect(header.pointers, first * 8, (end + 1) * 8);
  const auto pointers = reader.read_rows<std::int64_t>(header.pointers, first, end - first + 1);
  if (pointers.front() < 0 || pointers.back() > header.values || (first == 0 && pointers.front() != 0) ||
      (end == header.rows && pointers.back() != header.values))
    reader.damaged(first, "has values that are not there");
  for (std::size_t i = 0; i + 1 < pointers.size(); ++i)
    if (pointers[i] > pointers[i + 1])
      reader.damaged(first + static_cast<Index>(i), "has less than no values");
  const Index base = pointers.front();
  constexpr auto kValueBytes = static_cast<Index>(sizeof(Scalar));
  reader.expect(header.indices, base * 4, pointers.back() * 4);
  reader.expect(header.features, base * kValueBytes, pointers.back() * kValueBytes);
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
    reader.read(header.features, begin * kValueBytes, own_values, count * kValueBytes);
    reader.let_go(header.features, begin * kValueBytes, (begin + count) * kValueBytes);
    reader.read(header.indices, begin * 4, own, count * 4);
    reader.let_go(header.indices, begin * 4, (begin + count) * 4);
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
  PackedSides sides(reader, header, rows);
  if (header.sparse) {
    std::vector<std::int32_t> feature_of;
    if (!all) feature_of.assign(size(header.columns), -1);
    for (std::size_t i = 0; i < columns.size() && !all; ++i)
      feature_of[size(columns[i])] = static_cast<std::int32_t>(i);
    const Index width = std::max(static_cast<Index>(columns.size()), options.expected_features);
    rows.features = read_sparse<Scalar>(context, reader, header, feature_of, width, sides);
  } else if (all && !context.memory()->strict() && reader.file() >= 0 &&
             header.features.offset % kAlignment == 0) {
    rows.features = map_tiles<Scalar>(context, path, reader, header, sides);
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

}  // namespace

void read_packed_features(const Context& context, const ReadOptions& options, const std::string& path,
                          const PackedReader& reader, const PackedHeader& header, RowBlocks& rows) {
  if (header.single_precision)
    read_features<float>(context, options, path, reader, header, rows);
  else
    read_features<double>(context, options, path, reader, header, rows);
}

}  // namespace firesteel::detail
