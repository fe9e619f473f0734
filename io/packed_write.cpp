// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <bit>
#include <cstring>

#include "firesteel/core/error.hpp"
#include "firesteel/io/array_file.hpp"
#include "firesteel/io/packed_file.hpp"

namespace firesteel {

namespace {

constexpr std::size_t kPage = 4096;

std::size_t size(Index i) { return static_cast<std::size_t>(i); }

template <class T>
std::span<const std::byte> bytes_of(const T* first, Index count) {
  return std::as_bytes(std::span<const T>(first, size(count)));
}

/// The arrays of the file, by what they hold.
struct Arrays {
  std::vector<OutputArray> all;
  std::size_t features = 0;
  std::size_t indices = 0;
  std::size_t pointers = 0;
  std::size_t labels = 0;
  std::size_t weights = 0;
  std::size_t dropped = 0;
  std::size_t checksums = 0;

  explicit Arrays(const PackedHeader& header) {
    using Type = OutputArray::Type;
    const auto add = [&](const char* name, Type type, Index count) {
      all.push_back({.name = name, .type = type, .shape = {count}});
      return all.size() - 1;
    };
    const Type real = header.single_precision ? Type::real32 : Type::real64;
    if (header.sparse) {
      features = add("data", real, header.values);
      indices = add("indices", Type::int32, header.values);
      pointers = add("indptr", Type::int64, header.rows + 1);
    } else {
      const Index tiles = (header.rows + kTileRows - 1) / kTileRows;
      features = add("tiles", real, tiles * kTileRows * header.columns);
    }
    static constexpr Type kLabels[] = {Type::real64, Type::int64, Type::text};
    if (header.label_kind >= 0) {
      labels = add("label", kLabels[header.label_kind], header.rows);
      all.back().text_length = size(header.label_bytes);
    }
    if (header.has_weights) weights = add("weight", Type::real64, header.rows);
    if (header.has_dropped) dropped = add("dropped", Type::int32, header.rows);
    checksums = add("checksums", Type::int64, header.blocks());
  }
};

PackedHeader header_of(const RowBlocks& rows) {
  Communicator& comm = rows.context.comm();
  PackedHeader header;
  header.sparse = rows.sparse();
  header.single_precision = rows.single_precision();
  header.rows = rows.partition.rows();
  header.columns = rows.columns();
  header.block_rows = rows.partition.block_rows();
  header.rows_used = rows.rows_used;
  header.schema = rows.schema;
  std::visit(
      [&](const auto& storage) {
        if constexpr (requires { storage.non_zeros(); }) header.values = comm.sum(storage.non_zeros());
      },
      rows.features);
  std::int64_t kind =
      rows.has_labels && rows.local_rows() > 0 ? static_cast<std::int64_t>(rows.labels.index()) : -1;
  comm.allreduce_max(std::span(&kind, 1));
  header.label_kind = static_cast<int>(kind);
  header.label_bytes = kind < 0 ? 0 : 8;
  const auto* texts = std::get_if<std::vector<std::string>>(&rows.labels);
  const auto longest = static_cast<Index>(
      longest_text(comm, texts == nullptr ? std::span<const std::string>() : std::span(*texts)));
  if (kind == 2) header.label_bytes = longest;
  header.has_weights = comm.any(!rows.weights.empty());
  header.has_dropped =
      comm.any(std::any_of(rows.dropped.begin(), rows.dropped.end(), [](auto d) { return d != 0; }));
  return header;
}

std::vector<OutputAttribute> attributes_of(const PackedHeader& header) {
  std::vector<std::int64_t> numbers{kPackedVersion};
  for (const bool flag : {header.sparse, header.single_precision, header.has_weights, header.has_dropped})
    numbers.push_back(flag ? 1 : 0);
  for (const Index number : {header.rows, header.columns, header.values, header.rows_used, header.block_rows,
                             Index{header.label_kind}, header.label_bytes})
    numbers.push_back(number);
  numbers.push_back(std::bit_cast<std::int64_t>(header.fingerprint()));
  std::vector<OutputAttribute> attributes{{"/", "packed", std::move(numbers)},
                                          {"/", "missing", std::vector<std::string>{header.schema.missing}}};
  if (!header.schema.names.empty()) attributes.push_back({"/", "feature_names", header.schema.names});
  std::vector<std::int64_t> means;
  for (const double mean : header.schema.missing_means) means.push_back(std::bit_cast<std::int64_t>(mean));
  if (!means.empty()) attributes.push_back({"/", "missing_means", std::move(means)});
  return attributes;
}

/// Writes blocks one by one, and sums them.
class BlockWriter {
 public:
  BlockWriter(const RowBlocks& rows, const PackedHeader& header, const Arrays& arrays, Index first_value,
              ArrayOutput& file)
      : rows_(rows),
        header_(header),
        arrays_(arrays),
        first_value_(first_value),
        first_row_(rows.partition.first_row(rows.context.rank())),
        file_(file) {}

