// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "firesteel/io/relate_options.hpp"
#include "firesteel/io/typed_rows.hpp"

namespace firesteel {

/// A value as bytes that ascend, compared as unsigned bytes, as values do: numbers by size (−0 and 0 are
/// alike), texts by their bytes. Missing ones come last, descending too. One column's bytes are never a
/// beginning of another's, so that the keys of several columns may follow one another.
void append_sort_key(std::string& key, const TableColumn& column, const TypedCell& cell, bool descending);

/// Rows by the columns, the first of which counts most; rows that are alike keep their order. Throws 65 where
/// a column is absent or given twice. Collective. Cost: Dataset::sort_by.
TypedRows sort_rows(const TypedRows& rows, const std::vector<SortColumn>& by);

/// Rows of both sides whose keys are equal, as numbers or as texts; a missing key equals nothing. In order of
/// the key, ascending (of rows without a key last, those of the left side first), then of left, then of right
/// rows. Columns: all of the left side, where a key is that of the side that has the row, then those of the
/// right side that are no keys. A name that both sides have gets `_left` and `_right`. Values of a side that
/// has no row are missing. Throws 65 where a key is absent, text on one side alone, or names would still be
/// the same. Collective. Cost: Dataset::full_join.
TypedRows join_rows(const TypedRows& left, const TypedRows& right, const std::vector<JoinColumn>& on,
                    JoinKind kind);

}  // namespace firesteel
