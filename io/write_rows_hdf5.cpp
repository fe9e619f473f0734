// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <memory>

#include "firesteel/core/error.hpp"
#include "firesteel/core/row_reader.hpp"
#include "firesteel/io/array_file.hpp"
#include "firesteel/io/rows_output.hpp"

namespace firesteel {

namespace {

constexpr Index kPieceBytes = Index{4} << 20;

std::size_t size(Index i) { return static_cast<std::size_t>(i); }

template <class Scalar>
constexpr OutputArray::Type real_type() {
  return sizeof(Scalar) == sizeof(double) ? OutputArray::Type::real64 : OutputArray::Type::real32;
}

/// Arrays of a file and, for each, what writes this rank's part of it.
struct Plan {
  std::vector<OutputArray> arrays;
  std::vector<OutputAttribute> attributes;
};

template <class Scalar>
void plan_features(Plan& plan, const RowsOutput& output, const DenseTiles<Scalar>& tiles) {
  plan.arrays.push_back(
      {.name = "features", .type = real_type<Scalar>(), .shape = {output.total, tiles.columns()}});
}

template <class Scalar>
Index used_values(const RowsOutput& output, const SparseRows<Scalar>& rows) {
  Index count = 0;
  SparseRowReader<Scalar> reader(rows);
  for (const Index row : output.used) count += static_cast<Index>(reader.row(row).indices.size());
  return count;
}

template <class Scalar>
void plan_features(Plan& plan, const RowsOutput& output, const SparseRows<Scalar>& rows) {
  const Index values = output.context().comm().sum(used_values(output, rows));
  plan.arrays.push_back({.name = "features/data", .type = real_type<Scalar>(), .shape = {values}});
  plan.arrays.push_back({.name = "features/indices", .type = OutputArray::Type::int32, .shape = {values}});
  plan.arrays.push_back(
      {.name = "features/indptr", .type = OutputArray::Type::int64, .shape = {output.total + 1}});
  plan.attributes.push_back({"features", "shape", std::vector<std::int64_t>{output.total, rows.columns()}});
}

/// Rows in pieces of a few MB, turned from tiles to row-major.
template <class Scalar>
void put_features(ArrayOutput& file, const RowsOutput& output, const DenseTiles<Scalar>& tiles, Index) {
  const Index columns = tiles.columns();
  const Index step = std::max<Index>(1, kPieceBytes / (columns * static_cast<Index>(sizeof(Scalar))));
  std::vector<Scalar> piece;
  std::vector<double> row(size(columns));
  DenseRowReader<Scalar> reader(tiles);
  for (Index begin = 0; begin < output.count(); begin += step) {
    const Index end = std::min(output.count(), begin + step);
    piece.clear();
    for (Index i = begin; i < end; ++i) {
      reader.copy(output.used[size(i)], row);
      for (const double value : row) piece.push_back(static_cast<Scalar>(value));
    }
    file.write(0, (output.first + begin) * columns, piece);
  }
}

template <class Scalar>
void put_features(ArrayOutput& file, const RowsOutput& output, const SparseRows<Scalar>& rows,
                  Index first_value) {
  constexpr Index kPieceValues = kPieceBytes / 12;
  constexpr Index kPieceRows = 65536;
  std::vector<Scalar> values;
  std::vector<std::int32_t> indices;
  std::vector<std::int64_t> ends;
  SparseRowReader<Scalar> reader(rows);
  if (output.context().rank() == 0) file.write(2, 0, std::vector<std::int64_t>{0});
  const auto flush = [&](Index end) {
    file.write(0, first_value, values);
    file.write(1, first_value, indices);
    file.write(2, output.first + end - static_cast<Index>(ends.size()) + 1, ends);
    first_value += static_cast<Index>(values.size());
    values.clear();
    indices.clear();
    ends.clear();
  };
  for (Index i = 0; i < output.count(); ++i) {
    const auto [row_indices, row_values] = reader.row(output.used[size(i)]);
    values.insert(values.end(), row_values.begin(), row_values.end());
    indices.insert(indices.end(), row_indices.begin(), row_indices.end());
    ends.push_back(first_value + static_cast<Index>(values.size()));
    if (static_cast<Index>(values.size()) >= kPieceValues || static_cast<Index>(ends.size()) == kPieceRows)
      flush(i + 1);
  }
  flush(output.count());
}

void put_labels(ArrayOutput& file, std::size_t array, const RowsOutput& output) {
  std::visit(
      [&](const auto& labels) {
        if (labels.empty()) return;
        std::decay_t<decltype(labels)> used;
        for (const Index row : output.used) used.push_back(labels[size(row)]);
        if constexpr (std::is_same_v<std::decay_t<decltype(used)>, std::vector<std::string>>)
          file.write_texts(array, output.first, used);
        else
          file.write(array, output.first, used);
      },
      output.rows->labels);
}

OutputArray label_array(const RowsOutput& output) {
  OutputArray array{.name = "label", .shape = {output.total}};
  const auto* texts = std::get_if<std::vector<std::string>>(&output.rows->labels);
  array.text_length =
      longest_text(output.context().comm(),
                   texts == nullptr ? std::span<const std::string>() : std::span<const std::string>(*texts));
  if (output.text_labels)
    array.type = OutputArray::Type::text;
  else if (output.whole_labels)
    array.type = OutputArray::Type::int64;
  return array;
}

/// Lays the arrays out and has make(comm, path, arrays, attributes) create the file.
template <class Make>
void write_rows_arrays(const RowsOutput& output, const std::string& path, Make&& make) {
  const RowBlocks& rows = *output.rows;
  Communicator& comm = output.context().comm();
  Plan plan;
  std::visit([&](const auto& storage) { plan_features(plan, output, storage); }, rows.features);
  if (!rows.schema.names.empty()) plan.attributes.push_back({"features", "feature_names", rows.schema.names});
  const std::size_t label = plan.arrays.size();
  if (output.has_labels) plan.arrays.push_back(label_array(output));
  const std::size_t weight = plan.arrays.size();
  if (output.has_weights) plan.arrays.push_back({.name = "weight", .shape = {output.total}});
  const Index values = std::visit(
      [&](const auto& storage) {
        if constexpr (requires { storage.row_begin; }) return used_values(output, storage);
        return Index{0};
      },
      rows.features);
  const Index first_value = comm.exclusive_scan(values);

  const std::unique_ptr<ArrayOutput> made = make(comm, path, plan.arrays, plan.attributes);
  ArrayOutput& file = *made;
  comm.collectively([&] {
    std::visit([&](const auto& storage) { put_features(file, output, storage, first_value); }, rows.features);
    if (output.has_labels) put_labels(file, label, output);
    if (output.has_weights) {
      std::vector<double> weights;
      for (const Index row : output.used) weights.push_back(output.weight(row));
      file.write(weight, output.first, weights);
    }
  });
  file.commit();
}

}  // namespace

void write_rows_hdf5(const RowsOutput& output, const std::string& path) {
  write_rows_arrays(output, path,
                    [](auto&&... arguments) { return std::make_unique<ArrayFile>(arguments...); });
}

void write_rows_numpy(const RowsOutput& output, const std::string& path) {
  output.context().comm().collectively([&] {
    if (!path.ends_with(".npy")) return;
    if (output.rows->sparse()) throw bad_input(".npy files hold dense rows, these are sparse: write .npz");
    if (output.has_labels || output.has_weights)
      throw bad_input(".npy files hold features alone, no labels and weights: write .npz");
  });
  write_rows_arrays(output, path,
                    [](auto&&... arguments) { return std::make_unique<NpzFile>(arguments...); });
}

}  // namespace firesteel
