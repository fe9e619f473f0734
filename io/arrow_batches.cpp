// SPDX-License-Identifier: Apache-2.0
#include "firesteel/io/arrow_batches.hpp"

#include <cstddef>
#include <cstdint>

namespace firesteel {

namespace {

constexpr Index kMostBatchRows = Index{1} << 20;
/// Rows whose texts are weighed together.
constexpr Index kGranuleRows = 1024;
std::size_t size(Index i) { return static_cast<std::size_t>(i); }

/// Where batches begin, and the rows' end; where there are texts they are whole granules. Collective.
std::vector<Index> begins(Communicator& comm, const std::vector<TableColumn>& columns, Index first,
                          Index local_rows, Index total, BytesOfTexts text_bytes) {
  const Index row_bytes = 8 * std::max<Index>(1, static_cast<Index>(columns.size()));
  const Index most_rows = std::clamp(kArrowBatchBytes / row_bytes, Index{1}, kMostBatchRows);
  const auto texts = std::count_if(columns.begin(), columns.end(),
                                   [](const TableColumn& column) { return column.kind == TableKind::text; });
  std::vector<Index> begin;
  if (texts == 0) {
    for (Index row = 0; row < total; row += most_rows) begin.push_back(row);
    begin.push_back(total);
    return begin;
  }
  const Index granule = std::min(kGranuleRows, most_rows);
  std::vector<std::int64_t> bytes;
  comm.collectively([&] {
    bytes.assign(size((total + granule - 1) / granule), 0);
    for (Index row = first; row < first + local_rows;) {
      const Index end = std::min(first + local_rows, (row / granule + 1) * granule);
      bytes[size(row / granule)] =
          text_bytes(row - first, end - first) + (end - row) * (row_bytes + kTextBytes * texts);
      row = end;
    }
  });
  comm.allreduce_sum(std::span(bytes));
  Index rows = 0;
  Index held = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const bool full = rows + granule > most_rows || held + bytes[i] > kArrowBatchBytes;
    if (i == 0 || full) {
      begin.push_back(static_cast<Index>(i) * granule);
      rows = held = 0;
    }
    rows += granule;
    held += bytes[i];
  }
  begin.push_back(total);
  return begin;
}

/// The texts of all ranks on one. Collective.
std::vector<std::string> gather_texts(Communicator& comm, std::vector<std::string> own, int root) {
  std::vector<Index> lengths;
  std::string characters;
  comm.collectively([&] {
    for (const auto& text : own) {
      lengths.push_back(static_cast<Index>(text.size()));
      characters += text;
    }
    own = {};
  });
  const auto all_lengths = comm.gatherv(std::span<const Index>(lengths), root);
  const auto all = comm.gatherv(std::span<const char>(characters), root);
  return comm.collectively([&] { return cut_texts(all_lengths, all); });
}

/// Gathers one column's values of all ranks on one. Collective.
ColumnValues gather(Communicator& comm, TableKind kind, ColumnValues own, int root) {
  // A rank without rows may hold another kind of nothing.
  if (kind == TableKind::text) {
    auto* texts = std::get_if<std::vector<std::string>>(&own);
    std::vector<std::string> values = texts == nullptr ? std::vector<std::string>() : std::move(*texts);
    if (comm.size() == 1) return values;
    return gather_texts(comm, std::move(values), root);
  }
  if (kind == TableKind::whole) {
    auto* whole = std::get_if<std::vector<std::int64_t>>(&own);
    std::vector<std::int64_t> values = whole == nullptr ? std::vector<std::int64_t>() : std::move(*whole);
    if (comm.size() == 1) return values;
    return comm.gatherv(std::span<const std::int64_t>(values), root);
  }
  auto* reals = std::get_if<std::vector<double>>(&own);
  std::vector<double> values = reals == nullptr ? std::vector<double>() : std::move(*reals);
  if (comm.size() == 1) return values;
  return comm.gatherv(std::span<const double>(values), root);
}

}  // namespace

ArrowBatches cut_batches(Communicator& comm, const std::vector<TableColumn>& columns, Index local_rows,
                         BytesOfTexts text_bytes) {
  ArrowBatches batches{.first = comm.exclusive_scan(local_rows), .rows = local_rows, .begin = {}};
  const Index total = comm.sum(local_rows);
  batches.begin = begins(comm, columns, batches.first, local_rows, total, text_bytes);
  return batches;
}

std::vector<TableValues> gather_batch(Communicator& comm, const std::vector<TableColumn>& columns,
                                      const ArrowBatches& batches, std::size_t batch, int root,
                                      ValuesOfRows values_of) {
  const auto [from, to] = batches.own(batch);
  std::vector<TableValues> own;
  std::vector<std::int64_t> lacks(columns.size(), 0);
  comm.collectively([&, from = from, to = to] {
    own = values_of(from, to);
    for (std::size_t column = 0; column < columns.size(); ++column)
      lacks[column] = own[column].missing.empty() ? 0 : 1;
  });
  comm.allreduce_max(std::span(lacks));
  std::vector<TableValues> all;
  for (std::size_t column = 0; column < columns.size(); ++column) {
    TableValues values{gather(comm, columns[column].kind, std::move(own[column].values), root), {}};
    if (lacks[column] != 0) {
      own[column].missing.resize(size(to - from), 0);
      values.missing = comm.gatherv(std::span<const std::uint8_t>(own[column].missing), root);
    }
    own[column] = {};
    all.push_back(std::move(values));
  }
  return all;
}

}  // namespace firesteel