  void write(Index block) {
    const Index first = rows_.partition.row_of_block(block);
    const Index end = rows_.partition.row_of_block(block + 1);
    PackedBlock parts;
    std::vector<std::int64_t> pointers;
    std::visit([&](const auto& storage) { features(storage, first, end, parts, pointers); }, rows_.features);
    std::string texts;
    if (header_.label_kind >= 0) labels(first, end, parts, texts);
    if (header_.has_weights) {
      parts.weights = bytes_of(rows_.weights.data() + (first - first_row_), end - first);
      file_.write(arrays_.weights, first, parts.weights);
    }
    std::vector<std::int32_t> dropped;
    if (header_.has_dropped) {
      for (Index row = first - first_row_; row < end - first_row_; ++row)
        dropped.push_back(rows_.dropped.empty() ? 0 : rows_.dropped[size(row)]);
      parts.dropped = bytes_of(dropped.data(), end - first);
      file_.write(arrays_.dropped, first, parts.dropped);
    }
    const std::vector<std::int64_t> sum{std::bit_cast<std::int64_t>(parts.checksum())};
    file_.write(arrays_.checksums, block, sum);
  }

 private:
  template <class Scalar>
  void features(const DenseTiles<Scalar>& tiles, Index first, Index end, PackedBlock& parts,
                std::vector<std::int64_t>&) {
    const Index tile_values = kTileRows * tiles.columns();
    const Index count = (end - first + kTileRows - 1) / kTileRows * tile_values;
    parts.features = bytes_of(tiles.tile((first - first_row_) / kTileRows), count);
    file_.write(arrays_.features, first / kTileRows * tile_values, parts.features);
  }
  template <class Scalar>
  void features(const SparseRows<Scalar>& rows, Index first, Index end, PackedBlock& parts,
                std::vector<std::int64_t>& pointers) {
    if (rows.store() != nullptr) return features_in_scratch(rows, first, end, parts, pointers);
    const Index begin = rows.row_begin[size(first - first_row_)];
    const Index count = rows.row_begin[size(end - first_row_)] - begin;
    for (Index row = first + 1; row <= end; ++row)
      pointers.push_back(first_value_ + rows.row_begin[size(row - first_row_)]);
    parts.features = bytes_of(rows.values.data() + begin, count);
    parts.indices = bytes_of(rows.indices.data() + begin, count);
    parts.pointers = bytes_of(pointers.data(), end - first);
    file_.write(arrays_.features, first_value_ + begin, parts.features);
    file_.write(arrays_.indices, first_value_ + begin, parts.indices);
    file_.write(arrays_.pointers, first + 1, parts.pointers);
    if (first == 0) file_.write(arrays_.pointers, 0, std::vector<std::int64_t>{0});
  }
  /// Blocks in scratch hold their rows' values and indices each in one piece. They come in order, one at a
  /// time.
  template <class Scalar>
  void features_in_scratch(const SparseRows<Scalar>& rows, Index first, Index end, PackedBlock& parts,
                           std::vector<std::int64_t>& pointers) {
    const Index begin = first_value_ + written_;
    for (Index row = first; row < end; ++row) {
      written_ += static_cast<Index>(rows.row_indices(row - first_row_).size());
      pointers.push_back(first_value_ + written_);
    }
    const Index count = first_value_ + written_ - begin;
    if (end > first) {
      parts.features = bytes_of(rows.row_values(first - first_row_).data(), count);
      parts.indices = bytes_of(rows.row_indices(first - first_row_).data(), count);
    }
    parts.pointers = bytes_of(pointers.data(), end - first);
    file_.write(arrays_.features, begin, parts.features);
    file_.write(arrays_.indices, begin, parts.indices);
    file_.write(arrays_.pointers, first + 1, parts.pointers);
    if (first == 0) file_.write(arrays_.pointers, 0, std::vector<std::int64_t>{0});
  }
  void labels(Index first, Index end, PackedBlock& parts, std::string& texts) {
    std::visit(
        [&](const auto& values) {
          const auto* own = values.data() + (first - first_row_);
          if constexpr (std::is_same_v<std::decay_t<decltype(*own)>, std::string>) {
            texts.assign(size((end - first) * header_.label_bytes), '\0');
            for (Index i = 0; i < end - first; ++i)
              own[i].copy(texts.data() + i * header_.label_bytes, size(header_.label_bytes));
            parts.labels = bytes_of(texts.data(), static_cast<Index>(texts.size()));
          } else {
            parts.labels = bytes_of(own, end - first);
          }
        },
        rows_.labels);
    file_.write(arrays_.labels, first, parts.labels);
  }

  const RowBlocks& rows_;
  const PackedHeader& header_;
  const Arrays& arrays_;
  Index first_value_;
  Index first_row_;
  Index written_ = 0;  ///< values of blocks in scratch before the next one
  ArrayOutput& file_;
};

}  // namespace

void write_rows_packed(const RowBlocks& rows, const std::string& path) {
  Communicator& comm = rows.context.comm();
  const PackedHeader header = header_of(rows);
  const Arrays arrays = comm.collectively([&] { return Arrays(header); });
  const Index own_values = std::visit(
      [](const auto& storage) {
        if constexpr (requires { storage.non_zeros(); }) return storage.non_zeros();
        return Index{0};
      },
      rows.features);
  const Index first_value = comm.exclusive_scan(own_values);
  ArrayFile file(comm, path, arrays.all, attributes_of(header), kPage);
  comm.collectively([&] {
    BlockWriter writer(rows, header, arrays, first_value, file);
    if (rows.sparse() && rows.store() != nullptr) {
      const Index first_block = rows.partition.first_block(rows.context.rank());
      BlockPass pass(rows.store());
      for (Index block = first_block; block < rows.partition.end_block(rows.context.rank()); ++block) {
        const BlockPass::Hold hold(pass, block - first_block);
        writer.write(block);
      }
    } else {
      for_each_block(rows, [&](Index block, int) { writer.write(block); });
    }
  });
  file.commit();
}

}  // namespace firesteel
