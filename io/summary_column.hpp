// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "firesteel/core/communicator.hpp"
#include "firesteel/core/exact_sum.hpp"
#include "firesteel/io/summary.hpp"

namespace firesteel::detail {

/// Counts of different values, exact as long as they are few. Of more, only those whose hash begins with
/// `level` zeros are kept, which are about one in 2^level; the level is the smallest that leaves few enough,
/// so that it and what is kept depend on the set of values alone. Source: adaptive sampling, Flajolet 1990,
/// doi:10.1007/BF02241657.
class ValueCounts {
 public:
  void add(std::string_view value, Index count = 1);
  void merge(const ValueCounts& other);
  int level() const { return level_; }
  const std::map<std::string, Index, std::less<>>& kept() const { return counts_; }
  void raise_to(int level);

 private:
  void shrink();
  std::map<std::string, Index, std::less<>> counts_;
  int level_ = 0;
};

/// What of a column's values is kept while they pass. Everything is an integer, a set or a smallest element:
/// parts may be merged in any order.
class ColumnState {
 public:
  ColumnState(TableKind kind, bool exact) : kind_(kind), exact_(exact) {}

  void add_missing(Index count) { missing_ += count; }
  void add(double number);
  void add(std::int64_t number);
  void add(std::string_view text);
  void add_zeros(Index count);
  void merge(ColumnState&& other);

  TableKind kind() const { return kind_; }

 private:
  friend std::vector<ColumnSummary> finish_columns(Communicator&, const std::vector<TableColumn>&,
                                                   std::vector<ColumnState>&, Index);
  TableKind kind_;
  bool exact_;
  Index values_ = 0;
  Index missing_ = 0;
  Index zeros_ = 0;
  double min_ = 0;
  double max_ = 0;
  ExactSum sum_;
  ExactSum squares_;
  std::vector<std::uint64_t> keys_;        ///< of numbers, where exact
  std::map<std::uint64_t, Index> sketch_;  ///< leading bits of keys, else
  Index shortest_ = 0;
  Index longest_ = 0;
  ValueCounts counts_;
};

/// The summaries of all ranks' columns. Collective.
std::vector<ColumnSummary> finish_columns(Communicator& comm, const std::vector<TableColumn>& columns,
                                          std::vector<ColumnState>& states, Index top);

}  // namespace firesteel::detail
