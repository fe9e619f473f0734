// SPDX-License-Identifier: Apache-2.0
#include "firesteel/io/typed_rows.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <mutex>
#include <optional>

#include "firesteel/core/dataset/cache.hpp"
#include "firesteel/core/dataset/create.hpp"
#include "firesteel/io/column_selection.hpp"
#include "firesteel/io/feature_rows.hpp"
#include "firesteel/io/table_view.hpp"
#include "firesteel/io/text_output.hpp"

namespace firesteel {

namespace {

std::size_t size(Index i) { return static_cast<std::size_t>(i); }

template <class T>
void append_bytes(std::string& out, const T& value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

/// Blocks of packed rows that are filled by several threads in any order; a block is kept when it is whole.
class BlockFiller {
 public:
  BlockFiller(const Context& context, std::shared_ptr<const BlockPartition> partition)
      : partition_(std::move(partition)),
        first_block_(partition_->first_block(context.rank())),
        cache_(std::make_shared<detail::BlockCache<std::string>>(
            StorageLevel::memory_and_disk, context.memory(), context.scratch(),
            partition_->end_block(context.rank()) - first_block_)),
        open_(size(partition_->end_block(context.rank()) - first_block_)) {}

  /// Rows from global row `row` on.
  void put(Index row, std::vector<std::string> rows) {
    const Index block_rows = partition_->block_rows();
    for (Index done = 0; done < static_cast<Index>(rows.size());) {
      const Index block = (row + done) / block_rows;
      const Index begin = partition_->row_of_block(block);
      const Index end = partition_->row_of_block(block + 1);
      const Index count = std::min(static_cast<Index>(rows.size()) - done, end - row - done);
      put_into(block, begin, end - begin, row + done - begin,
               std::span(rows).subspan(size(done), size(count)));
      done += count;
    }
  }

  std::shared_ptr<detail::BlockCache<std::string>> cache() const { return cache_; }

 private:
  struct Open {
    std::vector<std::string> rows;
    Index left = 0;
  };

  void put_into(Index block, Index first_row, Index block_rows, Index place, std::span<std::string> rows) {
    Open& open = open_[size(block - first_block_)];
    bool whole = false;
    {
      const std::lock_guard lock(mutex_);
      if (open.rows.empty()) {
        open.rows.resize(size(block_rows));
        open.left = block_rows;
      }
      std::move(rows.begin(), rows.end(), open.rows.begin() + place);
      open.left -= static_cast<Index>(rows.size());
      whole = open.left == 0;
    }
    if (whole) cache_->put(block - first_block_, {.first_row = first_row, .values = std::move(open.rows)});
  }

  std::shared_ptr<const BlockPartition> partition_;
  Index first_block_;
  std::shared_ptr<detail::BlockCache<std::string>> cache_;
  std::mutex mutex_;
  std::vector<Open> open_;
};

TypedCell cell_of(const TableValues& values, Index i) {
  TypedCell cell{.missing = missing_at(values, i)};
  if (const auto* texts = std::get_if<std::vector<std::string>>(&values.values))
    cell.text = (*texts)[size(i)];
  else if (const auto* whole = std::get_if<std::vector<std::int64_t>>(&values.values))
    cell.whole = (*whole)[size(i)];
  else
    cell.real = std::get<std::vector<double>>(values.values)[size(i)];
  cell.missing = cell.missing || std::isnan(cell.real);
  return cell;
}

TypedRows rows_of_table(const Context& context, const ReadOptions& options, const Table& table,
                        const TableView& view) {
  std::vector<TableColumn> columns;
  std::vector<WantedColumn> wanted;
  std::vector<std::string> left_out;
  for (Index column = 0; column < view.columns.count; ++column) {
    if (view.kind(column) == TableKind::other) {
      left_out.push_back(view.columns.name(column));
      continue;
    }
    columns.push_back({view.columns.name(column), view.kind(column)});
    wanted.push_back({column, TableWant::as_it_is});
  }
  if (!left_out.empty())
    context.monitor().warning("columns of neither numbers nor texts are left out: " + list_names(left_out));
  context.comm().collectively([&] {
    if (columns.empty()) throw bad_input(view.columns.source + " has no columns of numbers or texts");
  });
  const auto partition = partition_rows(context, table.rows(), static_cast<Index>(columns.size()));
  const int rank = context.rank();
  auto blocks = context.comm().collectively([&] {
    BlockFiller filler(context, partition);
    const auto reading = plan_reading(context, table, static_cast<Index>(wanted.size()));
    read_table_rows(
        context, table, view, reading, partition->first_row(rank), partition->end_row(rank), wanted,
        [&](const TablePart&, Index row, Index from, Index count, const std::vector<TableValues>& values) {
          std::vector<std::string> packed;
          std::vector<TypedCell> cells(columns.size());
          for (Index i = 0; i < count; ++i) {
            for (std::size_t j = 0; j < cells.size(); ++j) cells[j] = cell_of(values[j], from + i);
            packed.push_back(pack_row(columns, cells));
          }
          filler.put(row, std::move(packed));
        });
    return filler.cache();
  });
  VectorPipeline<std::string> pipeline{std::make_shared<const std::vector<std::string>>(), 0,
                                       partition->block_rows(), std::move(blocks),
                                       partition->first_block(rank)};
  return {view.columns.source,
          std::move(columns),
          Dataset<std::string, VectorPipeline<std::string>>(context, partition, std::move(pipeline)),
          {},
          {},
          options.single_precision};
}

/// Of the rows of another dataset, those that were chosen.
class ChosenRows final : public BlockSource<std::string> {
 public:
  ChosenRows(Dataset<std::string> rows, std::vector<std::uint8_t> chosen)
      : rows_(std::move(rows)),
        chosen_(std::move(chosen)),
        first_row_(rows_.partition().first_row(rows_.context().rank())) {}

  void read(Index block, RowCursor& cursor, BlockRows<std::string>& out) const override {
    rows_.pipeline().run(block, out.first_row, cursor, [&](std::string&& row) {
      if (chosen_[size(cursor.row - first_row_)] == 0) return;
      out.values.push_back(std::move(row));
      out.offsets.push_back(static_cast<std::uint16_t>(cursor.row - out.first_row));
    });
  }

 private:
  Dataset<std::string> rows_;
  std::vector<std::uint8_t> chosen_;
  Index first_row_;
};

}  // namespace

std::string pack_row(std::span<const TableColumn> columns, std::span<const TypedCell> cells) {
  std::string row((columns.size() + 7) / 8, '\0');
  std::size_t bytes = row.size();
  for (std::size_t i = 0; i < columns.size(); ++i)
    if (columns[i].kind == TableKind::text)
      bytes += 4 + cells[i].text.size();
    else if (!cells[i].missing)
      bytes += 8;
  row.reserve(bytes);
  for (std::size_t i = 0; i < columns.size(); ++i) {
    const TypedCell& cell = cells[i];
    if (cell.missing) row[i / 8] = static_cast<char>(row[i / 8] | (1 << (i % 8)));
    if (columns[i].kind == TableKind::text) {
      append_bytes(row, static_cast<std::uint32_t>(cell.text.size()));
      row.append(cell.text);
    } else if (cell.missing) {
      continue;
    } else if (columns[i].kind == TableKind::whole) {
      append_bytes(row, cell.whole);
    } else {
      append_bytes(row, cell.real);
    }
  }
  return row;
}

std::string_view unpack_row(std::span<const TableColumn> columns, std::string_view row,
                            std::vector<TypedCell>& cells) {
  const auto take = [&](std::size_t bytes) {
    if (bytes > row.size()) throw internal_error("a packed row ends early");
    const std::string_view taken = row.substr(0, bytes);
    row.remove_prefix(bytes);
    return taken;
  };
  const std::string_view flags = take((columns.size() + 7) / 8);
  cells.resize(columns.size());
  for (std::size_t i = 0; i < columns.size(); ++i) {
    TypedCell& cell = cells[i];
    cell = {.missing = (flags[i / 8] >> (i % 8) & 1) != 0};
    if (columns[i].kind == TableKind::text) {
      std::uint32_t length = 0;
      std::memcpy(&length, take(sizeof length).data(), sizeof length);
      cell.text = take(length);
    } else if (cell.missing) {
      continue;
    } else if (columns[i].kind == TableKind::whole) {
      std::memcpy(&cell.whole, take(8).data(), 8);
    } else {
      std::memcpy(&cell.real, take(8).data(), 8);
    }
  }
  return row;
}

TypedRows read_typed_rows(const Context& context, const ReadOptions& options) {
  const std::string format = format_of_files(context.comm(), options, options.inputs);
  if (!is_column_format(format)) {
    return rows_of_features(context, read_rows(context, options), options.inputs.front());
  }
  std::optional<TypedRows> rows;
  with_table(context, options, [&](const Table& table, const TableView& view) {
    rows.emplace(rows_of_table(context, options, table, view));
  });
  return std::move(*rows);
}

TypedRows choose_rows(const TypedRows& rows, std::vector<std::uint8_t> chosen) {
  auto source = std::make_shared<const ChosenRows>(rows.rows, std::move(chosen));
  return with_rows(rows, {rows.rows.context(), rows.rows.shared_partition(),
                          ErasedPipeline<std::string>{std::move(source)}});
}

std::vector<std::string> column_texts(const TypedRows& rows, Index column) {
  const auto i = size(column);
  return rows.rows
      .map([columns = rows.columns, i](const std::string& row) {
        std::vector<TypedCell> cells;
        unpack_row(columns, row, cells);
        std::string text;
        if (cells[i].missing) return text;
        if (columns[i].kind == TableKind::text)
          text = cells[i].text;
        else if (columns[i].kind == TableKind::whole)
          append_number(text, cells[i].whole);
        else
          append_number(text, cells[i].real);
        return text;
      })
      .collect_local();
}

TypedRows with_rows(const TypedRows& like, Dataset<std::string> rows) {
  return {like.source, like.columns, std::move(rows), like.sparse, like.parts, like.single_precision};
}

Index require_typed_column(const TypedRows& rows, const std::string& reference, const std::string& option) {
  InputColumns columns{.source = rows.source, .count = static_cast<Index>(rows.columns.size())};
  for (const auto& column : rows.columns) columns.names.push_back(column.name);
  return require_column(columns, reference, option);
}

}  // namespace firesteel
