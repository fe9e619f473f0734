// SPDX-License-Identifier: Apache-2.0
#include "firesteel/io/write_typed_rows.hpp"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "firesteel/core/parallel.hpp"
#include "firesteel/io/pack_typed_rows.hpp"
#include "firesteel/io/parts_output.hpp"
#include "firesteel/io/quoted.hpp"
#include "firesteel/io/text_output.hpp"
#include "firesteel/io/write_arrow.hpp"
#include "firesteel/io/write_data.hpp"

namespace firesteel {

namespace {

std::size_t size(Index i) { return static_cast<std::size_t>(i); }

/// This rank's rows by their place in the output.
class LocalRows {
 public:
  explicit LocalRows(const TypedRows& rows) : rows_(rows) {
    const auto& partition = rows.rows.partition();
    const int rank = rows.rows.context().rank();
    first_block_ = partition.first_block(rank);
    const Index blocks = partition.end_block(rank) - first_block_;
    first_.assign(size(blocks) + 1, 0);
    rows.rows.context().comm().collectively([&] {
      parallel_for(rows.rows.context().threads(), blocks, [&](Index i, int) {
        rows.rows.run_block(first_block_ + i, [&](auto&&) { ++first_[size(i) + 1]; });
      });
    });
    for (std::size_t i = 1; i < first_.size(); ++i) first_[i] += first_[i - 1];
  }

  Index count() const { return first_.back(); }

  /// body(number of the row, its cells) for the rows [first, end), in order. By any thread.
  template <class Body>
  void for_rows(Index first, Index end, Body&& body) const {
    const auto above = std::upper_bound(first_.begin(), first_.end(), first);
    std::vector<TypedCell> cells;
    for (auto i = static_cast<std::size_t>(above - first_.begin()) - 1; i + 1 < first_.size(); ++i) {
      if (first_[i] >= end) return;
      Index row = first_[i];
      rows_.rows.run_block(first_block_ + static_cast<Index>(i), [&](auto&& packed) {
        const Index own = row++;
        if (own < first || own >= end) return;
        unpack_row(rows_.columns, packed, cells);
        body(own, cells);
      });
    }
  }

