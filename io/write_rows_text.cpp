// SPDX-License-Identifier: Apache-2.0
#include <set>

#include "firesteel/core/error.hpp"
#include "firesteel/io/rows_output.hpp"
#include "firesteel/io/text_output.hpp"

namespace firesteel {

namespace {

std::size_t size(Index i) { return static_cast<std::size_t>(i); }

void append_label(std::string& out, const ColumnValues& labels, Index row, char delimiter) {
  std::visit(
      [&](const auto& values) {
        if constexpr (std::is_same_v<std::decay_t<decltype(values)>, std::vector<std::string>>)
          append_field(out, values[size(row)], delimiter);
        else
          append_number(out, values[size(row)]);
      },
      labels);
}

template <class Scalar>
void append_dense(std::string& out, const DenseTiles<Scalar>& tiles, Index row, char delimiter) {
  for (Index column = 0; column < tiles.columns(); ++column) {
    if (column > 0) out += delimiter;
    append_number(out, static_cast<double>(tiles.at(row, column)));
  }
}

template <class Scalar>
void append_dense(std::string& out, const SparseRows<Scalar>& rows, Index row, char delimiter) {
  const auto indices = rows.row_indices(row);
  const auto values = rows.row_values(row);
  std::size_t next = 0;
  for (Index column = 0; column < rows.columns(); ++column) {
    if (column > 0) out += delimiter;
    if (next < indices.size() && indices[next] == column)
      append_number(out, static_cast<double>(values[next++]));
    else
      out += '0';
  }
}

void append_pair(std::string& out, Index column, double value) {
  out += ' ';
  append_number(out, column + 1);
  out += ':';
  append_number(out, value);
}

template <class Scalar>
void append_sparse(std::string& out, const DenseTiles<Scalar>& tiles, Index row) {
  for (Index column = 0; column < tiles.columns(); ++column)
    if (const auto value = static_cast<double>(tiles.at(row, column)); value != 0)
      append_pair(out, column, value);
}

template <class Scalar>
void append_sparse(std::string& out, const SparseRows<Scalar>& rows, Index row) {
  const auto indices = rows.row_indices(row);
  const auto values = rows.row_values(row);
  for (std::size_t i = 0; i < indices.size(); ++i)
    append_pair(out, indices[i], static_cast<double>(values[i]));
}

}  // namespace

void write_rows_csv(const RowsOutput& output, const std::string& path, char delimiter) {
  const RowBlocks& rows = *output.rows;
  auto names = feature_names(rows);
  if (output.has_labels) names.emplace_back("label");
  if (output.has_weights) names.emplace_back("weight");
  std::string header;
  rows.context.comm().collectively([&] {
    std::set<std::string> known;
    for (const auto& name : names) {
      if (!known.insert(name).second)
        throw bad_input("the output would have two columns named '" + name + "': leave one out by --exclude");
      if (!header.empty()) header += delimiter;
      append_field(header, name, delimiter);
    }
    header += '\n';
  });
  write_text(rows.context, path, header, output.count(), [&](Index first, Index end, std::string& out) {
    for (Index i = first; i < end; ++i) {
      const Index row = output.used[size(i)];
      std::visit([&](const auto& storage) { append_dense(out, storage, row, delimiter); }, rows.features);
      if (output.has_labels) {
        out += delimiter;
        append_label(out, rows.labels, row, delimiter);
      }
      if (output.has_weights) {
        out += delimiter;
        append_number(out, output.weight(row));
      }
      out += '\n';
    }
  });
}

void write_rows_libsvm(const RowsOutput& output, const std::string& path) {
  const RowBlocks& rows = *output.rows;
  rows.context.comm().collectively([&] {
    if (output.text_labels)
      throw bad_input("LIBSVM files hold numbers as labels, these are texts: write .csv or .h5");
    if (output.has_weights) throw bad_input("LIBSVM files hold no row weights: write .csv or .h5");
  });
  write_text(rows.context, path, "", output.count(), [&](Index first, Index end, std::string& out) {
    for (Index i = first; i < end; ++i) {
      const Index row = output.used[size(i)];
      if (output.has_labels)
        append_label(out, rows.labels, row, ' ');
      else
        out += '0';
      std::visit([&](const auto& storage) { append_sparse(out, storage, row); }, rows.features);
      out += '\n';
    }
  });
}

}  // namespace firesteel