 private:
  const TypedRows& rows_;
  Index first_block_ = 0;
  std::vector<Index> first_;  ///< of each own block: rows before it
};

void append_cell(std::string& out, TableKind kind, const TypedCell& cell) {
  if (kind == TableKind::whole)
    append_number(out, cell.whole);
  else
    append_number(out, cell.real);
}

void write_csv(const Context& context, const TypedRows& rows, const LocalRows& local, const std::string& path,
               char delimiter) {
  std::string header;
  for (const auto& column : rows.columns) {
    if (&column != &rows.columns.front()) header += delimiter;
    append_field(header, column.name, delimiter);
  }
  header += '\n';
  const bool one = rows.columns.size() == 1;
  write_text(context, path, header, local.count(), [&](Index first, Index end, std::string& out) {
    local.for_rows(first, end, [&](Index, const std::vector<TypedCell>& cells) {
      const std::size_t begin = out.size();
      for (std::size_t j = 0; j < cells.size(); ++j) {
        if (j > 0) out += delimiter;
        if (rows.columns[j].kind == TableKind::text)
          append_field(out, cells[j].text, delimiter);
        else if (!cells[j].missing)
          append_cell(out, rows.columns[j].kind, cells[j]);
      }
      if (one && out.size() == begin) out += "\"\"";  // a blank line would be no row
      out += '\n';
    });
  });
}

void write_json(const Context& context, const TypedRows& rows, const LocalRows& local,
                const std::string& path) {
  const auto text_of = [](std::string_view text) {
    return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  };
  std::vector<std::string> keys;
  for (const auto& column : rows.columns)
    keys.push_back((keys.empty() ? "{" : ",") + text_of(column.name) + ":");
  write_text(context, path, "", local.count(), [&](Index first, Index end, std::string& out) {
    local.for_rows(first, end, [&](Index, const std::vector<TypedCell>& cells) {
      for (std::size_t j = 0; j < cells.size(); ++j) {
        out += keys[j];
        const bool finite = rows.columns[j].kind != TableKind::real || std::isfinite(cells[j].real);
        if (cells[j].missing || !finite)
          out += "null";
        else if (rows.columns[j].kind == TableKind::text)
          out += text_of(cells[j].text);
        else
          append_cell(out, rows.columns[j].kind, cells[j]);
      }
      out += "}\n";
    });
  });
}

std::vector<TableValues> columns_of(const TypedRows& rows, const LocalRows& local, Index first, Index end) {
  std::vector<TableValues> values(rows.columns.size());
  for (std::size_t j = 0; j < values.size(); ++j) {
    if (rows.columns[j].kind == TableKind::text)
      values[j].values = std::vector<std::string>(size(end - first));
    if (rows.columns[j].kind == TableKind::whole)
      values[j].values = std::vector<std::int64_t>(size(end - first));
    if (rows.columns[j].kind == TableKind::real) values[j].values = std::vector<double>(size(end - first));
  }
  local.for_rows(first, end, [&](Index row, const std::vector<TypedCell>& cells) {
    const std::size_t i = size(row - first);
    for (std::size_t j = 0; j < cells.size(); ++j) {
      if (cells[j].missing) {
        if (values[j].missing.empty()) values[j].missing.assign(size(end - first), 0);
        values[j].missing[i] = 1;
      } else if (rows.columns[j].kind == TableKind::text) {
        std::get<std::vector<std::string>>(values[j].values)[i] = cells[j].text;
      } else if (rows.columns[j].kind == TableKind::whole) {
        std::get<std::vector<std::int64_t>>(values[j].values)[i] = cells[j].whole;
      } else {
        std::get<std::vector<double>>(values[j].values)[i] = cells[j].real;
      }
    }
  });
  return values;
}

Index bytes_of_texts(const TypedRows& rows, const LocalRows& local, Index first, Index end) {
  Index bytes = 0;
  local.for_rows(first, end, [&](Index, const std::vector<TypedCell>& cells) {
    for (std::size_t j = 0; j < cells.size(); ++j)
      if (rows.columns[j].kind == TableKind::text && !cells[j].missing)
        bytes += static_cast<Index>(cells[j].text.size());
  });
  return bytes;
}

void write_columns(const Context& context, const TypedRows& rows, const LocalRows& local,
                   const std::string& path) {
  if (!arrow_format_of(path).empty())
    write_arrow(
        context, path, rows.columns, local.count(),
        [&](Index first, Index end) { return columns_of(rows, local, first, end); },
        [&](Index first, Index end) { return bytes_of_texts(rows, local, first, end); });
  else if (path.ends_with(".jsonl") || path.ends_with(".ndjson"))
    write_json(context, rows, local, path);
  else
    write_csv(context, rows, local, path, path.ends_with(".tsv") ? '\t' : ',');
}

}  // namespace

bool is_column_output(const std::string& path) {
  const std::string extension = std::filesystem::path(without_slash(path)).extension().string();
  static constexpr const char* kText[] = {".csv", ".tsv", ".jsonl", ".ndjson"};
  return path == "-" || !arrow_format_of(without_slash(path)).empty() ||
         std::any_of(std::begin(kText), std::end(kText), [&](const char* each) { return extension == each; });
}

Index write_typed_rows(TypedRows rows, const std::string& path, const ReadOptions& options) {
  if (rows.sparse || !is_column_output(path)) {
    const RowBlocks packed = pack_typed_rows(std::move(rows), options);
    write_rows(packed, path);
    return packed.partition.rows();
  }
  const Context& context = rows.rows.context();
  const LocalRows local(rows);
  if (is_parts(path))
    write_parts(context, path, local.count(),
                [&](const Context& own, const std::string& part) { write_columns(own, rows, local, part); });
  else
    write_columns(context, rows, local, path);
  return context.comm().sum(local.count());
}

}  // namespace firesteel
